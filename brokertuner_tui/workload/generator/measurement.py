"""One window: what stood at its beginning, and what is said at its end."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from brokertuner_tui.workload.generator import histogram
from brokertuner_tui.workload.generator.ledger import SLICE_NS, Ledger
from brokertuner_tui.workload.generator.sections import interval_ms, together
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.window import PartWindow, SoFar, Window

_SLICES = 10


class SendLog:
    """Up to which number one publisher had sent at any moment of the last while (at least `keep_ns`)."""

    __slots__ = ("_forgot", "_keep_ns", "_next", "_times")

    def __init__(self, keep_ns: int) -> None:
        self._keep_ns = keep_ns
        self._times: list[int] = []
        self._next: list[int] = []
        self._forgot = 0

    def clear(self, next_seq: int) -> None:
        """Nothing is remembered; `next_seq` comes next."""
        self._times.clear()
        self._next.clear()
        self._forgot = next_seq

    def note(self, now_ns: int, next_seq: int) -> None:
        """Everything below `next_seq` was sent by now."""
        times = self._times
        if times and now_ns - times[-1] < 100_000:  # precise to 0.1 ms, and short
            self._next[-1] = next_seq
            return
        times.append(now_ns)
        self._next.append(next_seq)
        if len(times) >= 4096 and now_ns - times[2048] > self._keep_ns:
            self._forgot = self._next[2047]
            del times[:2048], self._next[:2048]

    def sent_before(self, moment_ns: int) -> int:
        """The number that came next at `moment_ns`."""
        index = bisect_right(self._times, moment_ns)
        return self._next[index - 1] if index else self._forgot


class Measurement:
    """A window that is open."""

    def __init__(self, profile: Profile, ledger: Ledger, next_seqs: Sequence[int], reconnects: int, now_ns: int) -> None:
        self._profile, self.ledger = profile, ledger
        self._next_seqs = list(next_seqs)
        self._reconnects = reconnects
        self.opened_ns, self._cpu_s = now_ns, time.process_time()
        self.publishing_ended_ns = 0
        """When the publishers stopped for a drain; 0 while they run."""
        ledger.open_window(now_ns, next_seqs)
        self._totals = ledger.totals.copy()

    @property
    def on_time(self) -> int:
        """Deliveries in time, so far."""
        return self.ledger.totals.on_time - self._totals.on_time

    def close(self, now_ns: int, next_seqs: Sequence[int], logs: Sequence[SendLog], clients: int, reconnects: int) -> Window:
        """Ends the window. After a drain, what was sent in it and has not come is lost: `lost` equals `missing`.

        The seconds of a drained window end with the last delivery, or where publishers stopped if that was later, so that
        waiting for messages that never come does not thin out the rates.
        """
        ledger = self.ledger
        ledger.flush()
        busy_s = time.process_time() - self._cpu_s
        drained = self.publishing_ended_ns
        past_slo = list(next_seqs)
        if not drained:
            cutoff = now_ns - int(self._profile.slo_ms * 1e6)
            past_slo = [log.sent_before(cutoff) for log in logs]
        missing = ledger.missing(past_slo)
        if drained:
            ledger.give_up(next_seqs)
        counted = ledger.totals.since(self._totals)
        seconds = ((max(drained, ledger.last_ns) if drained else now_ns) - self.opened_ns) / 1e9
        slices, slice_s = _slices(ledger.slices, seconds, self._profile.period_s)
        sent = [after - before for after, before in zip(next_seqs, self._next_seqs, strict=True)]
        readers = _readers(self._profile)
        counts, max_ms = ledger.histogram, ledger.max_ns / 1e6
        p50, p90, p95, p99 = (histogram.percentile_ms(counts, share, max_ms) for share in (0.5, 0.9, 0.95, 0.99))
        p99_low, p99_high = interval_ms(ledger.sections, 0.99, p99, self._profile.period_s) or (None, None)
        ledger.close_window()
        return Window(
            seconds=seconds,
            sent=sum(sent),
            expected=sum(count * readers[index % self._profile.topics] for index, count in enumerate(sent)),
            received=counted.received,
            on_time=counted.on_time,
            late=counted.received - counted.on_time,
            # One that was counted as lost before this window may have come in it.
            lost=missing if drained else max(0, counted.lost),
            missing=missing,
            duplicated=counted.duplicated,
            p50_ms=p50,
            p90_ms=p90,
            p95_ms=p95,
            p99_ms=p99,
            max_ms=max_ms,
            histogram=histogram.buckets_ms(counts),
            on_time_slices=slices,
            slice_s=slice_s,
            clients=clients,
            reconnects=reconnects - self._reconnects,
            generator_cpu=busy_s / max(1e-9, (now_ns - self.opened_ns) / 1e9),
            p99_low_ms=p99_low,
            p99_high_ms=p99_high,
        )


class MixMeasurement:
    """The measurements of the parts of a mix, as one; of a single load, that one."""

    def __init__(self, profile: Profile, parts: Sequence[Measurement]) -> None:
        self._profile, self.parts = profile, parts

    def drain(self, now_ns: int) -> None:
        """Publishers have stopped."""
        for part in self.parts:
            part.publishing_ended_ns = now_ns

    def latency_ms(self) -> tuple[float, float, float] | None:
        """p50, p95 and p99 so far; None before anything has come."""
        counts, max_ms = self._latencies()
        if not max_ms:
            return None
        p50, p95, p99 = (histogram.percentile_ms(counts, share, max_ms) for share in (0.5, 0.95, 0.99))
        return p50, p95, p99

    def so_far(self, now_ns: int) -> SoFar:
        """How much of it came in time until now; what is not counted yet is left out."""
        seconds = max(now_ns - part.opened_ns for part in self.parts) / 1e9
        return SoFar(seconds, sum(part.on_time for part in self.parts), *self._slices(seconds))

    def _slices(self, seconds: float) -> tuple[tuple[int, ...], float]:
        fine = [part.ledger.slices for part in self.parts]
        size = max(len(counts) for counts in fine)
        whole = np.sum([_padded(counts, size) for counts in fine], axis=0)
        return _slices(whole, seconds, self._profile.period_s)

    def _latencies(self) -> tuple[npt.NDArray[np.int64], float]:
        ledgers = [part.ledger for part in self.parts]
        counts: npt.NDArray[np.int64] = np.sum([ledger.histogram for ledger in ledgers], axis=0)
        return counts, max(ledger.max_ns for ledger in ledgers) / 1e6

    def merged(self, windows: Sequence[Window], clients: int) -> Window:
        """The windows of the parts as one; `clients` are up in all of them. Their own figures are in `parts`."""
        first = windows[0]
        if not self._profile.parts:
            return first
        seconds = max(window.seconds for window in windows)
        slices, slice_s = self._slices(seconds)
        counts, max_ms = self._latencies()
        p50, p90, p95, p99 = (histogram.percentile_ms(counts, share, max_ms) for share in (0.5, 0.9, 0.95, 0.99))
        ledgers = together([part.ledger.sections for part in self.parts])
        p99_low, p99_high = interval_ms(ledgers, 0.99, p99, self._profile.period_s) or (None, None)
        sums = ("sent", "expected", "received", "on_time", "late", "lost", "missing", "duplicated")
        return replace(
            first,
            **{name: sum(getattr(window, name) for window in windows) for name in sums},
            seconds=seconds,
            p50_ms=p50,
            p90_ms=p90,
            p95_ms=p95,
            p99_ms=p99,
            max_ms=max_ms,
            histogram=histogram.buckets_ms(counts),
            on_time_slices=slices,
            slice_s=slice_s,
            clients=clients,
            p99_low_ms=p99_low,
            p99_high_ms=p99_high,
            parts=tuple(
                PartWindow(window.sent, window.expected, window.received, window.on_time, window.lost, window.p99_ms)
                for window in windows
            ),
        )


def _slices(fine: npt.NDArray[np.int64], seconds: float, period_s: float) -> tuple[tuple[int, ...], float]:
    """On-time deliveries in ten equal slices; of a bursty load, in slices of whole periods."""
    resolution_s = SLICE_NS / 1e9
    width = max(1, round(seconds / _SLICES / resolution_s))
    if period_s > 0:
        period = max(1, round(period_s / resolution_s))
        width = period * max(1, width // period)
    whole = int(seconds / resolution_s + 1e-6) // width
    if not whole:
        return (int(fine.sum()),), seconds
    return tuple(int(part) for part in _padded(fine, whole * width).reshape(whole, width).sum(axis=1)), width * resolution_s


def _padded(counts: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    return counts[:size] if len(counts) >= size else np.concatenate((counts, np.zeros(size - len(counts), np.int64)))


def _readers(profile: Profile) -> list[int]:
    """Online subscribers of each topic."""
    readers = [0] * profile.topics
    for subscriber in range(profile.subscribers):
        readers[subscriber % profile.topics] += 1
    return readers
