"""What the store takes and gives: plain, frozen data, without a trace of the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from brokertuner_tui.broker.interface import Applied
from brokertuner_tui.env.outcome import Timings, Usage
from brokertuner_tui.knobs.catalogue import Value, Version
from brokertuner_tui.store.owner import Owner
from brokertuner_tui.tuning.events import AgentState, Measured
from brokertuner_tui.workload.window import Window

INTERRUPTED = "interrupted"
"""The state of a run whose process is gone although it had not ended; the others are `tuning.events.State`'s."""
Which = Literal["default", "best"]
ENDED = ("completed", "cancelled", "failed", INTERRUPTED)


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What is known when a run begins."""

    preset: str
    workload: str
    profile: Mapping[str, Any]
    """The (first) profile, as `Profile.as_dict` gives it."""
    seed: int
    config: Mapping[str, Any]
    """Every setting in effect."""
    started_at: float
    """Seconds since the epoch."""
    broker_kind: str
    mosquitto_path: str
    mosquitto_version: Version
    pinned: Mapping[str, Value] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of us, Python, and the packages that matter."""
    phases: tuple[Mapping[str, Any], ...] = ()
    """`{"profile": {...}, "seconds": ...}` each, where the workload has several."""
    owner: Owner = field(default_factory=Owner.this_process)


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as it is in the store; what is measured at the end is None before that."""

    id: str
    state: str
    """A `tuning.events.State`, or `interrupted`: its process is gone."""
    reason: str
    info: RunInfo
    ended_at: float | None
    trials: int
    ok_trials: int
    broker_restarts: int
    workload_restarts: int
    seconds: float | None
    default: Measured | None
    best: Measured | None
    best_knobs: Mapping[str, Value] | None
    best_trial: int | None
    ratio_low: float | None
    ratio_high: float | None
    better: bool | None
    """Whether the confirming windows show best above default beyond doubt."""
    left: str | None
    conf_path: str | None

    @property
    def running(self) -> bool:
        """Whether its process is at it."""
        return self.state not in ENDED


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One trial as it is in the store."""

    run: str
    number: int
    at: float
    kind: str
    verdict: str
    reason: str
    knobs: Mapping[str, Value]
    changed: tuple[str, ...]
    action: tuple[float, ...]
    observation: tuple[float, ...]
    next_observation: tuple[float, ...]
    reward: float | None
    reward_terms: Mapping[str, float]
    profile: Mapping[str, Any]
    version: Version
    window: Window | None
    applied: Applied | None
    usage: Usage
    sample: Mapping[str, Any] | None
    """The last reading of the telemetry, without the raw `$SYS` topics."""
    timings: Timings
    pid: int | None
    """Of the broker."""
    broker_restarts: int
    workload_restarts: int
    """Both since the run began."""
    agent: AgentState
    is_best: bool
    best_trial: int | None


@dataclass(frozen=True, slots=True)
class ConfirmationRow:
    """One comparison of default and best."""

    run: str
    number: int
    at: float
    profile: str
    """Name of the load's profile under which both were measured."""
    default: Measured
    best: Measured
    best_knobs: Mapping[str, Value]
    best_trial: int
    ratio_low: float
    ratio_high: float
    better: bool
    windows: tuple[tuple[Which, Window], ...]
    """What it rests on, in the order of time."""
