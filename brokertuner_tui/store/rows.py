"""What the store takes and gives: plain, frozen data, without a trace of the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from brokertuner_tui.broker.interface import Applied
from brokertuner_tui.env.outcome import Timings, Usage
from brokertuner_tui.insight.results import LoadInsight
from brokertuner_tui.knobs.catalogue import Value, Version
from brokertuner_tui.process.owner import Owner
from brokertuner_tui.tuning.events import AgentState, Measured
from brokertuner_tui.workload.window import Window

Which = Literal["default", "best"]


class RunState(StrEnum):
    """Where a run stands, as its record says."""

    CREATED = "created"
    """It has its record; the broker is being started."""
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    """Its process is gone although it had not ended."""

    @classmethod
    def of(cls, word: str) -> RunState:
        """From a session's word (`tuning.events.State`), or one of these."""
        return cls(_OF_SESSION.get(str(word), str(word)))


_OF_SESSION = {
    "starting": "created",
    "tuning": "running",
    "stepping": "running",
    "confirming": "running",
    "stopping": "running",
}
INTERRUPTED = RunState.INTERRUPTED
ENDED = (RunState.COMPLETED, RunState.CANCELLED, RunState.FAILED, RunState.INTERRUPTED)


@dataclass(frozen=True, slots=True)
class BrokerIdentity:
    """The broker's process, and where it is."""

    pid: int | None = None
    created_at: float | None = None
    """Seconds since the epoch."""
    host: str = ""
    port: int = 0
    place: str = ""
    """The folder of a broker of ours, the knob file of another, the agent's URL."""
    ours: bool = False
    """Whether it is to end with its run."""


@dataclass(frozen=True, slots=True)
class LoadIdentity:
    """The load's process, which ends with its run."""

    pid: int | None = None
    created_at: float | None = None
    """Seconds since the epoch."""


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
    """Who runs it; of a resumed run, who does now."""
    mode: str = "guarded"


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as it is in the store; what is measured at the end is None before that."""

    id: str
    state: RunState
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
    broker: BrokerIdentity | None = None
    load: LoadIdentity | None = None
    resumed: int = 0
    """How often."""

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
    pinned: Mapping[str, Value] | None
    """What the agent had to leave alone; None in trials that are older than schema version 2."""
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


@dataclass(frozen=True, slots=True)
class InsightRow:
    """What a run had taught at one of its ends."""

    run: str
    number: int
    at: float
    trials: int
    """That it rests on: it is out of date when the run has more."""
    loads: tuple[LoadInsight, ...]
