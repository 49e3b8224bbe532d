"""What an operator can ask of a running session, on a real broker."""

from __future__ import annotations

import time

from brokertuner_tui.telemetry.sample import Sample
from brokertuner_tui.tuning.commands import (
    ApplyBest,
    ApplyDefaults,
    Pause,
    Pin,
    RestartBroker,
    RestartLoad,
    Resume,
    SetKnob,
    Step,
    Unpin,
)
from brokertuner_tui.tuning.events import (
    BrokerChanged,
    LoadChanged,
    Notice,
    PinsChanged,
    RunStarted,
    Sampled,
    State,
    StateChanged,
    TrialFinished,
    TrialKind,
)
from tests.tuning.conftest import Bench, Reader


def _sample(reader: Reader) -> Sample:
    return reader.wait_for(Sampled).sample


def _paused(reader: Reader) -> StateChanged:
    return reader.wait_for(StateChanged, lambda event: event.state is State.PAUSED)


def test_while_paused_nothing_changes_and_telemetry_goes_on(bench: Bench) -> None:
    session, reader = bench.start(bench.settings(total_timesteps=1000))
    reader.wait_for(TrialFinished, lambda event: event.trial == 2)
    session.send(Pause())
    _paused(reader)
    time.sleep(0.5)  # the window that was being measured ends; nothing may follow it
    reader.of(TrialFinished)
    before = _sample(reader)
    samples = [_sample(reader) for _ in range(5)]
    assert {sample.broker.pid for sample in samples} == {before.broker.pid}
    assert all(sample.broker.knobs == before.broker.knobs for sample in samples)
    assert samples[-1].at_s > samples[0].at_s
    assert samples[-1].received_per_s > 0
    count = len(reader.of(TrialFinished))
    session.send(Resume())
    reader.wait_for(TrialFinished)
    assert len(reader.of(TrialFinished)) == count + 1


def test_step_runs_one_trial_and_pauses(bench: Bench) -> None:
    session, reader = bench.start(bench.settings(total_timesteps=1000))
    reader.wait_for(TrialFinished, lambda event: event.trial == 1)
    session.send(Pause())
    _paused(reader)
    time.sleep(0.5)
    count = len(reader.of(TrialFinished))
    session.send(Step())
    _paused(reader)
    time.sleep(0.5)
    assert len(reader.of(TrialFinished)) == count + 1


def test_a_pinned_knob_never_moves_until_it_is_unpinned(bench: Bench) -> None:
    session, reader = bench.start(bench.settings(total_timesteps=1000, pin={"max_queued_messages": "5000"}))
    assert reader.wait_for(RunStarted).pinned == {"max_queued_messages": 5000}
    session.send(Pin("set_tcp_nodelay", True))
    pinned = reader.wait_for(PinsChanged).pinned
    assert pinned == {"max_queued_messages": 5000, "set_tcp_nodelay": True}
    number = reader.wait_for(TrialFinished).trial + 1  # this one may have been under way
    trials = [reader.wait_for(TrialFinished, lambda event: event.trial >= number) for _ in range(8)]
    assert {trial.outcome.knobs["set_tcp_nodelay"] for trial in trials} == {True}
    assert {trial.outcome.knobs["max_queued_messages"] for trial in trials} == {5000}
    assert len({trial.outcome.knobs["max_inflight_messages"] for trial in trials}) > 1, "the others move"
    session.send(Unpin("max_queued_messages"))
    assert reader.wait_for(PinsChanged).pinned == {"set_tcp_nodelay": True}


def test_a_value_set_by_hand_is_in_force_at_once_and_measured_next(bench: Bench) -> None:
    session, reader = bench.start(bench.settings(total_timesteps=1000))
    reader.wait_for(TrialFinished)
    session.send(Pause())
    _paused(reader)
    session.send(SetKnob("max_inflight_messages", 321))
    changed = reader.wait_for(BrokerChanged, lambda event: "by the operator" in event.why)
    assert changed.applied.knobs["max_inflight_messages"] == 321
    assert changed.applied.how == "restart"
    session.send(Step())
    trial = reader.wait_for(TrialFinished, lambda event: event.kind is TrialKind.MANUAL)
    assert trial.outcome.knobs["max_inflight_messages"] == 321


def test_an_illegal_value_is_refused_in_one_line_and_nothing_changes(bench: Bench) -> None:
    session, reader = bench.start(bench.settings(total_timesteps=1000))
    reader.wait_for(TrialFinished)
    session.send(Pause())
    _paused(reader)
    time.sleep(0.5)
    before = _sample(reader).broker
    for command in (SetKnob("max_packet_size", 0), SetKnob("memory_limit", 2**31), Pin("no_such_knob", 1)):
        session.send(command)
        notice = reader.wait_for(Notice)
        assert notice.level == "error"
        assert "\n" not in notice.message
        assert command.knob in notice.message
    after = _sample(reader).broker
    assert (after.pid, after.knobs) == (before.pid, before.knobs)


def test_restarts_of_broker_and_load_on_request(bench: Bench) -> None:
    session, reader = bench.start(bench.settings(total_timesteps=1000))
    reader.wait_for(TrialFinished)
    session.send(Pause())
    _paused(reader)
    session.send(RestartBroker())
    applied = reader.wait_for(BrokerChanged, lambda event: "operator" in event.why).applied
    assert applied.pid != applied.old_pid
    session.send(RestartLoad())
    assert reader.wait_for(LoadChanged, lambda event: event.restarts == 1).restarts == 1
    session.send(Step())
    trial = reader.wait_for(TrialFinished, lambda event: event.outcome.applied is not None)
    assert trial.outcome.window is not None


def test_best_and_defaults_are_brought_into_force_and_the_session_pauses(bench: Bench) -> None:
    session, reader = bench.start(bench.settings(total_timesteps=1000))
    defaults = reader.wait_for(RunStarted).defaults
    reader.wait_for(TrialFinished, lambda event: event.trial == 4)
    session.send(ApplyDefaults())
    _paused(reader)
    changed = reader.wait_for(BrokerChanged, lambda event: "defaults" in event.why)
    assert changed.applied.knobs == defaults
    session.send(ApplyBest())
    changed = reader.wait_for(BrokerChanged, lambda event: "best" in event.why)
    best = {trial.trial: trial.outcome.knobs for trial in reader.of(TrialFinished)}[
        reader.of(TrialFinished)[-1].best_trial or 0
    ]
    assert changed.applied.knobs == best


def test_an_open_session_pauses_after_its_budget_and_resume_grants_another(bench: Bench) -> None:
    session, reader = bench.start(bench.settings(total_timesteps=2), keep_open=True)
    paused = _paused(reader)
    assert "2 trials done" in paused.reason
    session.send(Resume())
    assert reader.wait_for(TrialFinished).trial == 3
