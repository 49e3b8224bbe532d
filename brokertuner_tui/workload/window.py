"""What the load saw between two moments, counted at the receiving end by sequence number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from brokertuner_tui.workload.live.figures import LiveFigures


@dataclass(frozen=True, slots=True)
class PartWindow:
    """What one load of a mix had of the window; fields as in `Window`."""

    sent: int
    expected: int
    received: int
    on_time: int
    lost: int
    p99_ms: float


@dataclass(frozen=True, slots=True)
class SoFar:
    """A window that is still open, at one moment."""

    seconds: float
    on_time: int
    on_time_slices: tuple[int, ...]
    """As in `Window`."""
    slice_s: float

    @property
    def on_time_per_s(self) -> float:
        """On-time goodput so far, deliveries a second."""
        return self.on_time / self.seconds if self.seconds > 0 else 0.0

    @property
    def latest_per_s(self) -> float:
        """The same of its later half (of all of it, where there are fewer than two slices)."""
        later = self.on_time_slices[len(self.on_time_slices) // 2 :]
        if len(self.on_time_slices) < 2 or self.slice_s <= 0:
            return self.on_time_per_s
        return sum(later) / (len(later) * self.slice_s)

    @property
    def stderr(self) -> float:
        """Standard error of `on_time_per_s`; see `batch_means_stderr`."""
        return batch_means_stderr(self.on_time_slices, self.slice_s)


def so_far(data: Mapping[str, Any]) -> SoFar:
    """From what `asdict` and JSON made of it."""
    return SoFar(data["seconds"], data["on_time"], tuple(data["on_time_slices"]), data["slice_s"])


def batch_means_stderr(slices: Sequence[int], slice_s: float) -> float:
    """Standard error of a rate, from counts in consecutive slices, by the batch means method; 0 with fewer than two."""
    n = len(slices)
    if n < 2 or slice_s <= 0:
        return 0.0
    mean = sum(slices) / n
    variance = sum((count - mean) ** 2 for count in slices) / (n - 1)
    return float((variance / n) ** 0.5 / slice_s)


@dataclass(frozen=True, slots=True)
class Window:
    """One measurement.

    A delivery is one message at one subscriber. `received` counts first deliveries in the window, `on_time` those of them
    that took at most the profile's `slo_ms` from the publisher's send call to the subscriber's receive call, `late` the rest.
    """

    seconds: float
    sent: int
    """Messages that publishers sent in the window."""
    expected: int
    """Deliveries that those messages should cause (each times its topic's subscribers)."""
    received: int
    on_time: int
    late: int
    lost: int
    """Deliveries overtaken by a later message of the same publisher at the same subscriber: they will not come any more.

    Counted when that is seen, be it that they were sent before the window; after a drain, those of this window only.
    """
    missing: int
    """Deliveries of messages sent in this window that were past their SLO at its end and had not come (late or lost)."""
    duplicated: int
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    histogram: tuple[tuple[float, int], ...]
    """(upper bound in ms, count) of every bucket that is not empty, ascending."""
    on_time_slices: tuple[int, ...]
    """`on_time` in consecutive slices of `slice_s`, for the uncertainty of the mean."""
    slice_s: float
    clients: int
    """Connections that were up at the end."""
    reconnects: int
    """Connections lost in the window."""
    generator_cpu: float
    """CPU seconds a second that the generator used (1.0 = a whole core: the generator may be the limit)."""
    parts: tuple[PartWindow, ...] = ()
    """Of a mix: its loads, in their order."""
    live: LiveFigures | None = None
    """Of live traffic: then everything above is the probe's alone, and this is what else can be known."""
    p99_low_ms: float | None = None
    p99_high_ms: float | None = None
    """95 % interval of `p99_ms` (`generator/sections.py`); None: too little is known."""

    @property
    def on_time_per_s(self) -> float:
        """On-time goodput, deliveries a second."""
        return self.on_time / self.seconds if self.seconds > 0 else 0.0

    @property
    def share_in_time(self) -> float:
        """Deliveries in time, of those whose fate is known (in time, late, or missing beyond the SLO); times the share of
        numbered live messages that came, where live topics are listened to. 0 when nothing is known."""
        judged = self.on_time + self.late + self.missing
        share = self.on_time / judged if judged else 0.0
        sequenced = self.live.sequenced if self.live is not None else None
        return share * sequenced.share if sequenced is not None else share

    @property
    def received_per_s(self) -> float:
        """Deliveries a second, late ones too."""
        return self.received / self.seconds if self.seconds > 0 else 0.0

    @property
    def sent_per_s(self) -> float:
        """Messages a second that publishers sent."""
        return self.sent / self.seconds if self.seconds > 0 else 0.0

    @property
    def on_time_stderr(self) -> float:
        """Standard error of `on_time_per_s`; see `batch_means_stderr`."""
        return batch_means_stderr(self.on_time_slices, self.slice_s)

    @property
    def goodput(self) -> float:
        """What settings are compared by: on-time deliveries a second; of live traffic, whose amount is not ours, the share in
        time that was not dropped, in per cent."""
        return 100 * self.share_in_time * self.live.not_dropped if self.live is not None else self.on_time_per_s

    @property
    def goodput_stderr(self) -> float:
        """Standard error of `goodput`; of live traffic, that of a share of so many probe messages."""
        if self.live is None:
            return self.on_time_stderr
        judged = max(1, self.live.judged)
        share = min(1 - 0.5 / judged, max(0.5 / judged, self.share_in_time))  # 20 of 20 are not known to be all of 1,000
        return float(100 * (share * (1 - share) / judged) ** 0.5)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the rates are included for readers and ignored by `from_dict`."""
        rates = ("on_time_per_s", "received_per_s", "sent_per_s", "on_time_stderr")
        return asdict(self) | {name: getattr(self, name) for name in rates}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Window:
        """From what `as_dict` gave, lists for tuples too."""
        values = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        values["histogram"] = tuple((float(bound), int(count)) for bound, count in values["histogram"])
        values["on_time_slices"] = tuple(values["on_time_slices"])
        values["parts"] = tuple(PartWindow(**part) for part in data.get("parts", ()))
        values["live"] = LiveFigures.from_dict(live) if (live := data.get("live")) is not None else None
        return cls(**values)
