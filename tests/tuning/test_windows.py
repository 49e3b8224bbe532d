"""What windows are decided against."""

from __future__ import annotations

from dataclasses import replace

import pytest

from brokertuner_tui.knobs.catalogue import defaults
from brokertuner_tui.tuning.events import TrialKind
from brokertuner_tui.tuning.windows import Windows
from tests.env.made import OPEN, outcome, window

GOOD = defaults() | {"max_inflight_messages": 500}


def windows(*on_time: int, adaptive: bool = True) -> Windows:
    """Those of one good setting, and of a bad one that varies by factors."""
    known = Windows(adaptive=adaptive)
    for count in on_time:
        known.take_in(outcome(window(count), knobs=GOOD))
    for count in (1, 90):
        known.take_in(outcome(window(count), knobs=defaults()))
    return known


def test_the_best_is_known_better_the_more_often_it_was_measured() -> None:
    once = windows(1000).against(TrialKind.AGENT, OPEN.name, GOOD)
    often = windows(1000, 1010, 990, 1000).against(TrialKind.AGENT, OPEN.name, GOOD)
    assert once is not None
    assert often is not None
    assert (once.per_s, often.per_s) == (1000, 1000)
    assert once.stderr == once.spread == pytest.approx(30), "3 % until repeats say better"
    assert often.spread < once.spread
    assert often.stderr == pytest.approx(often.spread / 2)


@pytest.mark.parametrize("kind", [TrialKind.DEFAULT, TrialKind.BEST, TrialKind.MANUAL])
def test_references_repeats_and_a_persons_settings_are_measured_in_full(kind: TrialKind) -> None:
    assert windows(1000).against(kind, OPEN.name, GOOD) is None


def test_without_a_best_under_this_load_nothing_is_cut() -> None:
    known = windows(1000)
    assert known.against(TrialKind.AGENT, "another", GOOD) is None
    assert known.against(TrialKind.AGENT, OPEN.name, None) is None
    assert windows(1000, adaptive=False).against(TrialKind.AGENT, OPEN.name, GOOD) is None


def test_windows_that_were_cut_or_say_nothing_do_not_count() -> None:
    known = windows(1000)
    known.take_in(replace(outcome(window(1), knobs=GOOD), reason="clearly worse, ended after 0.3 s"))
    known.take_in(outcome(None, knobs=GOOD))
    best = known.against(TrialKind.WARM_UP, OPEN.name, GOOD)
    assert best is not None
    assert best.per_s == 1000


def test_a_default_that_does_other_than_before_is_told_and_noise_is_not() -> None:
    known = windows(1000, 1010, 990, 1000)
    assert known.drift(outcome(window(930), knobs=GOOD)) == ""
    assert known.drift(outcome(window(80), knobs=defaults() | {"persistence": True})) == "", "measured for the first time"
    told = known.drift(outcome(window(700), knobs=GOOD))
    assert told.startswith("the default delivers 700/s on time, and did 1,000/s before")
    assert known.drift(outcome(window(1500), knobs=GOOD))
    assert known.drift(outcome(None, knobs=GOOD)) == ""
