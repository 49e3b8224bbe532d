"""What the screen shows, folded out of a session's events. Pure: no Textual, no clock, no thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

from brokertuner_tui.env.outcome import Verdict
from brokertuner_tui.knobs.catalogue import NAMES, Value
from brokertuner_tui.telemetry.sample import Sample
from brokertuner_tui.tui import sentences
from brokertuner_tui.tui.sentences import LogLine
from brokertuner_tui.tuning import events
from brokertuner_tui.tuning.events import Event, State, TrialFinished, TrialKind
from brokertuner_tui.workload.profile import Profile

KEPT_TRIALS = 500
"""Trials whose every detail can be looked at; of older ones only the point in the chart is kept."""
KEPT_LINES = 1000
TELEMETRY_S = 120.0


@dataclass(frozen=True, slots=True)
class Point:
    """A trial, as far as the charts go. The figures are None unless the verdict is `ok`."""

    trial: int
    profile: str
    kind: TrialKind
    verdict: Verdict
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
            self.on_time_per_s + (window.on_time_per_s - self.on_time_per_s) / n,
            window.on_time_stderr if n == 1 else ((self.stderr * self.trials) ** 2 + window.on_time_stderr**2) ** 0.5 / n,
            self.received_per_s + (window.received_per_s - self.received_per_s) / n,
            self.p99_ms + (window.p99_ms - self.p99_ms) / n,
            n,
        )


@dataclass(frozen=True, slots=True)
class Model:
    """Everything that the screen shows. Replaced whole, never changed; parts that did not change stay the same objects."""

    run: events.RunStarted | None = None
    state: State = State.STARTING
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
    confirming: events.ConfirmStep | None = None
    confirmed: events.Confirmed | None = None
    finished: events.RunFinished | None = None
    leaving: str = ""
    """Why the screen is about to close (empty: it is not)."""
    log: tuple[LogLine, ...] = ()
    """Newest first."""

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
    def broker_down(self) -> str:
        """Why the broker is down; empty while it is up, or not up yet, or ended on purpose."""
        if self.state.ended or self.state is State.STOPPING:
            return ""
        if self.sample is not None and self.sample.broker.state == "failed":
            return self.sample.broker.error or (self.trouble.message if self.trouble else "the broker failed")
        return self.trouble.message if self.trouble else ""


def fold(model: Model, new: Iterable[Event]) -> Model:
    """The model after `new` events, oldest first. Kinds that it does not know are passed over."""
    return reduce(_fold, new, model)


def _fold(model: Model, event: Event) -> Model:
    step = _STEPS.get(type(event))
    if step is not None:
        line = sentences.describe(event, model)
        model = step(model, event)
        if line is not None:
            model = replace(model, log=(line, *model.log[: KEPT_LINES - 1]))
    return model


def asked_for(model: Model, knob: str, value: Value) -> Model:
    """The operator has sent a value for `knob`; it is shown as asked for until it is in force."""
    return replace(model, asked={**model.asked, knob: value})


def leave(model: Model, why: str) -> Model:
    """The screen is about to close."""
    return replace(model, leaving=why)


def _run_started(model: Model, event: events.RunStarted) -> Model:
    return replace(model, run=event, started_at=event.at, pinned=event.pinned)


def _state(model: Model, event: events.StateChanged) -> Model:
    phase = None if event.state in (State.PAUSED, State.STOPPING) or event.state.ended else model.phase
    confirming = model.confirming if event.state is State.CONFIRMING else None
    return replace(model, state=event.state, reason=event.reason, phase=phase, confirming=confirming)


def _phase(model: Model, event: events.PhaseChanged) -> Model:
    # Telemetry gives way to newer telemetry, so a phase may arrive after the pause that followed it.
    return model if model.state is State.PAUSED or model.state.ended else replace(model, phase=event)


def _sampled(model: Model, event: events.Sampled) -> Model:
    sample = event.sample
    reading = Reading(sample.at_s, sample.process.cpu_percent, sample.process.rss_bytes)
    readings = tuple(old for old in model.readings if sample.at_s - old.at_s < TELEMETRY_S)
    model = replace(
        model,
        sample=sample,
        readings=(*readings, reading),
        peak_rss_bytes=max(model.peak_rss_bytes, sample.process.rss_bytes),
        trouble=None if sample.broker.state == "listening" else model.trouble,
    )
    return _in_force(model, sample.broker.knobs) if sample.broker.knobs else model


def _in_force(model: Model, knobs: Mapping[str, Value]) -> Model:
    if knobs == model.knobs:
        return model
    arrived = {name: value for name, value in model.asked.items() if knobs.get(name) == value}
    by_hand = {name: value for name, value in {**model.by_hand, **arrived}.items() if knobs.get(name) == value}
    asked = {name: value for name, value in model.asked.items() if name not in arrived}
    last = model.last.outcome.knobs if model.last else model.before
    before = last if last != knobs else model.before
    return replace(model, knobs=dict(knobs), before=before, asked=asked, by_hand=by_hand)


def _trial(model: Model, event: TrialFinished) -> Model:
    window, profile = event.outcome.window, event.outcome.profile.name
    point = Point(
        event.trial,
        profile,
        event.kind,
        event.verdict,
        window.on_time_per_s if window else None,
        window.on_time_stderr if window else 0.0,
        window.received_per_s if window else None,
        event.reward,
    )
    references, bests = model.references, model.bests
    if event.kind is TrialKind.DEFAULT and event.verdict is Verdict.OK:
        references = {**references, profile: references.get(profile, Reference(0.0, 0.0, 0.0, 0.0, 0)).plus(event)}
    trials = (*model.trials[-KEPT_TRIALS + 1 :], event)
    best = _find(trials, event.best_trial) or bests.get(profile)
    if best is not None and event.best_trial is not None:
        bests = {**bests, profile: best}
    before = model.trials[-1].outcome.knobs if model.trials else model.before or model.defaults
    # A trial that was set by hand and failed: what was asked for will not come any more.
    asked = {} if event.kind is TrialKind.MANUAL else model.asked
    model = replace(model, points=(*model.points, point), trials=trials, references=references, bests=bests, asked=asked)
    model = _in_force(model, event.outcome.knobs) if event.verdict is Verdict.OK else model
    return replace(model, before=before)


def _find(trials: tuple[TrialFinished, ...], number: int | None) -> TrialFinished | None:
    return next((trial for trial in reversed(trials) if trial.trial == number), None)


def _broker_changed(model: Model, event: events.BrokerChanged) -> Model:
    return _in_force(replace(model, applied=event, trouble=None), event.applied.knobs)


def _trouble(model: Model, event: events.BrokerTrouble) -> Model:
    return replace(model, trouble=None if event.recovered else event, asked={})


_STEPS: Mapping[type[Event], Callable[[Model, Any], Model]] = {
    events.RunStarted: _run_started,
    events.StateChanged: _state,
    events.PhaseChanged: _phase,
    events.Sampled: _sampled,
    events.TrialFinished: _trial,
    events.BrokerChanged: _broker_changed,
    events.BrokerTrouble: _trouble,
    events.LoadChanged: lambda model, event: replace(model, load=event),
    events.PinsChanged: lambda model, event: replace(model, pinned=event.pinned),
    events.ConfirmStep: lambda model, event: replace(model, confirming=event),
    events.Confirmed: lambda model, event: replace(model, confirmed=event, confirming=None),
    events.Notice: lambda model, event: model,
    events.RunFinished: lambda model, event: replace(
        model, finished=event, state=event.state, reason=event.reason, phase=None, trouble=None
    ),
}
