"""How long a window has to be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from brokertuner_tui.config.settings import BrokerSettings, LoadSettings, Settings, TuningSettings
from brokertuner_tui.env.deciding import CLEARLY_WORSE, Best, is_clearly_bad, is_worth_more, whole_s
from brokertuner_tui.env.outcome import PhaseName, Verdict
from brokertuner_tui.env.testbed import Testbed
from brokertuner_tui.workload.profile import Profile, Workload
from brokertuner_tui.workload.window import SoFar

BEST = Best(per_s=1000.0, stderr=10.0, spread=20.0)
PROFILE = Profile("p", slo_ms=50)


def so_far(*slices: int, slice_s: float = 0.03) -> SoFar:
    """A window of so many whole slices."""
    return SoFar(len(slices) * slice_s, sum(slices), slices, slice_s)


STEADY = so_far(*[10] * 10)
"""333 a second."""


def test_a_third_of_the_best_is_clearly_bad_and_two_thirds_are_not() -> None:
    assert is_clearly_bad(STEADY, BEST, PROFILE, least_s=0.3)
    assert not is_clearly_bad(so_far(*[20] * 10), BEST, PROFILE, least_s=0.3)
    assert is_clearly_bad(so_far(*[0] * 10), BEST, PROFILE, least_s=0.3)


def test_no_window_is_judged_before_its_least_length_its_slo_and_a_whole_burst() -> None:
    assert not is_clearly_bad(STEADY, BEST, PROFILE, least_s=0.31)
    assert is_clearly_bad(STEADY, BEST, replace(PROFILE, slo_ms=250), least_s=0.3)
    assert not is_clearly_bad(STEADY, BEST, replace(PROFILE, slo_ms=260), least_s=0.3)
    assert not is_clearly_bad(STEADY, BEST, replace(PROFILE, burst=(0.2, 0.8)), least_s=0.3)
    assert not is_clearly_bad(STEADY, BEST, Profile.mix("m", [PROFILE, replace(PROFILE, slo_ms=5000)]), least_s=0.3)


def test_what_is_uncertain_or_getting_better_is_measured_on() -> None:
    assert not is_clearly_bad(so_far(0, 40, 0, 0, 0, 40, 0, 0, 0, 20), BEST, PROFILE, least_s=0.3)
    assert not is_clearly_bad(so_far(*[0] * 5, *[20] * 5), BEST, PROFILE, least_s=0.3), "a backlog that has gone"
    unsure = replace(BEST, stderr=200.0)
    assert not is_clearly_bad(STEADY, unsure, PROFILE, least_s=0.3), "nobody knows how good the best is"


def test_only_what_is_near_the_best_and_noisy_is_worth_more() -> None:
    noisy = so_far(80, 120, 95, 105, 110, 90, 100, 100, 85, 115, slice_s=0.1)
    assert is_worth_more(noisy, BEST)
    assert not is_worth_more(so_far(*[100] * 10, slice_s=0.1), BEST), "it is known well enough"
    assert not is_worth_more(replace(noisy, on_time=600), BEST), "it is not near"


LOAD = Profile("w", 2, 2, 2, qos=1, payload_bytes=64, rate=1027, window=100, slo_ms=50)
"""Its messages do not divide by the slices of any window from 0.5 to 1 s: however regularly they arrive, the slices differ, and
there is something left to find out."""


def test_a_trial_is_cut_or_goes_on_by_what_its_window_shows(mosquitto: Path, tmp_path: Path) -> None:
    quick = TuningSettings(step_interval_sec=1.0, settle_sec=0.05)
    settings = Settings(broker=BrokerSettings(mosquitto=mosquitto), load=LoadSettings(ready_sec=5.0), tuning=quick)
    bed = Testbed(settings, Workload.steady(LOAD), tmp_path)
    told: list[tuple[PhaseName, float]] = []
    try:
        bed.open()
        bed.start_load()
        bad = bed.trial(bed.defaults, best=Best(10_000.0, 10.0, 20.0))
        near = bed.trial(  # a best of which next to nothing is known
            bed.defaults, seconds=0.5, best=Best(1.0, 10_000.0, 1.0), on_phase=lambda *phase: told.append(phase)
        )
        whole = bed.trial(bed.defaults, seconds=0.4)
    finally:
        bed.close()
    assert bad.verdict is near.verdict is whole.verdict is Verdict.OK, (bad.reason, near.reason, whole.reason)
    assert bad.window is not None
    assert bad.reason.startswith(f"{CLEARLY_WORSE}, ended after 0.")
    assert not bad.cut_short, "nobody suffers: nothing is put back"
    assert 0.3 <= bad.window.seconds < 1.0
    assert bad.timings.planned_s == 1.0
    assert bad.window.on_time_per_s == pytest.approx(LOAD.rate, rel=0.2)
    assert near.window is not None
    assert near.window.seconds >= 1.0
    assert [phase for phase, _ in told].count(PhaseName.MEASURING) == 2, "the screen is told that it takes longer"
    assert whole.reason == near.reason == ""
    assert whole.timings.measure_s >= 0.4


BURSTS = replace(LOAD, name="bursts", burst=(0.1, 0.5))


@pytest.mark.parametrize(
    ("profile", "seconds", "whole"),
    [
        (LOAD, 0.37, 0.37),
        (BURSTS, 0.37, 0.6),
        (BURSTS, 0.6, 0.6),
        (BURSTS, 0.61, 1.2),
        (BURSTS, 1.8000000000001, 1.8),
        (Profile.mix("m", [LOAD, BURSTS, replace(BURSTS, burst=(0.2, 0.8))]), 0.5, 1.0),
    ],
)
def test_a_window_of_bursts_is_whole_periods(profile: Profile, seconds: float, whole: float) -> None:
    assert whole_s(seconds, profile) == pytest.approx(whole)


def test_windows_that_are_shorter_than_a_period_or_no_whole_ones_all_show_the_same(mosquitto: Path, tmp_path: Path) -> None:
    quick = TuningSettings(step_interval_sec=0.2, settle_sec=0.05)
    settings = Settings(broker=BrokerSettings(mosquitto=mosquitto), load=LoadSettings(ready_sec=5.0), tuning=quick)
    bed = Testbed(settings, Workload.steady(BURSTS), tmp_path)
    try:
        bed.open()
        bed.start_load()
        outcomes = [bed.trial(bed.defaults, seconds=seconds) for seconds in (None, None, 0.4, 0.8)]
        bad = bed.trial(bed.defaults, seconds=3.0, best=Best(10_000.0, 10.0, 20.0))
        near = bed.trial(bed.defaults, best=Best(BURSTS.rate, 500.0, 1.0))
    finally:
        bed.close()
    assert bad.window is not None
    assert bad.reason.startswith(CLEARLY_WORSE)
    assert bad.window.seconds < 2.9
    assert near.window is not None
    for outcome, planned in zip((*outcomes, bad, near), (0.6, 0.6, 0.6, 1.2, 3.0, 0.6), strict=True):
        assert outcome.verdict is Verdict.OK, outcome.reason
        assert outcome.timings.planned_s == pytest.approx(planned)
        assert outcome.window is not None
        assert outcome.window.received_per_s == pytest.approx(BURSTS.rate, rel=0.2)
        periods = outcome.window.seconds / BURSTS.period_s
        assert periods == pytest.approx(round(periods), abs=0.2), "it ends with a period"
