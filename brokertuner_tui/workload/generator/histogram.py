"""Latency buckets: log-spaced, from 0.01 ms to 60 s, sixteen to a doubling (3 to 6 % wide).

The top bits of a float are its exponent and the beginning of its mantissa, so a bucket's number is a latency's bit pattern
shifted right: no logarithm and no search for any message (the idea of HdrHistogram).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_SHIFT = 23 - 4
LOWEST_NS, HIGHEST_NS = 10_000, 60_000_000_000


def _bits(ns: float) -> int:
    return int(np.array(ns, np.float32).view(np.int32)) >> _SHIFT


_FIRST = _bits(LOWEST_NS)
BUCKETS = _bits(HIGHEST_NS) - _FIRST + 1

# The upper bound of each bucket, ns; the lower one is the bound before (0 for the first).
BOUNDS_NS: npt.NDArray[np.float64] = (
    (np.arange(_FIRST + 1, _FIRST + BUCKETS + 1, dtype=np.int32) << _SHIFT).view(np.float32).astype(np.float64)
)


def count(latencies_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many of the latencies fall into each bucket, shape (BUCKETS,); those beyond the ends into the first or last."""
    index = latencies_ns.astype(np.float32).view(np.int32) >> _SHIFT
    index -= _FIRST
    np.maximum(index, 0, out=index)
    np.minimum(index, BUCKETS - 1, out=index)
    return np.bincount(index, minlength=BUCKETS)


def percentile_ms(counts: npt.NDArray[np.int64], share: float, max_ms: float) -> float:
    """The latency that `share` (0 to 1) of the counted ones do not exceed, interpolated within its bucket; 0 without any."""
    total = int(counts.sum())
    if not total:
        return 0.0
    cumulated = np.cumsum(counts)
    rank = share * total
    index = min(int(np.searchsorted(cumulated, rank)), BUCKETS - 1)
    while not counts[index]:
        index += 1  # share 0: the first that holds anything
    below = float(cumulated[index] - counts[index])
    lower = float(BOUNDS_NS[index - 1]) if index else 0.0
    part = (rank - below) / float(counts[index])
    return min(max_ms, (lower + part * (float(BOUNDS_NS[index]) - lower)) / 1e6)


def buckets_ms(counts: npt.NDArray[np.int64]) -> tuple[tuple[float, int], ...]:
    """(upper bound in ms, count) of every bucket that holds something, ascending."""
    return tuple((round(float(BOUNDS_NS[i]) / 1e6, 6), int(counts[i])) for i in np.flatnonzero(counts))
