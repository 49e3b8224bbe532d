"""What the panes draw for their size: pure functions, no app."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from brokertuner_tui.knobs.catalogue import CATALOGUE, NAMES
from brokertuner_tui.tui.fold import fold
from brokertuner_tui.tui.keys import COMMANDS
from brokertuner_tui.tui.model import Model, asked_for, leave
from brokertuner_tui.tui.screens.details import knob_details, line_details, trial_details
from brokertuner_tui.tui.screens.help import GLOSSARY, help_text
from brokertuner_tui.tui.widgets.agent import agent_view, reward_domain
from brokertuner_tui.tui.widgets.goodput import spark_line, summary, top_of_scale, trials_in_scale
from brokertuner_tui.tui.widgets.keybar import key_line
from brokertuner_tui.tui.widgets.knobs import KnobTable, range_bar
from brokertuner_tui.tui.widgets.latency import Scale, latency_view
from brokertuner_tui.tui.widgets.log import EventLog, log_row
from brokertuner_tui.tui.widgets.machines import broker_view, by_second, load_view
from brokertuner_tui.tui.widgets.status import alarm, status_line
from brokertuner_tui.tuning import events
from brokertuner_tui.tuning.events import PhaseName, State
from tests.tui.fake_session import FANOUT, START, Simulation, history, knobs

SIZES = [(58, 1), (78, 2), (56, 9), (86, 9), (120, 20), (200, 40)]
KEYS = {command.id: "space" if command.key == "space" else command.key[0] for command in COMMANDS}


@pytest.fixture(scope="module")
def model() -> Model:
    """After 37 trials."""
    simulation, told = history(37)
    return fold(Model(), [*told, simulation.sample()])


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_nothing_is_wider_or_higher_than_its_pane(model: Model, width: int, height: int) -> None:
    table, log = KnobTable(id="knobs"), EventLog(id="events")
    for shown in (Model(), model, fold(Model(), Simulation().start())):
        for view in (latency_view, broker_view, load_view, agent_view):
            rows = view(shown, width, height).plain.split("\n")
            assert len(rows) <= max(height, 8), (view, rows)
            if height >= 9 or view is not latency_view:  # the latency pane is not shown that small
                assert max(len(row) for row in rows) <= max(width, 70), (view, rows)
        assert summary(shown, width).cell_length <= max(width, 45)
        assert log.heading(shown, width) is None
        for index in range(len(NAMES)):
            assert table.row(shown, index, max(width, 78)).cell_length <= max(width, 78) + 12


@pytest.mark.parametrize("width", [60, 80, 100, 116, 150, 200])
def test_the_status_line_fills_its_line(model: Model, width: int) -> None:
    phase = events.PhaseChanged(START, 38, PhaseName.MEASURING, 1.0)
    for shown in (Model(), model, fold(model, [phase]), fold(model, [events.StateChanged(START, State.PAUSED)])):
        line = status_line(shown, START + 0.5, width)
        assert line.cell_length == width


def test_the_phase_moves(model: Model) -> None:
    shown = fold(model, [events.PhaseChanged(START, 38, PhaseName.MEASURING, 1.0)])
    lines = [status_line(shown, START + at, 150).plain for at in (0.0, 0.6, 5.0)]
    assert "measuring ▱▱▱▱▱▱▱▱▱▱ 1.0 s left" in lines[0]
    assert "measuring ▰▰▰▰▰▰▱▱▱▱ 0.4 s left" in lines[1]
    assert "measuring ▰▰▰▰▰▰▰▰▰▰ 0.0 s left" in lines[2]
    assert "trial 38 of 60" in lines[0]


def test_paused_and_a_failed_broker_take_the_whole_line(model: Model) -> None:
    paused = fold(model, [events.StateChanged(START, State.PAUSED, "by the operator")])
    assert alarm(paused) == "paused"
    assert "‖ PAUSED" in status_line(paused, START, 80).plain
    assert "space resumes" in status_line(paused, START, 150).plain
    down = fold(paused, [events.BrokerTrouble(START, "the broker is gone", "", False)])
    assert alarm(down) == "failed"
    assert "○ BROKER DOWN" in status_line(down, START, 80).plain
    assert "the broker is gone" in status_line(down, START, 80).plain
    assert alarm(model) == ""
    gone = leave(paused, "ending")
    assert alarm(gone) == ""
    assert "LEAVING" in status_line(gone, START, 80).plain


def test_what_was_chosen_at_the_start_gives_way_to_what_is_going_on(model: Model) -> None:
    wide, narrow = status_line(model, START + 72, 150).plain, status_line(model, START + 72, 80).plain
    for text in ("mosquitto 2.0.21 managed", "managed, slo", "SLO 10 ms", "fanout", "0:01:12"):
        assert text in wide
    assert wide.rstrip().endswith("guarded   0:01:12")
    assert narrow.rstrip().endswith("guarded  0:01:12"), "who may change the broker is shown nowhere else"
    assert "mosquitto" not in narrow


def test_a_window_that_does_not_tell_how_sure_it_is_claims_nothing(model: Model) -> None:
    """A single period of a bursty load has nothing to compare with: ±0 would say that there is no doubt."""
    last = model.trials[-1]
    assert last.outcome.window is not None
    window = replace(last.outcome.window, on_time_slices=last.outcome.window.on_time_slices[:1])
    alone = replace(last, outcome=replace(last.outcome, window=window))
    assert "±" not in summary(replace(model, trials=(*model.trials[:-1], alone)), 120).plain
    assert "±" in summary(model, 120).plain


def test_the_figure_stands_beside_what_it_is_compared_with(model: Model) -> None:
    text = summary(model, 120).plain
    assert re.match(r"\d+(\.\d)?k/s on time ±\d+", text)
    assert "▲ the default has none" in text
    assert "━ best 50.4k" in text
    assert "┄ default 0 of 21.0k" in text
    assert "lost 0 %" in text
    simulation = Simulation(profile=replace(FANOUT, rate=200.0))
    told = [*simulation.start(), *simulation.run_trial(), *simulation.run_trial(knobs(max_queued_messages=900))]
    text = summary(fold(Model(), [*told, simulation.sample()]), 120).plain
    assert "1.00× default" in text


def test_the_charts_scale_is_fixed(model: Model) -> None:
    assert top_of_scale(model) == 60_000, "what is offered is 50k"
    assert trials_in_scale(model) == 60
    simulation = Simulation(total=5000)
    long = fold(Model(), simulation.start())
    assert trials_in_scale(long) == 60
    for _ in range(61):
        long = fold(long, simulation.run_trial(seconds=4))
    assert trials_in_scale(long) == 120
    assert top_of_scale(Model()) == 1.0


def test_trials_that_fell_are_marked(model: Model) -> None:
    line = spark_line(model, 80).plain
    assert line.count("✗") == 1
    assert line.count("?") == 1
    assert line.endswith("  0–60k/s, 37 trials")


def test_latencies_lie_where_the_scale_says() -> None:
    scale = Scale(40, 10.0, 60.0)
    assert scale.decades == 3, "0.1 to 100 ms"
    assert [scale.cell(ms) for ms in (0.001, 0.1, 1.0, 10.0, 99.9, 1e6)] == [0, 0, 13, 26, 39, 39]
    assert scale.axis().split() == ["0.1", "1", "10", "100"]
    assert Scale(40, 250.0, 9_000.0).decades == 5


def test_the_latency_pane_shows_the_slo_and_the_distribution(model: Model) -> None:
    small, large = latency_view(model, 56, 9).plain, latency_view(model, 70, 20).plain
    for text in ("p50", "p95", "p99", "max", "▲ SLO 10 ms", "within the SLO", "with the defaults 5.27 s"):
        assert text in small
    assert "█" not in small
    assert "█" in large


def test_range_bars() -> None:
    bar = range_bar("max_inflight_messages", 20, 480, 20, 480).plain
    assert len(bar) == 20
    assert bar.index("┼") < bar.index("●")
    assert "◆" not in bar, "the best is the value"
    assert range_bar("persistence", 12, True, False, None).plain == "┼──────────●"
    assert range_bar("memory_limit", 12, None, None, None).plain == "─" * 12


def test_the_knob_table_says_what_is_special_about_a_knob(model: Model) -> None:
    table = KnobTable(id="knobs")
    shown = fold(model, [events.PinsChanged(START, {"persistence": False})])
    shown = asked_for(shown, "max_inflight_messages", 7)
    rows = {name: table.row(shown, index, 110).plain for index, name in enumerate(NAMES)}
    assert "→ 7 asked for" in rows["max_inflight_messages"]
    assert "■ pinned" in rows["persistence"]
    assert "· inert" in rows["autosave_interval"]
    for knob in CATALOGUE:
        assert f"{'↻' if knob.applies == 'restart' else '⟳'} {knob.applies}" in rows[knob.name]
    assert "no limit" in rows["memory_limit"]
    narrow = table.row(shown, 0, 77).plain
    assert "restart" not in narrow
    assert "↻" in narrow


def test_the_broker_pane(model: Model) -> None:
    text = broker_view(model, 53, 4).plain
    assert "last: restart 14.2 ms ✓  restarts 36  v2.0.21" in text
    text = broker_view(model, 70, 4).plain
    for part in ("● listening", "127.0.0.1:41883", "pid ", "✓ verified", "mosquitto 2.0.21", "of 1 core", "of 10 MB"):
        assert part in text
    small = broker_view(model, 46, 2).plain
    for part in ("● up :41883", "pid ", "restart 14.2 ms ✓", "×", "CPU ", "mem "):
        assert part in small
    simulation = Simulation()
    simulation.broker_state = "failed"
    down = fold(Model(), [*simulation.start(), simulation.sample()])
    assert "✗ failed" in broker_view(down, 56, 4).plain
    assert "Out of memory" in broker_view(down, 56, 4).plain
    assert broker_view(Model(), 56, 4).plain == "○ not up yet"


def test_the_load_pane(model: Model) -> None:
    text = load_view(model, 72, 4).plain
    for part in ("● running", "fanout", "1→100", "QoS 1", "64 B", "rtt 50 ms", "sent 500/s", "101/101 clients", "restarts 0"):
        assert part in text
    small = load_view(model, 34, 2).plain
    assert "● load running" in small


def test_the_agent_pane(model: Model) -> None:
    text = agent_view(model, 70, 5).plain
    for part in ("reward ", "best +0.9", "-0.1 to 1", "noise ", "critic loss ", "buffer ", "why: 31 % were late"):
        assert part in text
    assert reward_domain(model) == (-0.1, 1.0)
    assert reward_domain(Model()) == (0.0, 1.0)


def test_readings_are_means_of_a_second(model: Model) -> None:
    seconds = by_second(model.readings, 10)
    assert 5 < len(seconds) <= 10
    assert all(0 <= cpu <= 100 and rss > 8e6 for cpu, rss in seconds)


@pytest.mark.parametrize("width", [80, 100, 150, 200])
def test_all_keys_are_in_the_footer(model: Model, width: int) -> None:
    content, entries = key_line(model, None, KEYS, width)
    assert content.cell_length <= width
    wanted = [command.action for command in COMMANDS if command.footer == "always"]
    if width >= 150:
        wanted += [command.action for command in COMMANDS if command.footer == "wide"]
    assert [entry.action.removeprefix("screen.") for entry in entries if "palette" not in entry.action] == wanted
    for entry in entries:
        assert 0 <= entry.start < entry.end <= width


def test_a_footer_too_narrow_for_all_keeps_help_and_quit(model: Model) -> None:
    content, entries = key_line(model, None, KEYS, 40)
    assert content.cell_length <= 40
    assert [entry.action for entry in entries][-2:] == ["screen.help", "screen.leave"]


def test_the_footer_says_what_a_key_would_do(model: Model) -> None:
    paused = fold(model, [events.StateChanged(START, State.PAUSED), events.PinsChanged(START, {"persistence": True})])
    assert "Resume" in key_line(paused, None, KEYS, 150)[0].plain
    assert "Unpin" in key_line(paused, "persistence", KEYS, 150)[0].plain
    assert "Unpin" not in key_line(paused, "memory_limit", KEYS, 150)[0].plain


def test_a_narrow_log_says_what_came_of_it_first(model: Model) -> None:
    entry = next(line for line in model.log if "and 1 other" in line.text)
    assert log_row(entry, 200).plain.index("→") < log_row(entry, 200).plain.index("on time")
    assert log_row(entry, 60).plain.index("on time") < log_row(entry, 60).plain.index("→")


def test_details(model: Model) -> None:
    text = knob_details("max_inflight_messages", model).plain
    for part in ("on their way", "1 to 65535", "0 = no limit", "by restart", "what its values brought", "50.4k/s"):
        assert part in text
    assert "no trial has been measured yet" in knob_details("persistence", Model()).plain
    assert model.last is not None
    text = trial_details(model.last, model).plain
    for part in ("ok", "on time", "delivered", "p90", "reward ", "reconnected 38 ms", "verified: process", "was "):
        assert part in text
    failed = next(trial for trial in model.trials if trial.trial == 15)
    assert "failed" in trial_details(failed, model).plain
    assert "Error: Out of memory" in trial_details(failed, model).plain
    broker = next(line for line in model.log if line.text.startswith("broker started"))
    assert "verified: process, port owner" in line_details(broker).plain


def test_help_explains_every_key_and_sign() -> None:
    text = help_text(KnobTable(id="knobs"), KEYS, 1000).plain
    for command in COMMANDS:
        assert command.help in text
    for glyph, _, meaning in GLOSSARY:
        assert glyph in text
        assert meaning in text
    assert KnobTable.HELP in text


def test_long_texts_hang_beside_their_label() -> None:
    rows = help_text(KnobTable(id="knobs"), KEYS, 50).plain.split("\n")
    assert max(map(len, rows)) <= 50
    at = next(index for index, row in enumerate(rows) if row.startswith(" " * 7 + "space  "))
    assert rows[at + 1].startswith(" " * 14)
