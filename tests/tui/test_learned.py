"""What the run has taught, on the screen."""

from __future__ import annotations

import asyncio

import pytest

from brokertuner_tui.tui.app import TunerApp
from brokertuner_tui.tui.fold import fold
from brokertuner_tui.tui.model import Model
from brokertuner_tui.tui.options import Options
from brokertuner_tui.tui.screens.learned import Learned, learned
from brokertuner_tui.tuning import events
from tests.store import made
from tests.tui.fake_session import START, FakeSession, history

TOLD = events.Explained(START, 40, made.LOADS)


@pytest.mark.parametrize("width", [40, 68, 92, 112])
def test_all_that_is_known_fits(width: int) -> None:
    text = learned(fold(Model(), [TOLD]), width).plain
    assert max(map(len, text.splitlines())) <= max(width, 68)
    words = " ".join(text.split())
    for said in (
        "fanout",
        "62 % [48, 75]",
        "from 200 up",
        "autosave_interval (persistence was always off)",
        "not enough trials",
    ):
        assert said in words
    assert ("the default costs" in text) is (width >= 110)
    assert ("█" in text) is (width >= 92)
    rows = [line for line in text.splitlines() if line.startswith(("set_tcp_nodelay ", "max_inflight_messages "))]
    assert [row.split()[0] for row in rows[-2:]] == ["set_tcp_nodelay", "max_inflight_messages"], "what matters most first"


@pytest.mark.parametrize("width", [68, 92, 112])
def test_what_single_knobs_are_worth_comes_first(width: int) -> None:
    load = made.with_ablation(left_out={"memory_limit": "it could not be measured without it"})
    text = learned(fold(Model(), [events.Explained(START, 40, (load,))]), width).plain
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    head = next(index for index, line in enumerate(lines) if line.startswith("knob set back"))
    assert head < next(index for index, line in enumerate(lines) if line.startswith("knob  "))
    nodelay, inflight = lines[head + 1 : head + 3]
    assert nodelay.split()[0] == "set_tcp_nodelay"
    assert "24.0k/s [22.9k/s, 25.1k/s]" in nodelay
    assert nodelay.endswith("42.5 ms")
    assert inflight.split()[0] == "max_inflight_messages"
    words = " ".join(text.split())
    assert "against the best: 49.9k/s on time, p99 1.50 ms, 3 windows each, in turns" in words
    assert "memory_limit not measured: it could not be measured without it" in words
    assert text.count("the default costs") == 1


def test_before_the_end_it_says_when_there_will_be_something() -> None:
    assert "when its trials are done" in learned(Model(), 68).plain


def test_it_says_how_old_it_is() -> None:
    _, told = history(3)
    model = fold(Model(), [*told, events.Explained(START, 1, made.LOADS)])
    assert "2 trials since then" in learned(model, 68).plain


def test_the_key_opens_it() -> None:
    async def look() -> None:
        app = TunerApp(lambda: FakeSession(speed=20), Options(theme_folders=()))
        async with app.run_test(size=(80, 24)) as pilot:
            app.model = fold(app.model, [TOLD])
            await pilot.press("i")
            await pilot.pause()
            assert isinstance(app.screen, Learned)
            await pilot.press("escape")
            await pilot.pause()
            assert not isinstance(app.screen, Learned)
        app.link.close(30)

    asyncio.run(look())
