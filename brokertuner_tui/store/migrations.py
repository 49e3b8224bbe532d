"""Brings a store of an older version up to date, before anything is written to it.

A new version of the tables: raise `schema.VERSION`, and add to `STEPS` what makes that version from the one before. A step says
its SQL itself and never uses `schema`, which will have moved on by the time it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

from sqlalchemy import Connection, text

from brokertuner_tui.store import schema
from brokertuner_tui.store.errors import StoreError

Step = Callable[[Connection], None]


def _to_2(connection: Connection) -> None:
    """The states of runs in words of their own, who is to be ended with a run, what was pinned in a trial."""
    for column in (
        "broker JSON",
        "load JSON",
        "mode VARCHAR(20) DEFAULT 'guarded' NOT NULL",
        "resumed INTEGER DEFAULT 0 NOT NULL",
    ):
        connection.execute(text(f"ALTER TABLE runs ADD COLUMN {column}"))
    connection.execute(text("ALTER TABLE trials ADD COLUMN pinned JSON"))
    connection.execute(text("UPDATE runs SET state = 'created' WHERE state = 'starting'"))
    connection.execute(
        text("UPDATE runs SET state = 'running' WHERE state IN ('tuning', 'stepping', 'confirming', 'stopping')")
    )


def _to_3(connection: Connection) -> None:
    """What runs taught."""
    double = "DOUBLE PRECISION" if connection.dialect.name == "postgresql" else "DOUBLE"
    connection.execute(
        text(
            "CREATE TABLE insights (run VARCHAR(40) NOT NULL, number INTEGER NOT NULL, "
            f"at {double} NOT NULL, trials INTEGER NOT NULL, loads JSON NOT NULL, "
            "PRIMARY KEY (run, number), FOREIGN KEY(run) REFERENCES runs (id))"
        )
    )


def _to_4(connection: Connection) -> None:
    """What each knob of the best was worth."""
    double = "DOUBLE PRECISION" if connection.dialect.name == "postgresql" else "DOUBLE"
    connection.execute(
        text(
            "CREATE TABLE ablations (run VARCHAR(40) NOT NULL, number INTEGER NOT NULL, "
            f"at {double} NOT NULL, profile TEXT NOT NULL, best_trial INTEGER NOT NULL, best_knobs JSON NOT NULL, "
            "default_knobs JSON NOT NULL, about JSON NOT NULL, windows JSON NOT NULL, "
            "PRIMARY KEY (run, number), FOREIGN KEY(run) REFERENCES runs (id))"
        )
    )


STEPS: MappingProxyType[int, Step] = MappingProxyType({2: _to_2, 3: _to_3, 4: _to_4})
"""By the version that a step makes. Both databases undo it whole if it fails: their DDL is part of the transaction."""


def migrate(connection: Connection, have: int, where: str) -> None:
    """Runs every step from version `have` on, in order, in the transaction of the caller.

    Raises:
        StoreError: a step is missing; the caller's transaction undoes what was done.
    """
    for version in range(have + 1, schema.VERSION + 1):
        if version not in STEPS:
            raise StoreError(f"{where} cannot be brought from store version {have} to {schema.VERSION}: no step to {version}")
        STEPS[version](connection)
    connection.execute(
        text("UPDATE schema_version SET version = :version WHERE application = :application"),
        {"version": schema.VERSION, "application": schema.APPLICATION},
    )
