"""The model after events. Pure: no Textual, no clock, no thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import reduce
from typing import Any

from brokertuner_tui.env.outcome import Verdict
from brokertuner_tui.knobs.catalogue import Value
from brokertuner_tui.tui import sentences
from brokertuner_tui.tui.model import Model, Point, Reading, Reference
from brokertuner_tui.tuning import events
from brokertuner_tui.tuning.events import Event, State, TrialFinished, TrialKind

KEPT_TRIALS = 500
"""Trials whose every detail can be looked at; of older ones only the point in the chart is kept."""
KEPT_LINES = 1000
TELEMETRY_S = 120.0


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


def _run_started(model: Model, event: events.RunStarted) -> Model:
    return replace(model, run=event, started_at=event.at, pinned=event.pinned)


def _state(model: Model, event: events.StateChanged) -> Model:
    phase = None if event.state in (State.PAUSED, State.STOPPING) or event.state.ended else model.phase
    confirming = model.confirming if event.state is State.CONFIRMING else None
    return replace(model, state=event.state, reason=event.reason, phase=phase, confirming=confirming)


def _phase(model: Model, event: events.PhaseChanged) -> Model:
    # Telemetry gives way to newer telemetry, so a phase may arrive after the pause that followed it.
    return model if model.state == State.PAUSED or model.ended else replace(model, phase=event)


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
        window.goodput if window else None,
        window.goodput_stderr if window else 0.0,
        window.received_per_s if window and window.live is None else None,
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
    proposal = model.proposal if model.proposal is not None and model.proposal.trial > event.trial else None
    # A trial that was set by hand and failed: what was asked for will not come any more.
    asked = {} if event.kind is TrialKind.MANUAL else model.asked
    model = replace(model, points=(*model.points, point), trials=trials, references=references, bests=bests, asked=asked)
    model = replace(model, proposal=proposal)
    model = _in_force(model, event.outcome.knobs) if event.verdict is Verdict.OK else model
    return replace(model, before=before)


def _find(trials: tuple[TrialFinished, ...], number: int | None) -> TrialFinished | None:
    return next((trial for trial in reversed(trials) if trial.trial == number), None)


def _broker_changed(model: Model, event: events.BrokerChanged) -> Model:
    return _in_force(replace(model, applied=event, trouble=None), event.applied.knobs)


def _trouble(model: Model, event: events.BrokerTrouble) -> Model:
    return replace(model, trouble=None if event.recovered else event, asked={})


def _connection_changed(model: Model, event: events.ConnectionChanged) -> Model:
    return replace(model, links={**model.links, event.name: event.connection})


_STEPS: Mapping[type[Event], Callable[[Model, Any], Model]] = {
    events.RunStarted: _run_started,
    events.StateChanged: _state,
    events.PhaseChanged: _phase,
    events.Sampled: _sampled,
    events.TrialFinished: _trial,
    events.BrokerChanged: _broker_changed,
    events.BrokerTrouble: _trouble,
    events.LoadChanged: lambda model, event: replace(model, load=event),
    events.ConnectionChanged: _connection_changed,
    events.PinsChanged: lambda model, event: replace(model, pinned=event.pinned),
    events.Proposed: lambda model, event: replace(model, proposal=event),
    events.Drifted: lambda model, event: replace(model, drift=event if event.differences else None),
    events.Judged: lambda model, event: replace(model, judged=event),
    events.RestartsLeft: lambda model, event: replace(model, restarts=event),
    events.ConfirmStep: lambda model, event: replace(model, confirming=event),
    events.Confirmed: lambda model, event: replace(model, confirmed=event, confirming=None),
    events.Explained: lambda model, event: replace(model, explained=event),
    events.Notice: lambda model, event: model,
    events.RunFinished: lambda model, event: replace(
        model, finished=event, state=event.state, reason=event.reason, phase=None, trouble=None
    ),
}
