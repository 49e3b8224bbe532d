"""The interval around a percentile, of messages that are late together."""

from __future__ import annotations

import numpy as np
import pytest

from brokertuner_tui.workload.generator import histogram
from brokertuner_tui.workload.generator.sections import Sections, interval_ms, together

MS = 1_000_000


def _window(generator: np.random.Generator, seconds: float = 1.0) -> tuple[Sections, float]:
    """A window of 10 ms batches, each with a mood of its own, that slow ones share with the next few."""
    sections, total, mood = Sections(), np.zeros(histogram.BUCKETS, np.int64), 0.0
    for batch in range(round(seconds * 100)):
        mood = 0.7 * mood + 0.5 * generator.normal()
        latencies = np.exp(generator.normal(mood, 0.5, 100)) * MS
        counts = histogram.count(latencies.astype(np.int64))
        total += counts
        sections.add(counts, batch * 10 * MS)
    return sections, histogram.percentile_ms(total, 0.99, 1e9)


def test_it_holds_the_truth_most_of_the_time_although_messages_are_not_independent() -> None:
    generator = np.random.default_rng(1)
    truth = _window(generator, 300.0)[1]
    held = narrow = taken_for_independent = 0
    for _ in range(150):
        sections, p99 = _window(generator)
        found = interval_ms(sections, 0.99, p99)
        assert found is not None
        low, high = found
        assert low <= p99 <= high
        held += low <= truth <= high
        narrow += high / low < 10
        total = np.sum(sections.counts, axis=0)
        off = 1.96 * (0.99 * 0.01 / int(total.sum())) ** 0.5
        ends = (histogram.percentile_ms(total, 0.99 + sign * off, 1e9) for sign in (-1, 1))
        taken_for_independent += next(ends) <= truth <= next(ends)
    assert held / 150 > 0.75
    assert taken_for_independent / 150 < 0.5, "what order statistics of the whole window would claim"
    assert narrow / 150 > 0.8, "and it says something"


def test_memory_does_not_grow_with_the_window() -> None:
    sections, counts = Sections(), histogram.count(np.array([MS], np.int64))
    for second in range(3600):
        sections.add(counts, second * 1_000_000_000)
    assert len(sections.counts) <= 20
    assert sum(int(part.sum()) for part in sections.counts) == 3600


def test_too_little_says_nothing() -> None:
    assert interval_ms(Sections(), 0.99, 0.0) is None
    few, counts = Sections(), histogram.count(np.array([MS] * 19, np.int64))
    for index in range(10):
        few.add(counts, index * 50 * MS)
    assert interval_ms(few, 0.99, 1.0) is None


def test_sections_of_several_loads_are_added_moment_by_moment() -> None:
    one, other, counts = Sections(), Sections(), histogram.count(np.array([MS] * 50, np.int64))
    for index in range(40):
        one.add(counts, index * 50 * MS)
    for index in range(10):
        other.add(counts, index * 50 * MS)
    both = together([one, other])
    assert [int(part.sum()) for part in both.counts] == [200] * 5 + [100] * 15
    steady = interval_ms(both, 0.99, 1.0)
    assert steady == pytest.approx((1.0, 1.0), abs=0.1)


def test_sections_are_not_shorter_than_a_burst() -> None:
    sections, counts = Sections(), histogram.count(np.array([MS] * 50, np.int64))
    for index in range(20):
        sections.add(counts, index * 50 * MS)
    assert interval_ms(sections, 0.99, 1.0, period_s=0.25) is None, "three periods are too few"
