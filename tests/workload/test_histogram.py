"""Latency buckets are narrow, complete, and give percentiles that numpy agrees with."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokertuner_tui.workload.generator import histogram


def test_buckets_are_about_five_percent_wide_from_10_us_to_a_minute() -> None:
    bounds = histogram.BOUNDS_NS
    assert bounds[0] > histogram.LOWEST_NS >= bounds[0] / 1.07
    assert bounds[-1] >= histogram.HIGHEST_NS
    ratios = bounds[1:] / bounds[:-1]
    assert ratios.min() > 1.03
    assert ratios.max() < 1.0626


@given(st.lists(st.integers(10_000, 60_000_000_000), min_size=1, max_size=200))
def test_each_latency_falls_into_the_bucket_that_holds_it(latencies: list[int]) -> None:
    for latency in latencies:
        (index,) = np.flatnonzero(histogram.count(np.array([latency])))
        # A float of 32 bits rounds by up to 6e-8.
        assert latency <= histogram.BOUNDS_NS[index] * (1 + 1e-6)
        assert index == 0 or latency >= histogram.BOUNDS_NS[index - 1] * (1 - 1e-6)
    assert histogram.count(np.array(latencies)).sum() == len(latencies)


@pytest.mark.parametrize("latency", [-5, 0, 1, 9_999, 10**12])
def test_beyond_the_ends_counts_in_the_first_and_last(latency: int) -> None:
    (index,) = np.flatnonzero(histogram.count(np.array([latency])))
    assert index == (histogram.BUCKETS - 1 if latency > 10**10 else 0)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.95, 0.99])
def test_percentiles_agree_with_numpy(share: float) -> None:
    latencies = np.random.default_rng(1).lognormal(np.log(3e6), 1.0, 20_000).astype(np.int64)
    found = histogram.percentile_ms(histogram.count(latencies), share, float(latencies.max()) / 1e6)
    assert found == pytest.approx(np.quantile(latencies, share) / 1e6, rel=0.03)


def test_percentiles_of_nothing_and_of_one() -> None:
    assert histogram.percentile_ms(np.zeros(histogram.BUCKETS, np.int64), 0.99, 0.0) == 0.0
    one = histogram.count(np.array([5_000_000]))
    assert histogram.percentile_ms(one, 0.99, 5.0) == pytest.approx(5.0, rel=0.05)
    assert histogram.percentile_ms(one, 0.0, 5.0) <= 5.0
    assert [count for _, count in histogram.buckets_ms(one)] == [1]
