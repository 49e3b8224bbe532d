"""What an operator of a broker that matters sees: mode, what waits for a word, the guard, restarts, what was given up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from brokertuner_tui.broker.interface import Difference
from brokertuner_tui.tui.filters import plain_text
from brokertuner_tui.tui.fold import fold
from brokertuner_tui.tui.keys import COMMANDS
from brokertuner_tui.tui.model import Model
from brokertuner_tui.tui.screens.answer import Answer, question_for
from brokertuner_tui.tui.widgets.keybar import key_line
from brokertuner_tui.tui.widgets.latency import latency_view
from brokertuner_tui.tui.widgets.status import status_line
from brokertuner_tui.tuning import commands, events
from brokertuner_tui.tuning.events import Event, SloVerdict, State
from tests.tui.fake_session import START, StillSession, history, knobs
from tests.tui.test_app import running, screen_text, until
from tests.tui.test_themes import contrast

SIZES = [(80, 24), (120, 40), (150, 40)]
KEYS = {command.id: "space" if command.key == "space" else command.key[0] for command in COMMANDS}
LIMITS = ("p99 latency at most 20 ms", "deliveries lost at most 0.1 %")
PAUSED = events.StateChanged(START, State.PAUSED, "a proposal waits")
PROPOSED = events.Proposed(
    START, 21, knobs(max_inflight_messages=480), ("max_inflight_messages",), True, "actor", "31 % were late at 20 in flight"
)
DRIFTED = events.Drifted(START, (Difference("knob", "max_queued_messages", "1000", "5"), Difference("file", "x", "a", "b")))
BROKEN = events.Judged(START, 20, SloVerdict.FAIL, ("p99 latency: 41 ms, at most 20 ms",), 1, True)
RESTARTS = events.RestartsLeft(START, 2, None)


def told(mode: events.Mode = "recommend", *, read_only: bool = False, trials: int = 20) -> list[Event]:
    """A run's first trials, in another mode, with an SLO."""
    simulation, events_ = history(trials)
    changed = [
        replace(event, mode=mode, read_only=read_only, limits=LIMITS) if isinstance(event, events.RunStarted) else event
        for event in events_
    ]
    return [*changed, simulation.sample()]


def after(*more: Event, mode: events.Mode = "recommend", read_only: bool = False) -> Model:
    return fold(Model(), [*told(mode, read_only=read_only), *more])


def top(model: Model, width: int = 150, at: float = START + 1) -> str:
    return status_line(model, at, width).plain


@pytest.mark.parametrize("width", [80, 120, 150])
@pytest.mark.parametrize(
    ("mode", "read_only", "word"),
    [
        ("recommend", False, "recommend"),
        ("guarded", False, "guarded"),
        ("autonomous", False, "autonomous"),
        ("guarded", True, "read-only"),
    ],
)
def test_the_top_line_shows_the_mode_at_any_width(mode: events.Mode, read_only: bool, word: str, width: int) -> None:
    phase = events.PhaseChanged(START, 21, events.PhaseName.MEASURING, 1.0)
    assert f" {word} " in top(after(phase, mode=mode, read_only=read_only), width)


@pytest.mark.parametrize("width", [80, 120, 150])
def test_a_broken_slo_and_restarts_stand_before_the_mode(width: int) -> None:
    line = " ".join(top(after(BROKEN, RESTARTS), width).split())
    assert "! SLO broken recommend" in line
    assert ("2 restarts left this hour" in line) == (width > 120)
    assert "SLO unsure" in top(after(replace(BROKEN, verdict=SloVerdict.INCONCLUSIVE)), width)
    assert "! SLO" not in top(after(BROKEN, replace(BROKEN, verdict=SloVerdict.PASS)), width)
    assert "no restarts until" in top(after(events.RestartsLeft(START, 0, START + 60)))


@pytest.mark.parametrize("width", [80, 120, 150])
def test_what_waits_and_its_key_are_in_the_top_line_and_the_footer(width: int) -> None:
    for waits, words in ((PROPOSED, "a proposal waits"), (DRIFTED, "the broker was changed by somebody else")):
        model = after(PAUSED, waits)
        assert f"a answers: {words if width > 80 else words[:18]}" in top(model, width)
        line, entries = key_line(model, None, KEYS, width)
        assert line.plain.startswith(" a Answer")
        assert line.cell_length <= width
        assert entries[0].action == "screen.answer"
        assert {"screen.help", "screen.leave", "screen.pause"} <= {entry.action for entry in entries}
    for model in (after(), after(PAUSED), after(PAUSED, DRIFTED, events.Drifted(START, ()))):
        assert "Answer" not in key_line(model, None, KEYS, width)[0].plain


def test_a_proposal_is_gone_when_it_was_measured() -> None:
    simulation, before = history(20)
    model = fold(Model(), [*before, PROPOSED, events.StateChanged(START, State.TUNING)])
    assert not model.question, "it is being measured"
    model = fold(model, simulation.run_trial())
    assert model.proposal is None


@pytest.mark.parametrize("width", [80, 150])
def test_a_session_that_only_reads_offers_no_key_that_changes_the_broker(width: int) -> None:
    _, entries = key_line(after(mode="guarded", read_only=True), None, KEYS, width)
    offered = {entry.action.removeprefix("screen.") for entry in entries}
    assert not offered & {"edit", "restart_broker", "best", "defaults"}
    assert {"pause", "step", "restart_load", "help", "leave"} <= offered


def test_what_happens_next_stands_in_the_top_line_of_a_broker_that_is_down() -> None:
    waits = events.BrokerTrouble(START, "killed by signal 9; the next attempt in 3.8 s", "", False, next_attempt_s=3.8)
    model = after(waits)
    for width in (80, 120, 150):
        assert "○ BROKER DOWN   next attempt in 2.8 s: killed by signal 9 " in top(model, width)
    assert "next attempt now: killed" in top(model, at=START + 10)
    given_up = events.BrokerTrouble(START, "the broker was given up after 5 failures in 60 s: x", "", False, given_up=True)
    for width in (80, 120, 150):
        assert "space tries again: the broker was giv" in top(after(waits, given_up, PAUSED), width)
    load = events.StateChanged(START, State.PAUSED, "the load was given up after 5 failures in 60 s: it has no room")
    assert "space tries again: the load" in top(after(load), 80)


def test_why_it_is_paused_is_said_even_where_it_does_not_fit() -> None:
    stuck = events.StateChanged(
        START, State.PAUSED, "whether the broker keeps its SLO cannot be told, 5 times in a row: nothing came"
    )
    assert "whether the broker keeps its" in top(after(stuck), 80)
    assert "5 times in a row" in top(after(stuck), 150)
    assert "nothing changes" in top(after(events.StateChanged(START, State.PAUSED, "by the operator")), 80)


def test_the_guards_limits_stand_where_the_slo_is_shown() -> None:
    assert "guard: p99 latency at most 20 ms, deliveries lost" in latency_view(after(), 70, 9).plain
    assert "SLO broken: p99 latency at most 20 ms" in latency_view(after(BROKEN), 56, 9).plain
    assert "guard" not in latency_view(after(), 70, 8).plain, "there is no room for it"
    assert len(latency_view(after(), 70, 9).plain.split("\n")) <= 9
    simulation, without = history(3)
    assert "guard" not in latency_view(fold(Model(), [*without, simulation.sample()]), 70, 20).plain
    assert after().log[-1].text.endswith("recommend; guarded are: p99 latency at most 20 ms, deliveries lost at most 0.1 %")


def test_every_new_sign_has_an_ascii_form() -> None:
    shown = [after(BROKEN, RESTARTS), after(PAUSED, PROPOSED), after(PAUSED, DRIFTED, RESTARTS)]
    for model in shown:
        for text in (top(model), *(line.glyph + line.text for line in model.log[:4])):
            assert plain_text(text).isascii()
            assert plain_text(text).count("?") == text.count("?"), text


def safe_session(mode: events.Mode = "recommend", *, read_only: bool = False) -> StillSession:
    return StillSession(told(mode, read_only=read_only, trials=0))


@pytest.mark.parametrize(("size", "key"), [*((size, "y") for size in SIZES), (SIZES[0], "n"), (SIZES[0], "escape")])
async def test_a_proposal_is_answered_by_keys(size: tuple[int, int], key: str) -> None:
    session = safe_session()
    async with running(session, size=size) as (app, pilot, _):
        session.tell(PAUSED, PROPOSED)
        await until(pilot, lambda: "a answers: " in screen_text(app)[0])
        assert "a Answer" in screen_text(app)[-1]
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, Answer))
        text = "\n".join(screen_text(app))
        for part in (
            "Proposal for trial 21",
            "→ 480",
            "Needs a restart: 101 clients",
            "31 % were late",
            "y apply",
            "n another one",
        ):
            assert part in text, part
        await pilot.press(key)
        await until(pilot, lambda: not isinstance(app.screen, Answer))
        answers: dict[str, list[commands.Command]] = {"y": [commands.ApplyProposal()], "n": [commands.SkipProposal()]}
        assert session.sent == answers.get(key, [])


@pytest.mark.parametrize(
    ("keys", "sent"),
    [
        (["o"], [commands.Reconcile("ours")]),
        (["t"], [commands.Reconcile("theirs")]),
        (["enter"], []),
        (["right", "enter"], [commands.Reconcile("ours")]),
    ],
)
async def test_a_drift_is_shown_and_answered(keys: list[str], sent: list[commands.Command]) -> None:
    session = safe_session("guarded")
    async with running(session, size=(80, 24)) as (app, pilot, _):
        session.tell(events.StateChanged(START, State.PAUSED, "x"), DRIFTED)
        await until(pilot, lambda: "a answers: the broker was" in screen_text(app)[0])
        await pilot.press("space", "s")
        await until(pilot, lambda: "Somebody else has" in "\n".join(screen_text(app)))
        assert session.sent == [], "the session would refuse it: it is not even asked"
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, Answer))
        text = "\n".join(screen_text(app))
        for part in (
            "max_queued_messages: ours 1000, theirs 5",
            "file x: ours a, theirs b",
            "Nothing of it is overwritten",
            "o ours",
        ):
            assert part in text, part
        await pilot.press(*keys)
        await until(pilot, lambda: not isinstance(app.screen, Answer))
        assert session.sent == sent


async def test_a_says_that_nothing_waits() -> None:
    session = safe_session()
    async with running(session, size=(80, 24)) as (app, pilot, _):
        await pilot.press("a")
        await until(pilot, lambda: "Nothing waits for an answer" in "\n".join(screen_text(app)))
        assert session.sent == []


async def test_a_session_that_only_reads_is_not_asked_to_change_anything() -> None:
    session = safe_session("guarded", read_only=True)
    async with running(session, size=(80, 24)) as (app, pilot, _):
        assert "read-only" in screen_text(app)[0]
        for key in ("e", "R", "b", "d"):
            await pilot.press(key)
        await until(pilot, lambda: "This session only reads" in "\n".join(screen_text(app)))
        assert not isinstance(app.screen, Answer)
        session.tell(PAUSED, PROPOSED)
        await until(pilot, lambda: app.model.question)
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, Answer))
        await pilot.press("y")
        assert session.sent == [], "nothing is applied"
        await pilot.press("n")
        await until(pilot, lambda: not isinstance(app.screen, Answer))
        assert session.sent == [commands.SkipProposal()]
    drifted = question_for(after(PAUSED, DRIFTED, read_only=True))
    assert drifted is not None
    assert [word for word, _, _ in drifted._choices] == ["theirs"]


@pytest.mark.parametrize("theme", ["dark", "light", "mono"])
async def test_the_dialogue_can_be_read_in_every_theme(theme: str) -> None:
    session = safe_session()
    async with running(session, size=(80, 24), theme=theme) as (app, pilot, _):
        session.tell(PAUSED, PROPOSED)
        await until(pilot, lambda: app.model.question)
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, Answer))
        static = app.screen.query_one("#box Static")
        _, _, ground, text = static.colors
        assert contrast(ground.hex, (ground + text).hex) >= 4.5
        await pilot.press("escape")


async def test_in_ascii_too() -> None:
    session = safe_session()
    async with running(session, size=(80, 24), ascii=True) as (app, pilot, _):
        session.tell(PAUSED, PROPOSED, RESTARTS, BROKEN)
        await until(pilot, lambda: "a answers: " in screen_text(app)[0])
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, Answer))
        await pilot.pause(0.2)
        text = "\n".join(screen_text(app))
        assert text.isascii()
        assert "20 > 480" in text or "> 480" in text
        await pilot.press("escape")
