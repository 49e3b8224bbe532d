"""Axes have round ticks, and every value lies between their ends."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brokertuner_tui.html.scale import counting, linear, logarithmic, short, whole

VALUES = st.lists(st.floats(0, 1e9, allow_nan=False), min_size=1, max_size=20)


@settings(deadline=None)
@given(VALUES)
def test_linear(values: list[float]) -> None:
    scale = linear(values).between(100.0, 0.0)
    assert scale.low == 0
    assert scale.high >= max(values) * (1 - 1e-6)
    assert 2 <= len(scale.ticks) <= 7
    assert scale.at(scale.low) == 100.0
    assert scale.at(scale.high) == 0.0
    for value in values:
        assert 0.0 <= scale.at(value) <= 100.0


@settings(deadline=None)
@given(st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=20))
def test_logarithmic(values: list[float]) -> None:
    scale = logarithmic(values).between(0.0, 1.0)
    assert scale.low <= min(values) * (1 + 1e-6)
    assert scale.high >= max(values) * (1 - 1e-6)
    assert 2 <= len(scale.ticks) <= 13
    assert scale.at(scale.low) == 0
    assert scale.at(scale.high) == pytest.approx(1)
    places = [scale.at(tick) for tick in scale.ticks]
    assert places == sorted(places)


def test_ticks() -> None:
    assert linear([17_834.0]).ticks == (0, 5000, 10_000, 15_000, 20_000)
    assert linear([0.0]).ticks == linear([]).ticks
    assert linear([-1.0, 3.0]).low <= -1
    assert logarithmic([12.0, 732.0]).ticks == (10, 20, 50, 100, 200, 500, 1000)
    assert logarithmic([0.1, 40_000.0]).ticks == (0.1, 1, 10, 100, 1000, 10_000, 100_000)
    assert logarithmic([0.0, math.nan]).ticks
    assert counting(1, 15).ticks == (1, 2, 4, 6, 8, 10, 12, 14)
    assert counting(1, 1).ticks == (1,)
    assert counting(1, 40, ticks=5).ticks == (1, 10, 20, 30, 40)


def test_a_logarithmic_axis_has_the_same_way_for_the_same_factor() -> None:
    scale = logarithmic([1.0, 1000.0]).between(0.0, 300.0)
    assert [scale.at(value) for value in (1.0, 10.0, 100.0, 1000.0)] == pytest.approx([0, 100, 200, 300])
    assert scale.at(0.0) == 0  # below the axis: at its end


def test_figures() -> None:
    assert [short(value) for value in (0, 0.354, 950, 999.7, 12_540, 999_900, 1.2e6, 3e9, math.nan)] == [
        *("0", "0.354", "950", "1k", "12.5k", "1M", "1.2M", "3G", "–")
    ]
    assert [whole(value) for value in (0, 0.354, 17_833.9, math.inf)] == ["0", "0.354", "17,834", "–"]
