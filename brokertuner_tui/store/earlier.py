"""Trials of earlier runs, as far as an agent can learn from them: read in one go, and nothing of them that it does not need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from brokertuner_tui.knobs.catalogue import Version
from brokertuner_tui.store import schema

_MOST_RUNS = 2000
_MOST_TRIALS = 1000


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """What says whether a run's trials are of use."""

    id: str
    workload: str
    profiles: tuple[Mapping[str, Any], ...]
    """Of all its phases, as `Profile.as_dict` gives them."""
    version: Version
    """The broker's."""
    config: Mapping[str, Any]
    """Every setting that was in effect."""


@dataclass(frozen=True, slots=True)
class EarlierTrial:
    """What was seen, done and earned."""

    run: str
    verdict: str
    broke: bool
    """Whether it was marked down since it broke the SLO."""
    observation: tuple[float, ...]
    action: tuple[float, ...]
    reward: float | None
    next_observation: tuple[float, ...]


def read_runs(connection: Connection, preset: str, before: float) -> list[EarlierRun]:
    """Runs of `preset` that began before then (seconds since the epoch), the newest first; two thousand at most."""
    table = schema.runs
    columns = (table.c.id, table.c.workload, table.c.profile, table.c.phases, table.c.mosquitto_version, table.c.config)
    query = select(*columns).where(table.c.preset == preset, table.c.started_at < before)
    query = query.order_by(table.c.started_at.desc(), table.c.id.desc()).limit(_MOST_RUNS)
    return [
        EarlierRun(
            row.id,
            row.workload,
            tuple(phase["profile"] for phase in row.phases) or (row.profile,),
            (row.mosquitto_version[0], row.mosquitto_version[1], row.mosquitto_version[2]),
            row.config,
        )
        for row in connection.execute(query)
    ]


def read_trials(connection: Connection, runs: Sequence[str], before: float) -> list[EarlierTrial]:
    """Trials of these runs that ended before then, the newest first, without the inconclusive; a thousand at most."""
    table = schema.trials
    columns = (
        table.c.run,
        table.c.verdict,
        table.c.reward_terms,
        table.c.observation,
        table.c.action,
        table.c.reward,
        table.c.next_observation,
    )
    query = select(*columns).where(table.c.run.in_(runs), table.c.at < before, table.c.verdict != "inconclusive")
    query = query.order_by(table.c.run.desc(), table.c.number.desc()).limit(_MOST_TRIALS)  # ids sort by their start
    return [
        EarlierTrial(
            row.run,
            row.verdict,
            "slo" in row.reward_terms,
            _numbers(row.observation),
            _numbers(row.action),
            row.reward,
            _numbers(row.next_observation),
        )
        for row in connection.execute(query)
    ]


def _numbers(data: Sequence[Any]) -> tuple[float, ...]:
    return tuple(map(float, data))
