"""Intervals from a handful of windows."""

from __future__ import annotations

import math
import random

import pytest

from brokertuner_tui.tuning import statistics


def test_interval_matches_a_hand_computed_one() -> None:
    # mean 3, s = sqrt(2.5), n = 5, t(4) = 2.776: half = 2.776 * 1.5811 / 2.2361 = 1.963
    found = statistics.interval([1, 2, 3, 4, 5])
    assert found.mean == 3
    assert found.low == pytest.approx(3 - 1.963, abs=1e-3)
    assert found.high == pytest.approx(3 + 1.963, abs=1e-3)


def test_interval_covers_the_true_mean_95_times_in_100() -> None:
    generator = random.Random(1)
    covered = 0
    for _ in range(2000):
        found = statistics.interval([generator.gauss(10, 2) for _ in range(5)])
        covered += found.low <= 10 <= found.high
    assert 0.935 <= covered / 2000 <= 0.965


def test_one_value_claims_no_width_and_no_advantage() -> None:
    assert statistics.interval([5.0]).low == statistics.interval([5.0]).high == 5.0
    assert not statistics.is_better([6.0], [5.0])


def test_ratio_of_a_default_that_delivers_nothing_is_infinite() -> None:
    found = statistics.ratio([50.0, 51.0], [0.0, 0.0])
    assert math.isinf(found.low)
    assert statistics.ratio([0.0, 0.0], [0.0, 0.0]).mean == 1.0


def test_better_only_when_the_differences_are_clear_of_zero() -> None:
    assert statistics.is_better([110, 112, 111, 109, 110], [100, 101, 99, 100, 102])
    assert not statistics.is_better([110, 90, 105, 95, 101], [100, 101, 99, 100, 102])
