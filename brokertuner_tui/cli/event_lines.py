"""Events as objects of JSON, one a line: what scripts read from `train --json`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from brokertuner_tui import insight
from brokertuner_tui.store.plain import finite
from brokertuner_tui.tuning import events
from brokertuner_tui.tuning.events import Event, Measured

_FIGURES = (
    "seconds",
    "on_time_per_s",
    "on_time_stderr",
    "received_per_s",
    "sent_per_s",
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "p99_low_ms",
    "p99_high_ms",
    "max_ms",
    "late",
    "lost",
    "duplicated",
)


def line(event: Event, *, telemetry: bool = False) -> dict[str, Any] | None:
    """The object for `event`, with finite numbers and null; None for a kind that is not asked for.

    `telemetry` adds samples and phases, several a second.
    """
    if isinstance(event, events.Sampled | events.PhaseChanged | events.ConfirmStep) and not telemetry:
        return None
    writer = _WRITERS.get(type(event))
    if writer is None:
        return None
    name, values = writer(event)
    made: dict[str, Any] = finite({"event": name, "at": event.at, **values})
    return made


def summary(event: events.RunFinished) -> dict[str, Any]:
    """The last line; its keys are a promise to scripts."""
    made: dict[str, Any] = finite(
        {
            "event": "summary",
            "run": event.run,
            "state": event.state,
            "trials": event.trials,
            "seconds": event.seconds,
            "default": _figures(event.default),
            "best": None if event.best is None else {**_figures(event.best), "knobs": event.best_knobs},
            "broker_restarts": event.broker_restarts,
            "workload_restarts": event.workload_restarts,
        }
    )
    return made


def error_line(message: str, exit_code: int) -> dict[str, Any]:
    """Why the run failed."""
    return {"event": "error", "message": message, "exit_code": int(exit_code)}


def _figures(measured: Measured | None) -> Any:
    if measured is None:
        return None
    return {name: getattr(measured, name) for name in ("on_time_per_s", "low", "high", "p99_ms")}


_Line = tuple[str, dict[str, Any]]


def _started(event: events.RunStarted) -> _Line:
    values = _fields(event, "run", "preset", "workload", "broker_kind", "host", "port", "total_timesteps")
    values |= _fields(event, "profile", "defaults", "pinned", "save_dir", "mode", "read_only", "limits")
    return "run", {**values, "mosquitto": ".".join(map(str, event.version))}


def _trial(event: events.TrialFinished) -> _Line:
    outcome, window, applied = event.outcome, event.outcome.window, event.outcome.applied
    values: dict[str, Any] = {
        "trial": event.trial,
        "kind": event.kind,
        "verdict": outcome.verdict,
        "reason": outcome.reason,
        "profile": outcome.profile.name,
        "knobs": outcome.knobs,
        "changed": event.changed,
        "reward": event.reward,
        "reward_terms": event.reward_terms,
    }
    values |= {name: None if window is None else getattr(window, name) for name in _FIGURES}
    values |= _fields(outcome.usage, "cpu_percent", "rss_bytes", "ctx_switches_per_s")
    values["applied"] = (
        None if applied is None else {"how": applied.how, "pid": applied.pid, "old_pid": applied.old_pid, "s": applied.total_s}
    )
    values |= {"timings": outcome.timings, "agent": event.agent, "is_best": event.is_best, "best_trial": event.best_trial}
    return "trial", values


def _broker(event: events.BrokerChanged) -> _Line:
    applied = event.applied
    values = _fields(applied, "how", "pid", "old_pid", "changed", "knobs", "checks", "total_s")
    return "broker", {"state": "ready", "why": event.why, **values}


def _trouble(event: events.BrokerTrouble) -> _Line:
    state = "recovered" if event.recovered else "down"
    return "broker", {"state": state, "why": event.message, "log": event.log, **_fields(event, "next_attempt_s", "given_up")}


def _sample(event: events.Sampled) -> _Line:
    sample = event.sample
    sys = {name: value for name, value in finite(sample.sys).items() if name != "raw"}
    values = _fields(sample, "sent_per_s", "received_per_s", "on_time_per_s", "process")
    values["broker"] = _fields(sample.broker, "state", "pid", "host", "port", "started_at", "restarts", "error")
    values["load"] = _fields(sample.load, "state", "pid", "connected", "wanted", "reconnects", "generator_cpu", "error")
    return "sample", {**values, "sys": sys}


def _fields(source: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(source, name) for name in names}


_WRITERS: Mapping[type[Event], Callable[[Any], _Line]] = {
    events.RunStarted: _started,
    events.StateChanged: lambda event: ("state", _fields(event, "state", "reason")),
    events.PhaseChanged: lambda event: ("phase", _fields(event, "trial", "phase", "seconds")),
    events.Sampled: _sample,
    events.TrialFinished: _trial,
    events.BrokerChanged: _broker,
    events.BrokerTrouble: _trouble,
    events.LoadChanged: lambda event: (
        "load",
        {**_fields(event, "message", "level", "restarts"), "profile": event.profile.name},
    ),
    events.ConnectionChanged: lambda event: (
        "connection",
        {
            "connection": event.name,
            **_fields(event.connection, "name", "state", "since", "attempts", "last_heartbeat", "last_error", "next_attempt_s"),
        },
    ),
    events.Proposed: lambda event: (
        "proposal",
        _fields(event, "trial", "knobs", "changed", "needs_restart", "source", "why"),
    ),
    events.Judged: lambda event: (
        "slo",
        _fields(event, "trial", "verdict", "reasons", "in_a_row", "rolled_back"),
    ),
    events.RestartsLeft: lambda event: ("restarts_left", _fields(event, "left", "until", "why")),
    events.Drifted: lambda event: ("drift", _fields(event, "differences")),
    events.PinsChanged: lambda event: ("pins", _fields(event, "pinned")),
    events.ConfirmStep: lambda event: ("confirming", _fields(event, "done", "total", "what")),
    events.Confirmed: lambda event: (
        "confirmed",
        _fields(event, "profile", "default", "best", "best_knobs", "best_trial", "ratio_low", "ratio_high", "better"),
    ),
    events.Explained: lambda event: ("insight", {"trials": event.trials, "loads": insight.to_json(event.loads)}),
    events.Notice: lambda event: ("notice", _fields(event, "message", "level")),
    events.RunFinished: lambda event: (
        "ended",
        {**_fields(event, "run", "state", "reason", "left"), "conf": event.conf_path},
    ),
}
