"""The tables, in types that SQLite and PostgreSQL share. `VERSION` rises with every change of them."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

VERSION = 4
APPLICATION = "brokertuner-tui"

metadata = MetaData()
_json = JSON(none_as_null=True)


schema_version = Table(
    "schema_version",
    metadata,
    Column("application", String(40), primary_key=True),
    Column("version", Integer, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("state", String(20), nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("preset", String(40), nullable=False),
    Column("workload", Text, nullable=False),
    Column("profile", _json, nullable=False),
    Column("phases", _json, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("config", _json, nullable=False),
    Column("versions", _json, nullable=False),
    Column("started_at", Double, nullable=False, index=True),
    Column("ended_at", Double),
    Column("owner", _json, nullable=False),
    # Who is to be ended when the owner is gone: the broker (if it is ours), and the load.
    Column("broker", _json),
    Column("load", _json),
    Column("mode", String(20), nullable=False, server_default="guarded"),
    Column("resumed", Integer, nullable=False, server_default="0"),
    Column("broker_kind", String(40), nullable=False),
    Column("mosquitto_path", Text, nullable=False),
    Column("mosquitto_version", _json, nullable=False),
    Column("pinned", _json, nullable=False),
    Column("broker_restarts", Integer, nullable=False, default=0),
    Column("workload_restarts", Integer, nullable=False, default=0),
    # What RunFinished and Confirmed say; null until then.
    Column("seconds", Double),
    Column("default_measured", _json),
    Column("best_measured", _json),
    Column("best_knobs", _json),
    Column("best_trial", Integer),
    Column("ratio", _json),
    Column("better", Boolean),
    Column("left_in_force", String(20)),
    Column("conf_path", Text),
)

trials = Table(
    "trials",
    metadata,
    Column("run", String(40), ForeignKey("runs.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("verdict", String(20), nullable=False),
    Column("reason", Text, nullable=False),
    Column("knobs", _json, nullable=False),
    Column("changed", _json, nullable=False),
    Column("action", _json, nullable=False),
    Column("pinned", _json),
    Column("observation", _json, nullable=False),
    Column("next_observation", _json, nullable=False),
    Column("reward", Double),
    Column("reward_terms", _json, nullable=False),
    Column("profile", _json, nullable=False),
    Column("version", _json, nullable=False),
    Column("measured", _json),
    Column("applied", _json),
    Column("usage", _json, nullable=False),
    Column("sample", _json),
    Column("timings", _json, nullable=False),
    Column("pid", Integer),
    Column("broker_restarts", Integer, nullable=False),
    Column("workload_restarts", Integer, nullable=False),
    Column("agent", _json, nullable=False),
    Column("is_best", Boolean, nullable=False),
    Column("best_trial", Integer),
)

confirmations = Table(
    "confirmations",
    metadata,
    Column("run", String(40), ForeignKey("runs.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("profile", Text, nullable=False),
    Column("default_measured", _json, nullable=False),
    Column("best_measured", _json, nullable=False),
    Column("best_knobs", _json, nullable=False),
    Column("best_trial", Integer, nullable=False),
    Column("ratio", _json, nullable=False),
    Column("better", Boolean, nullable=False),
)

confirming_windows = Table(
    "confirming_windows",
    metadata,
    Column("run", String(40), primary_key=True),
    Column("confirmation", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("which", String(10), nullable=False),
    Column("measured", _json, nullable=False),
    ForeignKeyConstraint(["run", "confirmation"], ["confirmations.run", "confirmations.number"]),
)

ablations = Table(
    "ablations",
    metadata,
    Column("run", String(40), ForeignKey("runs.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("profile", Text, nullable=False),
    Column("best_trial", Integer, nullable=False),
    Column("best_knobs", _json, nullable=False),
    Column("default_knobs", _json, nullable=False),
    # What was not measured to the end and why, what broke the SLO, what the simplest setting drops.
    Column("about", _json, nullable=False),
    Column("windows", _json, nullable=False),
)

insights = Table(
    "insights",
    metadata,
    Column("run", String(40), ForeignKey("runs.id"), primary_key=True),
    # A run that goes on is explained again: the last one counts.
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("trials", Integer, nullable=False),
    Column("loads", _json, nullable=False),
)
