"""Three verdicts, by arithmetic alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokertuner_tui.config.settings import GuardSettings
from brokertuner_tui.env.outcome import Outcome, Usage, Verdict
from brokertuner_tui.knobs.catalogue import defaults
from brokertuner_tui.tuning.events import SloVerdict
from brokertuner_tui.tuning.guard.slo import SloGuard, figures
from brokertuner_tui.workload.live.figures import LiveFigures, Sequenced
from brokertuner_tui.workload.window import Window
from tests.env.made import outcome, window

GOOD = defaults((2, 0, 21))
OTHER = GOOD | {"max_inflight_messages": 1}
USED = Usage(50.0, 100 * 2**20, 0.0)
LIMITS = {"on_time_share": 0.9, "p99_ms": 20.0, "loss_share": 0.01, "memory_mib": 200.0, "cpu_percent": 80.0}


def slo(**guard: Any) -> SloGuard:
    """One with these limits."""
    return SloGuard(GuardSettings.model_validate(guard))


def trial(on_time: int = 1000, late: int = 0, knobs: Any = OTHER, usage: Usage = USED, **changes: Any) -> Outcome:
    """A trial that measured so much."""
    if on_time + late and "histogram" not in changes:
        changes["histogram"] = ((5.0, on_time + late),)
    return outcome(window(on_time, late, **changes), usage=usage, knobs=knobs)


@pytest.mark.parametrize(
    ("limit", "bad", "words"),
    [
        ("on_time_share", trial(800, 200), "deliveries in time: 80 %, at least 90 %"),
        ("p99_ms", trial(p99_ms=25.0), "p99 latency: 25 ms, at most 20 ms"),
        ("loss_share", trial(lost=100), "deliveries lost: 9.091 %, at most 1 %"),
        ("memory_mib", trial(usage=Usage(50.0, 300 * 2**20, 0)), "the broker's memory: 300 MiB, at most 200 MiB"),
        ("cpu_percent", trial(usage=Usage(95.0, 2**20, 0)), "the broker's CPU: 95 % of a core, at most 80 % of a core"),
    ],
)
def test_each_limit_is_kept_or_broken(limit: str, bad: Outcome, words: str) -> None:
    guard = slo(**{limit: LIMITS[limit]})
    assert guard.judge(trial(), good=GOOD).verdict is SloVerdict.PASS
    judged = guard.judge(bad, good=GOOD)
    assert (judged.verdict, judged.breach) == (SloVerdict.FAIL, True)
    assert judged.reasons[0].startswith(words)


def test_without_limits_everything_that_was_measured_passes() -> None:
    guard = slo()
    assert not guard.active
    assert guard.judge(trial(0, 1000), good=GOOD).verdict is SloVerdict.PASS
    failed = replace(trial(), verdict=Verdict.FAILED, window=None, reason="no")
    assert guard.judge(failed, good=GOOD).verdict is SloVerdict.FAIL


def test_the_tolerance_is_a_share_of_the_limit() -> None:
    assert slo(p99_ms=20, tolerance=0.1).judge(trial(p99_ms=21.9), good=GOOD).verdict is SloVerdict.PASS
    assert slo(p99_ms=20, tolerance=0.1).judge(trial(p99_ms=22.1), good=GOOD).verdict is SloVerdict.FAIL
    assert slo(p99_ms=20, tolerance=0).judge(trial(p99_ms=20.1), good=GOOD).verdict is SloVerdict.FAIL


def test_so_many_windows_in_a_row_and_of_one_setting() -> None:
    guard, bad = slo(p99_ms=20, windows=3), trial(p99_ms=30.0)
    first, second, third = (guard.judge(bad, good=GOOD) for _ in range(3))
    assert [judged.verdict for judged in (first, second, third)] == ["inconclusive", "inconclusive", "fail"]
    assert [judged.again for judged in (first, second, third)] == [True, True, False]
    assert "window 2 of 3" in second.reasons[0]
    guard.judge(bad, good=GOOD)
    guard.judge(trial(), good=GOOD)  # one that is good ends the row
    assert guard.judge(bad, good=GOOD).again
    another = trial(p99_ms=30.0, knobs=GOOD | {"max_inflight_messages": 2})
    assert "window 1 of 3" in guard.judge(another, good=GOOD).reasons[0]


def test_where_the_last_known_good_breaks_the_slo_the_way_out_is_open() -> None:
    guard = slo(p99_ms=20, on_time_share=0.9)
    own = guard.judge(trial(600, 400, knobs=GOOD, p99_ms=100.0), good=GOOD)
    assert (own.verdict, own.breach) == (SloVerdict.FAIL, False), "there is nothing better to go back to"
    assert guard.knows_good("open")
    assert guard.judge(trial(650, 350, p99_ms=90.0), good=GOOD).verdict is SloVerdict.PASS
    assert guard.judge(trial(580, 420, p99_ms=104.0), good=GOOD).verdict is SloVerdict.PASS, "within the tolerance of it"
    worse = guard.judge(trial(300, 700, p99_ms=90.0), good=GOOD)
    assert worse.breach
    assert "the last known good does 60 %" in worse.reasons[0]
    guard.new_good(trial(950, 50, p99_ms=10.0))
    assert guard.judge(trial(650, 350, p99_ms=90.0), good=GOOD).breach, "a better one raises what is asked for"


def test_what_is_not_measured_matters_only_where_a_limit_needs_it() -> None:
    bare = trial(1000, 0, usage=Usage(), histogram=())  # emqtt_bench without its endpoint, on a broker that is elsewhere
    assert slo(loss_share=0.5).judge(bare, good=GOOD).verdict is SloVerdict.PASS
    for limit in ("on_time_share", "p99_ms", "memory_mib", "cpu_percent"):
        judged = slo(**{limit: LIMITS[limit]}).judge(bare, good=GOOD)
        assert judged.verdict is SloVerdict.INCONCLUSIVE, limit
        assert "not measured" in judged.reasons[0]
    no_losses = SloGuard(GuardSettings(loss_share=0.5), counts_losses=False)
    assert no_losses.judge(trial(), good=GOOD).verdict is SloVerdict.INCONCLUSIVE


def test_nothing_that_came_is_as_late_and_lost_as_can_be() -> None:
    silent = trial(0, 0, missing=1000)
    for limit in ("on_time_share", "p99_ms", "loss_share"):
        assert slo(**{limit: LIMITS[limit]}).judge(silent, good=GOOD).verdict is SloVerdict.FAIL, limit


def test_live_traffic_is_judged_by_its_drops_and_numbers_too() -> None:
    live = LiveFigures(100, 15, 2.0, 1000.0, 1900.0, 100.0, 0.0, 0.0, 3, 0.01, Sequenced(1, 90, 10, 0), ())
    found = figures(trial(100, live=live))
    assert found.on_time_share == pytest.approx(0.9 * 0.95)
    assert found.loss_share == pytest.approx(0.1)


def test_a_window_that_was_cut_short_failed() -> None:
    cut = replace(trial(), cut_short=True, reason="ended after 0.5 s: the broker's memory")
    judged = slo(memory_mib=200).judge(cut, good=GOOD)
    assert judged.breach
    assert judged.reasons == (cut.reason,)


odd = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([float("nan"), float("inf"), 0.0])
counts = st.integers(0, 10**6)


@given(st.sampled_from([*LIMITS]), counts, counts, counts, counts, odd, odd, st.integers(0, 2**40), st.floats(0, 1))
def test_whatever_a_window_holds_a_pass_has_been_measured(
    limit: str, on_time: int, late: int, missing: int, lost: int, p99: float, cpu: float, rss: int, tolerance: float
) -> None:
    measured = trial(on_time, late, missing=missing, lost=lost, p99_ms=p99, usage=Usage(cpu, rss, 0.0))
    guard = SloGuard(GuardSettings.model_validate({limit: LIMITS[limit], "tolerance": tolerance}))
    judged = guard.judge(measured, good=GOOD)
    value = getattr(figures(measured), limit)
    if judged.verdict is SloVerdict.PASS:
        assert value is not None
        assert value == value
        least = limit == "on_time_share"
        edge = LIMITS[limit] * (1 - tolerance if least else 1 + tolerance)
        assert value >= edge if least else value <= edge
    elif judged.verdict is SloVerdict.FAIL:
        assert judged.reasons


@given(st.integers(1, 5))
def test_a_window_of_nothing_never_passes(limits: int) -> None:
    chosen = dict(list(LIMITS.items())[:limits])
    empty: Window = window(0, 0, sent=0, expected=0, seconds=0.0)
    judged = SloGuard(GuardSettings.model_validate(chosen)).judge(outcome(empty, usage=Usage(), knobs=OTHER), good=GOOD)
    assert judged.verdict is not SloVerdict.PASS
