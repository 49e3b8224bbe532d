"""A window of emqtt_bench's: the difference of two moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from brokertuner_tui.workload.emqtt_bench.output import Metrics
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.window import Window

_BEYOND_MS = 60_000.0
"""Stands for the end of the last bucket."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What its counters and metrics say at one moment."""

    taken_at: float
    sent: int
    received: int
    cpu_s: float
    metrics: Metrics | None
    """Of the subscribers."""


def window_between(profile: Profile, opened: Snapshot, closed: Snapshot, clients: int) -> Window:
    """What lay between them; `clients` are connected."""
    seconds = closed.taken_at - opened.taken_at
    sent, received = closed.sent - opened.sent, closed.received - opened.received
    expected = round(sent * profile.fan_out)
    buckets: list[tuple[float, int]] = []
    on_time = 0
    if opened.metrics is not None and closed.metrics is not None:
        within = (closed.metrics - opened.metrics).within_ms
        below = 0
        for bound in sorted(within):
            count = max(0, within[bound] - below)
            below = max(below, within[bound])
            if count:
                buckets.append((min(bound, _BEYOND_MS), count))
            if bound <= profile.slo_ms:
                on_time = below
    on_time = min(on_time, received)
    p50, p90, p95, p99 = (_percentile(buckets, share) for share in (0.5, 0.9, 0.95, 0.99))
    return Window(
        seconds=seconds,
        sent=sent,
        expected=expected,
        received=received,
        on_time=on_time,
        late=received - on_time,
        lost=0,
        missing=max(0, expected - received),
        duplicated=0,
        p50_ms=p50,
        p90_ms=p90,
        p95_ms=p95,
        p99_ms=p99,
        max_ms=buckets[-1][0] if buckets else 0.0,
        histogram=tuple(buckets),
        on_time_slices=(on_time,),
        slice_s=seconds,
        clients=clients,
        reconnects=0,
        generator_cpu=max(0.0, closed.cpu_s - opened.cpu_s) / max(seconds, 1e-9),
    )


def _percentile(buckets: Sequence[tuple[float, int]], share: float) -> float:
    """The end of the bucket in which the percentile lies: it is at most that."""
    left = share * sum(count for _, count in buckets)
    for bound, count in buckets:
        left -= count
        if left <= 0:
            return bound
    return buckets[-1][0] if buckets else 0.0
