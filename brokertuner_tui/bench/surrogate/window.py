"""A window as the load would have reported it, made up from the figures that the model says."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from brokertuner_tui.bench.surrogate.dataset import WINDOW_S
from brokertuner_tui.bench.surrogate.model import Expected
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.window import Window

_SLICES = 10
_BUCKETS_A_DECADE = 16
# Of a log-normal distribution through p50 and p99: how far from the one to the other p90 and p95 are, on the logarithm's scale.
_P90, _P95 = 1.2816 / 2.3263, 1.6449 / 2.3263


def make_window(profile: Profile, seconds: float, seen: Expected, rng: np.random.Generator) -> Window:
    """Consistent in itself: on time and late make up what was received, the histogram and the slices add up to it, latencies
    are on the side of the SLO that the share on time says, and the slices scatter by the standard error."""
    received = round(seen.received_per_s * seconds)
    on_time = min(received, round(seen.on_time_per_s * seconds))
    sent = round(seen.sent_per_s * seconds)
    share = on_time / received if received else 0.0
    p50, p90, p95, p99, longest = _latencies(seen, share, profile.slo_ms) if received else (0.0,) * 5
    slice_s = round(seconds / _SLICES, 2) or seconds / _SLICES
    return Window(
        seconds=seconds,
        sent=sent,
        expected=round(sent * profile.fan_out),
        received=received,
        on_time=on_time,
        late=received - on_time,
        lost=round(seen.lost_per_s * seconds),
        missing=round(seen.missing_per_s * seconds),
        duplicated=round(seen.duplicated_per_s * seconds),
        p50_ms=p50,
        p90_ms=p90,
        p95_ms=p95,
        p99_ms=p99,
        max_ms=longest,
        histogram=_histogram(received, on_time, (p50, p90, p95, p99, longest), profile.slo_ms),
        on_time_slices=_slices(on_time, seen.stderr * (WINDOW_S / seconds) ** 0.5, slice_s, rng),
        slice_s=slice_s,
        clients=profile.clients,
        reconnects=0,
        generator_cpu=seen.generator_cpu,
    )


def _latencies(seen: Expected, share: float, slo_ms: float) -> tuple[float, ...]:
    """p50, p90, p95, p99 and the longest, each on the SLO's side that `share` says."""
    low, high = math.log(seen.p50_ms), math.log(max(seen.p99_ms, seen.p50_ms))
    guessed = [seen.p50_ms, math.exp(low + _P90 * (high - low)), math.exp(low + _P95 * (high - low)), seen.p99_ms, seen.max_ms]
    placed, last = [], 0.0
    for value, quantile in zip(guessed, (0.5, 0.9, 0.95, 0.99, 1.0), strict=True):
        bounded = min(value, slo_ms) if share >= quantile else max(value, slo_ms * 1.001)
        last = max(last, bounded)
        placed.append(last)
    return tuple(placed)


def _histogram(received: int, on_time: int, quantiles: tuple[float, ...], slo_ms: float) -> tuple[tuple[float, int], ...]:
    """Buckets on a logarithmic scale, the SLO among their bounds; straight lines between the quantiles on that scale."""
    if received == 0:
        return ()
    p50, p90, p95, p99, longest = quantiles
    points = {p50: 0.5, p90: 0.9, p95: 0.95, p99: 0.99, longest: 1.0, slo_ms: on_time / received}
    first = min(points) / 4
    bounds = np.array(sorted({first, *points}))
    shares = np.maximum.accumulate([0.0, *(points[float(bound)] for bound in bounds[1:])])
    steps = np.geomspace(first, bounds[-1], max(2, round(math.log10(bounds[-1] / first) * _BUCKETS_A_DECADE)))
    edges = np.unique(np.concatenate([steps, [slo_ms, longest]]))
    counts = np.diff(np.round(np.interp(np.log(edges), np.log(bounds), shares) * received).astype(int), prepend=0)
    return tuple((float(edge), int(count)) for edge, count in zip(edges, counts, strict=True) if count > 0)


def _slices(on_time: int, stderr: float, slice_s: float, rng: np.random.Generator) -> tuple[int, ...]:
    """Counts that add up to `on_time` and whose mean has the standard error `stderr` (or less: no count is below 0)."""
    noise: NDArray[np.float64] = rng.normal(size=_SLICES)
    noise = (noise - noise.mean()) / noise.std(ddof=1) * stderr * slice_s * _SLICES**0.5
    counts = np.maximum(0, np.floor(on_time / _SLICES + noise)).astype(int)
    while (left := on_time - int(counts.sum())) != 0:
        step = max(1, abs(left) // _SLICES)
        at = int(rng.integers(_SLICES))
        counts[at] = max(0, counts[at] + (step if left > 0 else -step))
    return tuple(int(count) for count in counts)
