"""What the screen shows. Plain data: no Textual, no clock, no thread; `fold` makes it of a session's events.

States, verdicts and kinds are texts here (the session's are `StrEnum`s, which equal them): the first frame is shown before
the modules that define them are imported.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from brokertuner_tui.knobs.catalogue import NAMES, Value

if TYPE_CHECKING:
    from brokertuner_tui.connection.tracker import ConnectionStatus
    from brokertuner_tui.telemetry.sample import Sample
    from brokertuner_tui.tuning import events
    from brokertuner_tui.tuning.events import TrialFinished
    from brokertuner_tui.workload.profile import Profile

Tone = Literal["plain", "quiet", "better", "worse", "best", "hand", "warning"]


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the log; `detail` holds what else there is to say (several lines)."""

    at: float
    glyph: str
    tone: Tone
    text: str
    detail: str = ""
    trial: int | None = None
    brief: str = ""
    """The same with what came of it first, for a line that is too narrow for all of it."""


@dataclass(frozen=True, slots=True)
class Point:
    """A trial, as far as the charts go. The figures are None unless the verdict is `ok`."""

    trial: int
    profile: str
    kind: str
    verdict: str
    on_time_per_s: float | None
    stderr: float
    received_per_s: float | None
    reward: float | None


@dataclass(frozen=True, slots=True)
class Reading:
    """A sample of the telemetry, as far as the sparklines go."""

    at_s: float
    cpu_percent: float
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Reference:
    """How the defaults do under one profile: the mean of the trials that measured them."""

    on_time_per_s: float
    stderr: float
    received_per_s: float
    p99_ms: float
    trials: int

    def plus(self, trial: TrialFinished) -> Reference:
        """The mean with one more trial."""
        window = trial.outcome.window
        if window is None:
            return self
        n = self.trials + 1
        return Reference(
            self.on_time_per_s + (window.goodput - self.on_time_per_s) / n,
            window.goodput_stderr if n == 1 else ((self.stderr * self.trials) ** 2 + window.goodput_stderr**2) ** 0.5 / n,
            self.received_per_s + (window.received_per_s - self.received_per_s) / n,
            self.p99_ms + (window.p99_ms - self.p99_ms) / n,
            n,
        )


@dataclass(frozen=True, slots=True)
class Model:
    """Everything that the screen shows. Replaced whole, never changed; parts that did not change stay the same objects."""

    run: events.RunStarted | None = None
    state: str = "starting"
    reason: str = ""
    """Why it is in this state."""
    started_at: float = 0.0
    """When the screen came up or the run started, seconds since the epoch."""
    phase: events.PhaseChanged | None = None
    sample: Sample | None = None
    readings: tuple[Reading, ...] = ()
    """The last two minutes, oldest first."""
    peak_rss_bytes: int = 0
    points: tuple[Point, ...] = ()
    trials: tuple[TrialFinished, ...] = ()
    knobs: Mapping[str, Value] = field(default_factory=dict)
    """In force on the broker."""
    before: Mapping[str, Value] = field(default_factory=dict)
    """In force in the trial before this one."""
    pinned: Mapping[str, Value] = field(default_factory=dict)
    asked: Mapping[str, Value] = field(default_factory=dict)
    """Values set by hand that are not in force yet."""
    by_hand: Mapping[str, Value] = field(default_factory=dict)
    """Values set by hand that are in force."""
    references: Mapping[str, Reference] = field(default_factory=dict)
    """By profile."""
    bests: Mapping[str, TrialFinished] = field(default_factory=dict)
    """By profile."""
    load: events.LoadChanged | None = None
    applied: events.BrokerChanged | None = None
    trouble: events.BrokerTrouble | None = None
    """The broker is down because of this."""
    links: Mapping[str, ConnectionStatus] = field(default_factory=dict)
    """Connections by name, at their last change of state; `connections` is younger."""
    proposal: events.Proposed | None = None
    """Waits for a person's word."""
    drift: events.Drifted | None = None
    """The broker was changed behind our back: waits for a person's word, too."""
    judged: events.Judged | None = None
    """The guard's last word on the SLO that was worth telling."""
    restarts: events.RestartsLeft | None = None
    confirming: events.ConfirmStep | None = None
    confirmed: events.Confirmed | None = None
    explained: events.Explained | None = None
    """What the run has taught, when it came to an end last."""
    finished: events.RunFinished | None = None
    leaving: str = ""
    """Why the screen is about to close (empty: it is not)."""
    log: tuple[LogLine, ...] = ()
    """Newest first."""

    @property
    def agent(self) -> ConnectionStatus | None:
        """The connection to the agent that has the broker; None where there is none."""
        return (self.sample.connection if self.sample else None) or self.links.get("agent")

    @property
    def connections(self) -> Mapping[str, ConnectionStatus]:
        """Every connection that is kept up, by name: `agent`, `heartbeat`, `$SYS`."""
        return self.sample.connections if self.sample and self.sample.connections else self.links

    @property
    def profile(self) -> Profile | None:
        """The load that runs now."""
        if self.sample is not None and self.sample.load.profile is not None:
            return self.sample.load.profile
        return self.load.profile if self.load else self.run.profile if self.run else None

    @property
    def reference(self) -> Reference | None:
        """How the defaults do under the load that runs now."""
        return self.references.get(self.profile.name) if self.profile else None

    @property
    def best(self) -> TrialFinished | None:
        """The best trial under the load that runs now."""
        return self.bests.get(self.profile.name) if self.profile else None

    @property
    def last(self) -> TrialFinished | None:
        """The trial that ended last."""
        return self.trials[-1] if self.trials else None

    @property
    def defaults(self) -> Mapping[str, Value]:
        """The broker's own."""
        return self.run.defaults if self.run else {}

    @property
    def changed(self) -> Mapping[str, Value]:
        """Knobs that are not what they were in the trial before, and what they were then."""
        return {
            name: self.before[name]
            for name in NAMES
            if name in self.before and name in self.knobs and self.before[name] != self.knobs[name]
        }

    @property
    def total(self) -> int:
        """Trials that the run is to have (more, once the operator has asked for more)."""
        total = self.run.total_timesteps if self.run else 0
        return total * max(1, -(-len(self.points) // total)) if total else 0

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self.state in ("completed", "cancelled", "failed")

    @property
    def concluded(self) -> bool:
        """Whether the last trials are confirmed, and the run only waits for the operator."""
        confirmed, last = self.confirmed, self.last
        return self.state == "paused" and confirmed is not None and last is not None and confirmed.at >= last.at

    @property
    def question(self) -> str:
        """What waits for a person's word, in a few words; empty where nothing does."""
        if self.ended:
            return ""
        if self.drift is not None:
            return "the broker was changed by somebody else"
        return "a proposal waits" if self.proposal is not None and self.state == "paused" else ""

    @property
    def reads_only(self) -> bool:
        """Whether this session changes nothing of the broker, whoever asks."""
        return self.run is not None and self.run.read_only

    @property
    def mode(self) -> str:
        """Who applies, in a word; empty before the run has begun."""
        return "" if self.run is None else "read-only" if self.run.read_only else str(self.run.mode)

    @property
    def broker_down(self) -> str:
        """Why the broker is down; empty while it is up, or not up yet, or ended on purpose."""
        if self.ended or self.state == "stopping":
            return ""
        if self.trouble is not None and self.trouble.given_up:
            return self.trouble.message
        if self.sample is not None and self.sample.broker.state == "failed":
            return self.sample.broker.error or (self.trouble.message if self.trouble else "the broker failed")
        return self.trouble.message if self.trouble else ""


def asked_for(model: Model, knob: str, value: Value) -> Model:
    """The operator has sent a value for `knob`; it is shown as asked for until it is in force."""
    return replace(model, asked={**model.asked, knob: value})


def leave(model: Model, why: str) -> Model:
    """The screen is about to close."""
    return replace(model, leaving=why)


def restarts_text(event: events.RestartsLeft) -> str:
    """`no restarts until 18:00`, `2 restarts left this hour`; empty where there is no limit."""
    if event.until is not None:
        return f"no restarts until {time.strftime('%H:%M', time.localtime(event.until))}"
    return "" if event.left is None else f"{event.left} restart{'s' * (event.left != 1)} left this hour"
