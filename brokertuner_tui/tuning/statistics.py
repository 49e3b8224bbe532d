"""Means with 95 % intervals from a handful of windows."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from brokertuner_tui.student import t95
from brokertuner_tui.tuning.events import Measured
from brokertuner_tui.workload.window import Window


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float


def interval(values: Sequence[float]) -> Interval:
    """The mean of `values` with Student's interval (of width 0 around a single value, which claims nothing)."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return Interval(mean, mean, mean)
    half = t95(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)


def figures(windows: Sequence[Window], default: Sequence[Window]) -> list[float]:
    """What confirming windows are compared by, one number each.

    Of a load of ours: on-time deliveries a second. Of live traffic: the share of the probe's (and of the numbered) messages in
    time, times the delivered share, in per cent. The delivered share is relative to the mean deliveries a message in the
    windows of the default; where `$SYS` did not say it of every window of the default, it is left out.
    """
    fan_outs = [window.live.fan_out for window in default if window.live is not None]
    known = [fan_out for fan_out in fan_outs if fan_out is not None]
    usual = statistics.fmean(known) if known and len(known) == len(default) else None
    return [
        100 * window.share_in_time * window.live.delivered_share(usual) if window.live is not None else window.on_time_per_s
        for window in windows
    ]


def measured(windows: Sequence[Window], default: Sequence[Window] = ()) -> Measured:
    """What confirming windows of one setting say together.

    Args:
        default: those of the default, which live traffic is judged relative to; empty: `windows` are they.
    """
    goodput = interval(figures(windows, default or windows))
    received = sum(window.received for window in windows)
    return Measured(
        on_time_per_s=goodput.mean,
        low=max(0.0, goodput.low),
        high=goodput.high,
        received_per_s=statistics.fmean(window.received_per_s for window in windows),
        on_time_share=sum(window.on_time for window in windows) / received if received else 0.0,
        p99_ms=statistics.median(window.p99_ms for window in windows),
        windows=len(windows),
        in_percent=any(window.live is not None for window in windows),
    )


def ratio(best: Sequence[float], default: Sequence[float]) -> Interval:
    """Mean of `best` over mean of `default`, its interval by the delta method; infinite when `default` is all zeros."""
    top, bottom = statistics.fmean(best), statistics.fmean(default)
    if bottom <= 0:
        return Interval(math.inf, math.inf, math.inf) if top > 0 else Interval(1.0, 1.0, 1.0)
    value = top / bottom
    if len(best) < 2 or len(default) < 2 or top <= 0:
        return Interval(value, value, value)
    spread = math.hypot(
        statistics.stdev(best) / math.sqrt(len(best)) / top,
        statistics.stdev(default) / math.sqrt(len(default)) / bottom,
    )
    half = t95(min(len(best), len(default)) - 1) * value * spread
    return Interval(value, max(0.0, value - half), value + half)


def is_better(best: Sequence[float], default: Sequence[float]) -> bool:
    """Whether the 95 % interval of the paired differences lies above 0 (pairs were measured one after the other)."""
    differences = [b - d for b, d in zip(best, default, strict=True)]
    return len(differences) >= 2 and interval(differences).low > 0
