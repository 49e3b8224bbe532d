"""Latencies in consecutive sections of a window, for the uncertainty of a percentile.

Messages that are late are late together: order statistics of a whole window, which take them for independent, give intervals
that are far too narrow. So the percentile is looked at section by section (the sectioning estimator, Asmussen and Glynn,
Stochastic Simulation, 2007, III.5a): the spread of the sections' percentiles says how far that of the window may be off.
On a logarithmic scale, since latencies differ by factors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from brokertuner_tui.student import t95
from brokertuner_tui.workload.generator import histogram

Ints = npt.NDArray[np.int64]

_MOST = 20
_FIRST_NS = 50_000_000
_FEWEST_DELIVERIES = 20
"""A section with fewer says nothing about its 99th percentile."""
_FEWEST_SECTIONS = 4


class Sections:
    """Histograms of up to 20 sections of equal length; when a window outgrows them, two become one."""

    def __init__(self) -> None:
        self.width_ns = _FIRST_NS
        self.counts: list[Ints] = []

    def add(self, counts: Ints, since_opened_ns: int) -> None:
        """`counts` (shape (BUCKETS,)) came at that moment of the window, or up to a few ms before."""
        while (index := max(0, since_opened_ns) // self.width_ns) >= _MOST:
            self.join()
        while len(self.counts) <= index:
            self.counts.append(np.zeros(histogram.BUCKETS, np.int64))
        self.counts[index] += counts

    def join(self) -> None:
        """Makes sections twice as long."""
        self.width_ns *= 2
        padded = [*self.counts, np.zeros(histogram.BUCKETS, np.int64)] if len(self.counts) % 2 else self.counts
        self.counts = [one + other for one, other in zip(padded[::2], padded[1::2], strict=True)]


def together(parts: Sequence[Sections]) -> Sections:
    """The sections of several ledgers that were open at once."""
    result = Sections()
    result.width_ns = max(part.width_ns for part in parts)
    for part in parts:
        while part.width_ns < result.width_ns:
            part.join()
        for index, counts in enumerate(part.counts):
            result.add(counts, index * part.width_ns)
    return result


def interval_ms(sections: Sections, share: float, value_ms: float, period_s: float = 0.0) -> tuple[float, float] | None:
    """The 95 % interval around `value_ms`, the percentile `share` of the whole window; None: too little is known.

    Args:
        period_s: of a bursty load: sections are at least so long.
    """
    while sections.width_ns < period_s * 1e9 and len(sections.counts) > 1:
        sections.join()
    logs = [
        math.log(histogram.percentile_ms(counts, share, math.inf))
        for counts in sections.counts
        if int(counts.sum()) >= _FEWEST_DELIVERIES
    ]
    if len(logs) < _FEWEST_SECTIONS or value_ms <= 0:
        return None
    # Around the window's own percentile, not the sections' mean: short sections see the rare ones too seldom.
    spread = math.sqrt(sum((log - math.log(value_ms)) ** 2 for log in logs) / (len(logs) - 1))
    factor = math.exp(t95(len(logs) - 1) * spread / math.sqrt(len(logs)))
    return value_ms / factor, value_ms * factor
