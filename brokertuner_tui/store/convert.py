"""Events to columns, and columns to rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from brokertuner_tui import insight
from brokertuner_tui.broker.interface import Applied
from brokertuner_tui.env.outcome import Timings, Usage
from brokertuner_tui.insight.ablation import Ablation, AblationWindow
from brokertuner_tui.knobs.catalogue import Value, Version
from brokertuner_tui.process.owner import Owner
from brokertuner_tui.store.plain import revive, to_plain
from brokertuner_tui.store.rows import (
    ENDED,
    BrokerIdentity,
    ConfirmationRow,
    InsightRow,
    LoadIdentity,
    RunInfo,
    RunRow,
    RunState,
    TrialRow,
    Which,
)
from brokertuner_tui.telemetry.sample import Sample
from brokertuner_tui.tuning.events import AgentState, Confirmed, Measured, RunFinished, TrialFinished
from brokertuner_tui.workload.live.figures import LiveFigures
from brokertuner_tui.workload.window import PartWindow, Window

Columns = dict[str, Any]


def run_columns(info: RunInfo) -> Columns:
    """The columns of `runs` that are known at the start."""
    return cast(Columns, to_plain(info))  # they have the fields' names


def trial_columns(
    run: str,
    event: TrialFinished,
    broker_restarts: int,
    workload_restarts: int,
    pinned: Mapping[str, Value] | None = None,
) -> Columns:
    """A row of `trials`."""
    outcome = event.outcome
    return {
        "run": run,
        "number": event.trial,
        "at": event.at,
        "kind": str(event.kind),
        "verdict": str(outcome.verdict),
        "reason": outcome.reason,
        "knobs": to_plain(outcome.knobs),
        "changed": list(event.changed),
        "action": to_plain(event.action),
        "pinned": None if pinned is None else to_plain(dict(pinned)),
        "observation": to_plain(event.observation),
        "next_observation": to_plain(event.next_observation),
        "reward": _or_none(event.reward),
        "reward_terms": to_plain(event.reward_terms),
        "profile": to_plain(outcome.profile),
        "version": to_plain(outcome.version),
        "measured": None if outcome.window is None else to_plain(outcome.window.as_dict()),
        "applied": to_plain(outcome.applied),
        "usage": to_plain(outcome.usage),
        "sample": _sample(outcome.sample),
        "timings": to_plain(outcome.timings),
        "pid": _broker_pid(event),
        "broker_restarts": broker_restarts,
        "workload_restarts": workload_restarts,
        "agent": to_plain(event.agent),
        "is_best": event.is_best,
        "best_trial": event.best_trial,
    }


def confirmation_columns(event: Confirmed) -> Columns:
    """A row of `confirmations`, without its key."""
    return {
        "at": event.at,
        "profile": event.profile,
        "default_measured": to_plain(event.default),
        "best_measured": to_plain(event.best),
        "best_knobs": to_plain(event.best_knobs),
        "best_trial": event.best_trial,
        "ratio": to_plain([event.ratio_low, event.ratio_high]),
        "better": event.better,
    }


def finish_columns(event: RunFinished) -> Columns:
    """The columns of `runs` that are known at the end. What was confirmed before stays where `event` has none."""
    columns: Columns = {
        "state": str(RunState.of(event.state)),
        "reason": event.reason,
        "ended_at": event.at,
        "seconds": event.seconds,
        "left_in_force": event.left,
        "broker_restarts": event.broker_restarts,
        "workload_restarts": event.workload_restarts,
        "conf_path": event.conf_path,
    }
    known = {"default_measured": event.default, "best_measured": event.best, "best_knobs": event.best_knobs}
    return columns | {name: to_plain(value) for name, value in known.items() if value is not None}


def run_row(row: Mapping[str, Any]) -> RunRow:
    """A run; one that has not ended although its process is gone is `interrupted`."""
    owner = revive(Owner, row["owner"])
    # A write that waited in a spool may be older than the words of today.
    state, reason = RunState.of(row["state"]), row["reason"]
    if state not in ENDED and not owner.alive():  # of one on another machine only the next writer can tell
        state, reason = RunState.INTERRUPTED, reason or "the process that ran it is gone"
    info = RunInfo(
        preset=row["preset"],
        workload=row["workload"],
        profile=row["profile"],
        phases=tuple(row["phases"]),
        seed=row["seed"],
        config=row["config"],
        versions=row["versions"],
        started_at=row["started_at"],
        owner=owner,
        broker_kind=row["broker_kind"],
        mosquitto_path=row["mosquitto_path"],
        mosquitto_version=_version(row["mosquitto_version"]),
        pinned=row["pinned"],
        mode=row["mode"],
    )
    low, high = row["ratio"] or (None, None)
    return RunRow(
        id=row["id"],
        state=state,
        reason=reason,
        info=info,
        ended_at=row["ended_at"],
        trials=row["trials"],
        ok_trials=row["ok_trials"],
        broker_restarts=row["broker_restarts"],
        workload_restarts=row["workload_restarts"],
        seconds=row["seconds"],
        default=_measured(row["default_measured"]),
        best=_measured(row["best_measured"]),
        best_knobs=row["best_knobs"],
        best_trial=row["best_trial"],
        ratio_low=None if low is None else float(low),
        ratio_high=None if high is None else float(high),
        better=row["better"],
        left=row["left_in_force"],
        conf_path=row["conf_path"],
        broker=None if row["broker"] is None else revive(BrokerIdentity, row["broker"]),
        load=None if row["load"] is None else revive(LoadIdentity, row["load"]),
        resumed=row["resumed"],
    )


def trial_row(row: Mapping[str, Any]) -> TrialRow:
    """A trial."""
    window, applied = row["measured"], row["applied"]
    return TrialRow(
        run=row["run"],
        number=row["number"],
        at=row["at"],
        kind=row["kind"],
        verdict=row["verdict"],
        reason=row["reason"],
        knobs=row["knobs"],
        changed=tuple(row["changed"]),
        action=_numbers(row["action"]),
        pinned=row["pinned"],
        observation=_numbers(row["observation"]),
        next_observation=_numbers(row["next_observation"]),
        reward=row["reward"],
        reward_terms={name: float(value) for name, value in row["reward_terms"].items()},
        profile=row["profile"],
        version=_version(row["version"]),
        window=None if window is None else _window(window),
        applied=None if applied is None else revive(Applied, applied),
        usage=revive(Usage, row["usage"]),
        sample=row["sample"],
        timings=revive(Timings, row["timings"]),
        pid=row["pid"],
        broker_restarts=row["broker_restarts"],
        workload_restarts=row["workload_restarts"],
        agent=revive(AgentState, row["agent"]),
        is_best=row["is_best"],
        best_trial=row["best_trial"],
    )


def confirmation_row(row: Mapping[str, Any], windows: list[tuple[Which, Mapping[str, Any]]]) -> ConfirmationRow:
    """A comparison with its windows, given as (`default` or `best`, columns)."""
    low, high = row["ratio"]
    return ConfirmationRow(
        run=row["run"],
        number=row["number"],
        at=row["at"],
        profile=row["profile"],
        default=revive(Measured, row["default_measured"]),
        best=revive(Measured, row["best_measured"]),
        best_knobs=row["best_knobs"],
        best_trial=row["best_trial"],
        ratio_low=float(low),
        ratio_high=float(high),
        better=row["better"],
        windows=tuple((which, _window(data)) for which, data in windows),
    )


def ablation_columns(found: Ablation) -> Columns:
    """A row of `ablations`, without its key."""
    return {
        "at": found.at,
        "profile": found.profile,
        "best_trial": found.best_trial,
        "best_knobs": to_plain(found.best_knobs),
        "default_knobs": to_plain(found.default),
        "about": {"left_out": dict(found.left_out), "broke": list(found.broke), "dropped": list(found.dropped)},
        "windows": [{"turn": one.turn, "of": one.of, **to_plain(one.window.as_dict())} for one in found.windows],
    }


def ablation(row: Mapping[str, Any]) -> Ablation:
    """From a row of `ablations`."""
    about = row["about"]
    return Ablation(
        at=row["at"],
        profile=row["profile"],
        best_trial=row["best_trial"],
        best_knobs=row["best_knobs"],
        default=row["default_knobs"],
        windows=tuple(AblationWindow(one["turn"], one["of"], _window(one)) for one in row["windows"]),
        left_out=about["left_out"],
        broke=tuple(about["broke"]),
        dropped=tuple(about["dropped"]),
    )


def insight_row(row: Mapping[str, Any]) -> InsightRow:
    """What a run taught."""
    return InsightRow(row["run"], row["number"], row["at"], row["trials"], insight.from_json(row["loads"]))


def _window(data: Mapping[str, Any]) -> Window:
    pairs = tuple((float(bound), int(count)) for bound, count in data.get("histogram", ()))
    parts = tuple(revive(PartWindow, part) for part in data.get("parts", ()))
    live = LiveFigures.from_dict(data["live"]) if data.get("live") else None
    return replace(revive(Window, data), histogram=pairs, parts=parts, live=live)


def _or_none(value: float | None) -> float | None:
    # SQLite keeps no NaN and would make it NULL; PostgreSQL keeps it.
    return None if value is None or math.isnan(value) else float(value)


def _measured(data: Mapping[str, Any] | None) -> Measured | None:
    return None if data is None else revive(Measured, data)


def _numbers(data: list[Any]) -> tuple[float, ...]:
    return tuple(float(number) for number in data)


def _version(data: list[int]) -> Version:
    return data[0], data[1], data[2]


def _sample(sample: Sample | None) -> Any:
    if sample is None:
        return None
    plain = to_plain(sample)
    plain["sys"].pop("raw", None)  # some 60 topics, nearly all of them in the rates or of no use later
    return plain


def _broker_pid(event: TrialFinished) -> int | None:
    outcome = event.outcome
    if outcome.applied is not None:
        return outcome.applied.pid
    return outcome.sample.broker.pid if outcome.sample is not None else None
