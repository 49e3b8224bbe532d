"""Several windows as one: counters add up, percentiles are read from the added histograms."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from brokertuner_tui.cli import live_figures
from brokertuner_tui.store.plain import finite
from brokertuner_tui.workload.window import Window

_COUNTERS = ("sent", "received", "on_time", "late", "lost", "duplicated")


class WindowSum:
    """What was measured so far."""

    def __init__(self) -> None:
        self.windows: list[Window] = []

    def add(self, window: Window) -> None:
        """Another one."""
        self.windows.append(window)

    def count(self, name: str) -> int:
        """The sum of one counter."""
        return sum(getattr(window, name) for window in self.windows)

    @property
    def seconds(self) -> float:
        """Measured in all."""
        return sum(window.seconds for window in self.windows)

    def percentile_ms(self, share: float) -> float:
        """Of the latencies, 0 < share <= 1; NaN when nothing arrived. From the buckets' upper bounds: a few per cent."""
        if len(self.windows) == 1 and (name := {0.5: "p50_ms", 0.95: "p95_ms", 0.99: "p99_ms"}.get(share)):
            return float(getattr(self.windows[0], name)) if self.windows[0].received else math.nan
        buckets: Counter[float] = Counter()
        for window in self.windows:
            for bound, count in window.histogram:
                buckets[bound] += count
        wanted, seen = share * buckets.total(), 0
        for bound in sorted(buckets):
            seen += buckets[bound]
            if seen >= wanted:
                return bound
        return math.nan

    def summary(self) -> dict[str, Any]:
        """The last line of `workload --json`; its keys are a promise to scripts."""
        seconds = self.seconds
        values: dict[str, Any] = {"event": "summary", "seconds": seconds}
        values |= {name: self.count(name) for name in _COUNTERS}
        values["received_per_s"] = self.count("received") / seconds if seconds else 0.0
        values["on_time_per_s"] = self.count("on_time") / seconds if seconds else 0.0
        values |= {f"p{share}_ms": self.percentile_ms(share / 100) for share in (50, 95, 99)}
        arrived = [window.max_ms for window in self.windows if window.received]
        made: dict[str, Any] = finite(values | live_figures.as_data(self.windows) | {"max_ms": max(arrived, default=math.nan)})
        return made
