"""Whether the best is better than the default: measured in turns, and said with an interval."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from brokertuner_tui.env.outcome import Outcome, Verdict
from brokertuner_tui.knobs.catalogue import KnobValues, defaults
from brokertuner_tui.tuning.confirm import Confirmation, confirm
from tests.env.made import outcome, window

BEST = defaults() | {"max_inflight_messages": 500}


def _compare(measure: Callable[[KnobValues], Outcome], pairs: int = 5) -> Confirmation | None:
    return confirm(defaults(), BEST, 7, pairs, measure=measure, interrupted=lambda: False, progress=lambda done, total: None)


def test_the_order_within_pairs_alternates() -> None:
    order = []

    def measure(knobs: KnobValues) -> Outcome:
        order.append("best" if knobs == BEST else "default")
        return outcome(window(1000 if knobs == BEST else 500), knobs=knobs)

    found = _compare(measure, pairs=4)
    assert order == ["default", "best", "best", "default"] * 2
    assert found is not None
    assert [which for which, _ in found.windows] == order
    assert found.event.better
    assert (found.event.ratio_low, found.event.ratio_high) == (2.0, 2.0)


@pytest.mark.parametrize(("gain", "called_better"), [(1.0, (0, 0.05)), (1.05, (0.6, 1.0))])
def test_noise_and_drift_are_not_called_a_gain(gain: float, called_better: tuple[float, float]) -> None:
    """The machine gets slower by 2 % a window, and each window varies by 2 %: what is better shows all the same."""
    generator, better = random.Random(5), 0
    for _ in range(300):
        speed = 1000.0

        def measure(knobs: KnobValues) -> Outcome:
            nonlocal speed
            speed *= 0.98
            rate = speed * generator.gauss(1.0, 0.02) * (gain if knobs == BEST else 1.0)
            return outcome(window(int(rate)), knobs=knobs)

        found = _compare(measure, pairs=6)
        assert found is not None
        better += found.event.better
    low, high = called_better
    assert low <= better / 300 <= high


def test_a_window_that_says_nothing_is_measured_again_and_in_the_end_nothing_is_claimed() -> None:
    tries = iter([Verdict.INCONCLUSIVE, Verdict.OK] * 10)
    found = _compare(lambda knobs: replace(outcome(window(10), knobs=knobs), verdict=next(tries)), pairs=2)
    assert found is not None
    assert found.event.default.windows == 2
    assert _compare(lambda knobs: outcome(None, knobs=knobs)) is None
