"""Events as sentences."""

from __future__ import annotations

from dataclasses import replace

from brokertuner_tui.env.outcome import Verdict
from brokertuner_tui.tui.fold import fold
from brokertuner_tui.tui.model import LogLine, Model
from brokertuner_tui.tui.screens.details import trial_details
from brokertuner_tui.tuning import events
from brokertuner_tui.tuning.events import Event, State, TrialKind
from tests.store import made
from tests.tui.fake_session import FANOUT, START, Simulation, applied, history, knobs


def last_line(*told: Event, model: Model | None = None) -> LogLine:
    return fold(model or Model(), told).log[0]


def test_every_kind_of_event_that_an_operator_cares_about_has_a_line() -> None:
    simulation, told = history(3)
    model = fold(Model(), told)
    lines = {
        type(event): last_line(event, model=model)
        for event in (
            events.StateChanged(START, State.PAUSED, "by the operator"),
            events.BrokerChanged(START, applied(knobs(), knobs(max_inflight_messages=9), 2, 1), "restarted by the operator"),
            events.BrokerTrouble(START, "the broker is gone", "Killed", False),
            events.LoadChanged(START, "the load is down", FANOUT, 1, "warning"),
            events.PinsChanged(START, {"persistence": True}),
            simulation.confirmed(),
            events.Explained(START, 40, made.LOADS[:1]),
            events.Notice(START, "a word", "error"),
            simulation.finish(State.COMPLETED)[1],
        )
    }
    texts = {kind.__name__: line.text for kind, line in lines.items()}
    assert texts == {
        "StateChanged": "paused: by the operator",
        "BrokerChanged": "broker restarted in 14.2 ms, pid 1 → 2: restarted by the operator",
        "BrokerTrouble": "the broker is gone (it is down)",
        "LoadChanged": "the load is down",
        "PinsChanged": "pinned persistence at on",
        "Confirmed": "confirmed: best 49.9k/s on time, 1.71–1.74× the default in 5 windows of each, in turns",
        "Explained": "what was learned about fanout: set_tcp_nodelay true earns +22.4k/s [21.0k/s, 23.8k/s]; "
        "max_inflight_messages matters: 20 costs 30.0k/s against 2,000 (from 200 up is as good). max_queued_messages does not "
        "show; memory_limit is not clear yet.",
        "Notice": "a word",
        "RunFinished": "completed after 3 trials; the broker was left with the best setting",
    }


def test_a_trial_says_what_changed_and_what_it_did() -> None:
    simulation = Simulation()
    model = fold(Model(), [*simulation.start(), *simulation.run_trial()])
    assert model.log[0].text.startswith("trial 1   ")
    assert "the defaults" in model.log[0].text
    model = fold(model, simulation.run_trial(knobs(max_inflight_messages=480)))
    line = model.log[0]
    assert line.text.startswith("trial 2   by hand: max_inflight_messages 20 → 480   ")
    assert "(new best, was 0/s)" in line.text
    assert (line.glyph, line.tone, line.trial) == ("▲", "best", 2)


def test_what_went_wrong_comes_before_the_numbers() -> None:
    simulation = Simulation()
    model = fold(Model(), [*simulation.start(), *simulation.run_trial()])
    model = fold(model, simulation.run_trial(verdict=Verdict.FAILED, reason="Error: Invalid max_packet_size value (0)."))
    assert model.log[0].text.startswith("trial 2 failed: Error: Invalid max_packet_size value (0).   ")
    model = fold(model, simulation.run_trial(verdict=Verdict.INCONCLUSIVE, reason="the load was down"))
    assert model.log[0].text.startswith("trial 3 inconclusive: the load was down")
    model = fold(model, simulation.run_trial(knobs(max_queued_messages=12)))
    assert "% lost" in model.log[0].text
    assert model.log[0].text.index("% lost") < model.log[0].text.index("max_queued_messages 1")


def test_a_difference_inside_the_noise_is_not_called_one() -> None:
    simulation = Simulation()
    model = fold(
        Model(), [*simulation.start(), *simulation.run_trial(), *simulation.run_trial(knobs(max_inflight_messages=400))]
    )
    model = fold(model, simulation.run_trial(knobs(max_inflight_messages=401)))
    assert "as good as the best" in model.log[0].text or "inside the noise" in model.log[0].text


def test_many_changes_are_counted() -> None:
    simulation = Simulation()
    model = fold(Model(), [*simulation.start(), *simulation.run_trial()])
    many = knobs(max_inflight_messages=9, max_inflight_bytes=9, max_queued_messages=9, max_queued_bytes=9)
    assert "and 2 others" in fold(model, simulation.run_trial(many)).log[0].text


def test_a_default_with_nothing_on_time_has_no_factor() -> None:
    simulation, told = history(3)
    confirmed = replace(simulation.confirmed(), ratio_low=float("inf"), ratio_high=float("inf"))
    assert "default 28.9k/s" in last_line(confirmed, model=fold(Model(), told)).text
    unsure = replace(simulation.confirmed(), better=False)
    assert last_line(unsure, model=fold(Model(), told)).text.startswith("not confirmed")


def test_a_line_is_one_line() -> None:
    line = last_line(events.Notice(START, "the first\nthe second\nthe third", "warning"))
    assert line.text == "the first"
    assert line.detail == "the second\nthe third"


def test_kinds_are_told_apart() -> None:
    _, told = history(18)
    model = fold(Model(), told)
    assert model.last is not None
    assert model.last.kind is TrialKind.BEST
    assert "   the best again   " in model.log[0].text
    assert "the best again" not in model.log[1].text


def test_a_window_that_was_cut_says_so_and_every_figure_has_its_uncertainty() -> None:
    simulation = Simulation()
    model = fold(Model(), [*simulation.start(), *simulation.run_trial()])
    *before, cut = simulation.run_trial(knobs(max_inflight_messages=21))
    assert isinstance(cut, events.TrialFinished)
    assert cut.outcome.window is not None
    window = replace(
        cut.outcome.window, seconds=0.31, on_time=310, on_time_slices=(28, 34) * 5, slice_s=0.031,
        p99_ms=41.0, p99_low_ms=30.0, p99_high_ms=56.0,
    )  # fmt: skip
    timings = replace(cut.outcome.timings, measure_s=0.32, planned_s=1.0)
    outcome = replace(cut.outcome, window=window, timings=timings, reason="clearly worse, ended after 0.31 s: ...")
    cut = replace(cut, outcome=outcome)
    model = fold(model, [*before, cut])
    assert model.log[0].glyph == "✂"
    assert "cut after 0.31 s, 1k/s ±64.5 on time" in model.log[0].text
    shown = str(trial_details(cut, model))
    assert "0.31 s of 1 s planned" in shown
    assert "p99 is 30.0 ms to 56.0 ms" in shown or "p99 is 30 ms to 56 ms" in shown
    assert "reconnected" in shown
    assert "settled" in shown
