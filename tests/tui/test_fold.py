"""What the screen shows after events: pure, no Textual."""

from __future__ import annotations

from dataclasses import replace

from brokertuner_tui.env.outcome import Verdict
from brokertuner_tui.knobs.catalogue import defaults
from brokertuner_tui.tui.fold import KEPT_LINES, KEPT_TRIALS, TELEMETRY_S, fold
from brokertuner_tui.tui.model import Model, asked_for, leave
from brokertuner_tui.tuning import events
from brokertuner_tui.tuning.events import Event, PhaseName, State
from tests.tui.fake_session import FANOUT, START, Simulation, applied, history, knobs


def test_nothing_has_happened() -> None:
    model = fold(Model(), [])
    assert model.state == "starting"
    assert (model.profile, model.best, model.reference, model.last, model.total) == (None, None, None, None, 0)
    assert model.broker_down == ""


def test_a_run_of_many_trials() -> None:
    simulation, told = history(37)
    model = fold(Model(), told)
    assert model.state == State.TUNING
    assert len(model.points) == 37
    assert model.total == 60
    assert model.profile == FANOUT
    assert model.best is not None
    assert model.best.trial == simulation.best_trial
    assert model.reference is not None
    assert model.reference.trials == 1
    assert model.knobs == simulation.knobs
    assert {point.trial for point in model.points if point.on_time_per_s is None} == {15, 24}


def test_events_may_come_one_at_a_time_or_all_at_once() -> None:
    _, told = history(20)
    one_at_a_time = Model()
    for event in told:
        one_at_a_time = fold(one_at_a_time, [event])
    assert one_at_a_time == fold(Model(), told)


def test_changed_is_against_the_trial_before() -> None:
    simulation = Simulation()
    model = fold(Model(), [*simulation.start(), *simulation.run_trial()])
    assert model.changed == {}
    model = fold(model, simulation.run_trial(knobs(max_inflight_messages=100)))
    assert model.changed == {"max_inflight_messages": 20}
    model = fold(model, simulation.run_trial(knobs(max_inflight_messages=200)))
    assert model.changed == {"max_inflight_messages": 100}
    # The next trial is under way: the telemetry already has its knobs, and its predecessor is what counts.
    simulation.knobs = knobs(max_inflight_messages=200, set_tcp_nodelay=True)
    model = fold(model, [simulation.sample()])
    assert model.changed == {"set_tcp_nodelay": False}


def test_a_value_set_by_hand_is_asked_for_then_in_force_then_the_agents_again() -> None:
    simulation = Simulation()
    model = asked_for(fold(Model(), [*simulation.start(), *simulation.run_trial()]), "max_inflight_messages", 480)
    assert model.asked == {"max_inflight_messages": 480}
    assert model.by_hand == {}
    new = knobs(max_inflight_messages=480)
    change = events.BrokerChanged(START, applied(knobs(), new, 2, 1), "max_inflight_messages set by the operator")
    model = fold(model, [change])
    assert model.asked == {}
    assert model.by_hand == {"max_inflight_messages": 480}
    model = fold(model, simulation.run_trial(knobs(max_inflight_messages=480)))
    assert model.by_hand == {"max_inflight_messages": 480}
    model = fold(model, simulation.run_trial(knobs(max_inflight_messages=90)))
    assert model.by_hand == {}


def test_what_was_asked_for_is_given_up_when_the_broker_refuses() -> None:
    simulation = Simulation()
    model = asked_for(fold(Model(), simulation.start()), "memory_limit", 1)
    model = fold(model, [events.BrokerTrouble(START, "it did not come up", "Error: Out of memory.", True)])
    assert model.asked == {}
    assert model.broker_down == "", "it is back"


def test_a_broker_that_is_down_is_known_until_it_listens_again() -> None:
    simulation, told = history(3)
    model = fold(Model(), told)
    model = fold(model, [events.BrokerTrouble(START, "the broker is gone", "Killed", False)])
    assert model.broker_down == "the broker is gone"
    simulation.broker_state = "failed"
    model = fold(model, [simulation.sample()])
    assert model.broker_down == "Error: Out of memory."
    simulation.broker_state = "listening"
    model = fold(model, [simulation.sample()])
    assert model.broker_down == ""


def test_a_pause_ends_the_phase_even_when_an_old_phase_comes_late() -> None:
    simulation, told = history(2)
    phase = events.PhaseChanged(START, 3, PhaseName.MEASURING, 1.0)
    model = fold(Model(), [*told, phase])
    assert model.phase == phase
    model = fold(model, [events.StateChanged(START, State.PAUSED, "by the operator"), phase])
    assert model.phase is None
    assert model.reason == "by the operator"
    assert simulation.trial == 2


def test_failed_and_inconclusive_trials_leave_no_figure() -> None:
    simulation = Simulation()
    told: list[Event] = [*simulation.start(), *simulation.run_trial()]
    told += simulation.run_trial(verdict=Verdict.FAILED, reason="it did not come up")
    told += simulation.run_trial(verdict=Verdict.INCONCLUSIVE, reason="the load was down")
    model = fold(Model(), told)
    assert [point.verdict for point in model.points] == [Verdict.OK, Verdict.FAILED, Verdict.INCONCLUSIVE]
    assert [point.reward is None for point in model.points] == [False, True, True]


def test_references_and_bests_belong_to_a_profile() -> None:
    """A workload of several phases: what is best for one load is not compared with another's default."""
    simulation, told = history(5)
    other = replace(FANOUT, name="pipeline")
    model = fold(Model(), told)
    before = model.best
    simulation.profile = other
    model = fold(model, [simulation.sample()])
    assert model.profile == other
    assert model.reference is None
    assert model.best is None
    simulation.profile = FANOUT
    assert fold(model, [simulation.sample()]).best == before


def test_memory_is_bounded() -> None:
    simulation = Simulation(total=10_000)
    model = fold(Model(), simulation.start())
    for _ in range(KEPT_TRIALS + 20):
        model = fold(model, simulation.run_trial(seconds=2.0))
    assert len(model.trials) == KEPT_TRIALS
    assert len(model.points) == KEPT_TRIALS + 20
    assert model.readings[-1].at_s - model.readings[0].at_s < TELEMETRY_S
    notices = [events.Notice(START, f"line {number}") for number in range(KEPT_LINES + 5)]
    model = fold(model, notices)
    assert len(model.log) == KEPT_LINES
    assert model.log[0].text == f"line {KEPT_LINES + 4}"


def test_pins_confirmation_and_the_end() -> None:
    simulation, told = history(10)
    model = fold(Model(), [*told, events.PinsChanged(START, {"persistence": False})])
    assert model.pinned == {"persistence": False}
    model = fold(model, [events.StateChanged(START, State.CONFIRMING), events.ConfirmStep(START, 2, 10)])
    assert model.confirming is not None
    model = fold(model, [simulation.confirmed(), events.StateChanged(START, State.PAUSED)])
    assert model.confirming is None
    assert model.confirmed is not None
    model = leave(model, "the operator has gone")
    model = fold(model, simulation.finish(State.CANCELLED))
    assert model.ended
    assert model.leaving == "the operator has gone"
    assert model.phase is None


def test_more_trials_than_were_asked_for_first() -> None:
    simulation = Simulation(total=5)
    model = fold(Model(), simulation.start())
    for _ in range(6):
        model = fold(model, simulation.run_trial())
    assert model.total == 10


def test_unknown_events_are_passed_over() -> None:
    assert fold(Model(), [Event(START)]) == Model()
    assert defaults((2, 0, 21)) == knobs()
