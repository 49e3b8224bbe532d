"""What a session tells. Frozen; every front end reads the same ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from brokertuner_tui.broker.interface import Applied, Difference
from brokertuner_tui.connection.tracker import ConnectionStatus
from brokertuner_tui.env.outcome import Outcome, Verdict
from brokertuner_tui.env.outcome import PhaseName as PhaseName
from brokertuner_tui.insight.results import LoadInsight
from brokertuner_tui.knobs.catalogue import Value, Version
from brokertuner_tui.telemetry.sample import Sample
from brokertuner_tui.workload.profile import Profile

Level = Literal["info", "warning", "error"]
Mode = Literal["recommend", "guarded", "autonomous"]
Left = Literal["best", "default", "current", "nothing"]
"""What is in force on the broker at the end of a run (`nothing`: it never was in our hands)."""


class State(StrEnum):
    """Where the session stands."""

    STARTING = "starting"
    TUNING = "tuning"
    STEPPING = "stepping"
    """One trial, then paused."""
    PAUSED = "paused"
    CONFIRMING = "confirming"
    STOPPING = "stopping"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether nothing will follow."""
        return self in (State.COMPLETED, State.CANCELLED, State.FAILED)


class SloVerdict(StrEnum):
    """Whether the broker keeps its SLO with what is in force."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class TrialKind(StrEnum):
    """Why a trial was run."""

    DEFAULT = "default"
    """The broker's own defaults, as the reference."""
    WARM_UP = "warm-up"
    """A spread of settings before the actor knows anything."""
    AGENT = "agent"
    """Proposed by the agent."""
    BEST = "best"
    """The best so far, measured again."""
    MANUAL = "manual"
    """Set by the operator."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, with the time of the wall clock, seconds since the epoch."""

    at: float


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """The run has its record, the broker runs, the load is asked for."""

    run: str
    preset: str
    workload: str
    profile: Profile
    version: Version
    broker_kind: str
    host: str
    port: int
    total_timesteps: int
    defaults: Mapping[str, Value]
    pinned: Mapping[str, Value]
    save_dir: str
    mode: Mode = "guarded"
    read_only: bool = False
    limits: tuple[str, ...] = ()
    """What the guard minds, in words; none: there is no SLO."""


@dataclass(frozen=True, slots=True)
class StateChanged(Event):
    """The session went over to another state."""

    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PhaseChanged(Event):
    """A trial went over to its next phase; `seconds` is how long it will take, 0 if that is not known."""

    trial: int
    phase: PhaseName
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Sampled(Event):
    """A reading of the telemetry (latest wins: a slow reader misses older ones)."""

    sample: Sample


@dataclass(frozen=True, slots=True)
class AgentState:
    """How the agent stands after a trial."""

    source: str
    """Where the last action came from: `warm-up`, `actor`, `candidate`, ..."""
    noise: float
    critic_loss: float | None
    actor_loss: float | None
    buffer: int
    updates: int
    why: str = ""
    """One sentence on what it goes by."""


@dataclass(frozen=True, slots=True)
class TrialFinished(Event):
    """A trial is in the store."""

    trial: int
    kind: TrialKind
    outcome: Outcome
    reward: float | None
    """None unless the verdict is `ok`."""
    reward_terms: Mapping[str, float]
    action: tuple[float, ...]
    """Shape (11,): what was executed, encoded."""
    observation: tuple[float, ...]
    """What the agent saw when it chose."""
    next_observation: tuple[float, ...]
    agent: AgentState
    changed: tuple[str, ...]
    """Knobs that differ from the trial before."""
    is_best: bool
    best_trial: int | None

    @property
    def verdict(self) -> Verdict:
        """How it ended."""
        return self.outcome.verdict


@dataclass(frozen=True, slots=True)
class BrokerChanged(Event):
    """The broker was started, changed or restarted outside or inside a trial, and verified; `why` in a few words."""

    applied: Applied
    why: str


@dataclass(frozen=True, slots=True)
class BrokerTrouble(Event):
    """The broker died or refused; `log` has its own words; `recovered` says whether it is back."""

    message: str
    log: str
    recovered: bool
    next_attempt_s: float | None = None
    """Until it is tried again; None: it is not waited for that."""
    given_up: bool = False
    """It is tried again when a person wants it."""


@dataclass(frozen=True, slots=True)
class LoadChanged(Event):
    """The load was started, restarted, died, changed its profile, or has been healthy for long."""

    message: str
    profile: Profile
    restarts: int
    level: Level = "info"


@dataclass(frozen=True, slots=True)
class ConnectionChanged(Event):
    """A connection came into another state."""

    connection: ConnectionStatus
    name: str = "agent"
    """Which one, as in `Sample.connections`: `agent` (that has the broker), `heartbeat`, `$SYS`."""


@dataclass(frozen=True, slots=True)
class Proposed(Event):
    """In the mode `recommend`: what the agent would try next; a person applies it (`ApplyProposal`) or not (`SkipProposal`)."""

    trial: int
    """The trial that would measure it."""
    knobs: Mapping[str, Value]
    changed: tuple[str, ...]
    """Knobs that differ from those in force."""
    needs_restart: bool
    source: str
    why: str


@dataclass(frozen=True, slots=True)
class Judged(Event):
    """The guard's word on the SLO after a trial; told when it is not `pass`, and when it is again."""

    trial: int
    verdict: SloVerdict
    reasons: tuple[str, ...]
    """One sentence for each limit that was missed, or why nothing can be said."""
    in_a_row: int
    """Windows with this verdict in a row, this one included."""
    rolled_back: bool
    """Whether the last known good is being put back because of it."""


@dataclass(frozen=True, slots=True)
class RestartsLeft(Event):
    """How many restarts the agent may still cause; told when it changes."""

    left: int | None
    """In this hour; None: there is no limit."""
    until: float | None
    """Restarts are not allowed before this time (the epoch's seconds); None: they are."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Drifted(Event):
    """The config in force was changed behind our back, and the session waits (`Reconcile`); empty: that is settled."""

    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class PinsChanged(Event):
    """The knobs that the agent must leave alone, and their values, all of them."""

    pinned: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure from confirming windows: mean and 95 % interval (Student's t), and the median p99."""

    on_time_per_s: float
    low: float
    high: float
    received_per_s: float
    on_time_share: float
    """Of what was delivered."""
    p99_ms: float
    windows: int
    in_percent: bool = False
    """Of live traffic: the first three are not messages a second but the share in time and delivered, in per cent, relative
    to what the default delivers of what is offered (`tuning.statistics.figures`)."""


@dataclass(frozen=True, slots=True)
class ConfirmStep(Event):
    """One window at the end of a run is over: `done` of `total`."""

    done: int
    total: int
    what: Literal["best", "knobs"] = "best"
    """What it is for: whether the best is better than the default, or what each of its knobs is worth."""


@dataclass(frozen=True, slots=True)
class Confirmed(Event):
    """Default and best were measured in turns. `better`: the intervals of their difference are above 0."""

    profile: str
    """The profile that ran while they were measured."""
    default: Measured
    best: Measured
    best_knobs: Mapping[str, Value]
    best_trial: int
    ratio_low: float
    ratio_high: float
    """95 % interval of best over default; infinite where the default delivers nothing on time."""
    better: bool


@dataclass(frozen=True, slots=True)
class Explained(Event):
    """What the first `trials` trials of the run taught, load by load."""

    trials: int
    loads: tuple[LoadInsight, ...]


@dataclass(frozen=True, slots=True)
class Notice(Event):
    """A sentence for the operator."""

    message: str
    level: Level = "info"


@dataclass(frozen=True, slots=True)
class RunFinished(Event):
    """The last event of a run."""

    run: str
    state: State
    reason: str
    trials: int
    seconds: float
    default: Measured | None
    best: Measured | None
    best_knobs: Mapping[str, Value] | None
    left: Left
    broker_restarts: int
    workload_restarts: int
    conf_path: str | None
    """The config file to take away."""
