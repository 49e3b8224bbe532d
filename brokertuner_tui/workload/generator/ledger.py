"""Counts deliveries by sequence number: first ones, on time or late, lost ones, duplicates.

Subscribers hand over what they received together with the time of reception; counting is done for many at once (`flush`).
Each subscriber tracks each publisher by the highest number seen. A higher number than the next one proves the ones between
lost (MQTT keeps the order of one publisher's messages on one topic at one QoS); one that comes after all is no longer
counted as lost; one that was seen before is a duplicate.

A pair that is out of step, because the subscriber has not heard the publisher yet or one of them was reconnected, begins
anew with the next message; only messages sent since the present window was opened are blamed on that window.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from brokertuner_tui.workload.generator import histogram
from brokertuner_tui.workload.generator.gaps import Gaps
from brokertuner_tui.workload.generator.layout import Layout
from brokertuner_tui.workload.generator.sections import Sections
from brokertuner_tui.workload.profile import Profile

Ints = npt.NDArray[np.int64]

FLUSH_MESSAGES = 512
FLUSH_NS = 20_000_000
SLICE_NS = 10_000_000
"""Resolution in which on-time deliveries are counted over a window."""
_NO_WINDOW = np.iinfo(np.int64).max


@dataclass(slots=True)
class Totals:
    """Deliveries so far."""

    received: int = 0
    on_time: int = 0
    lost: int = 0
    duplicated: int = 0

    def since(self, before: Totals) -> Totals:
        """What was added since."""
        return Totals(*(getattr(self, field.name) - getattr(before, field.name) for field in fields(self)))

    def copy(self) -> Totals:
        """As they are now."""
        return self.since(Totals())


class Ledger:
    """The deliveries of one run of one profile."""

    def __init__(self, profile: Profile, layout: Layout) -> None:
        self._publishers, self._subscribers, self._topics = profile.publishers, profile.subscribers, profile.topics
        self._slo_ns = int(profile.slo_ms * 1e6)
        self._epoch, self._type = layout.epoch, layout.read_type
        pairs = self._publishers * self._subscribers
        # Pair (subscriber s, publisher p) has index s * publishers + p.
        self._high: Ints = np.full(pairs, -1, np.int64)
        self._in_step = np.zeros(pairs, np.bool_)
        # Who hears whom, shape (subscribers, publishers).
        topics = (np.arange(count) % profile.topics for count in (self._subscribers, self._publishers))
        self._readers = np.equal.outer(*topics)
        self._gaps: dict[int, Gaps] = {}
        self.totals = Totals()
        self._records: list[bytes] = []
        self._from, self._counts, self._times = array("q"), array("q"), array("q")
        self.pending = 0
        """Messages handed over and not yet counted."""
        self.pending_since_ns = 0
        self._floors: Ints = np.full(self._publishers, _NO_WINDOW, np.int64)
        self._came: Ints = np.zeros(pairs, np.int64)
        self._opened_ns = 0
        self._window_open = False
        self.histogram: Ints = np.zeros(histogram.BUCKETS, np.int64)
        """Of the window, as are the next four."""
        self.sections = Sections()
        self.slices: Ints = np.zeros(64, np.int64)
        self.max_ns = 0
        self.last_ns = 0
        """When the last first delivery came."""

    def add(self, records: bytes, count: int, subscriber: int, received_ns: int) -> None:
        """`count` records, one behind the other, came in at `subscriber`."""
        if not self.pending:
            self.pending_since_ns = received_ns
        self.pending += count
        self._records.append(records)
        self._counts.append(count)
        self._from.append(subscriber)
        self._times.append(received_ns)

    def resync(self, *, subscriber: int | None = None, publisher: int | None = None) -> None:
        """This client was connected anew, without what the broker had kept for it."""
        self.flush()
        table = self._in_step.reshape(self._subscribers, self._publishers)
        if subscriber is not None:
            table[subscriber] = False
        if publisher is not None:
            table[:, publisher] = False

    def open_window(self, now_ns: int, next_seqs: Sequence[int]) -> None:
        """Begins to count for a window; `next_seqs[p]` is the number that publisher p sends next."""
        self.flush()
        self._opened_ns, self._window_open = now_ns, True
        self._floors = np.array(next_seqs, np.int64)
        self._came[:] = 0
        self.histogram = np.zeros(histogram.BUCKETS, np.int64)
        self.sections = Sections()
        self.slices = np.zeros(64, np.int64)
        self.max_ns = self.last_ns = 0

    def close_window(self) -> None:
        """Nothing is blamed on a window any more."""
        self._floors[:] = _NO_WINDOW
        self._window_open = False

    def outstanding(self, next_seqs: Sequence[int]) -> int:
        """Deliveries of the window's messages numbered below `next_seqs` that may still come."""
        return int(self._ahead(np.array(next_seqs, np.int64)).sum())

    def missing(self, until: Sequence[int]) -> int:
        """Deliveries of the window's messages numbered below `until[p]` that have not come."""
        limits = np.array(until, np.int64)
        shape = self._readers.shape
        high, came = self._high.reshape(shape), self._came.reshape(shape)
        concerned = self._readers & (limits > self._floors)
        if not concerned.any():
            return 0
        seen_to = np.maximum(high + 1, limits)
        missing = int((seen_to - self._floors - came)[concerned].sum())
        for pair, gaps in self._gaps.items():
            subscriber, publisher = divmod(pair, self._publishers)
            if concerned[subscriber, publisher]:
                missing -= gaps.missing_from(int(limits[publisher]))
        return max(0, missing)

    def give_up(self, next_seqs: Sequence[int]) -> None:
        """Counts what is outstanding as lost: it was waited for long enough."""
        ahead = self._ahead(np.array(next_seqs, np.int64))
        for pair in np.flatnonzero(ahead).tolist():
            end = next_seqs[pair % self._publishers] - 1
            self._gap(pair, end - int(ahead[pair]) + 1, end)
            self._high[pair] = end
            self._in_step[pair] = True

    def delivered_below(self, connected: Sequence[bool]) -> Ints:
        """Per publisher, how far every connected subscriber of its topic has come (exclusive), shape (publishers,)."""
        table = self._high.reshape(self._subscribers, self._publishers)
        result = np.full(self._publishers, _NO_WINDOW, np.int64)
        for topic in range(min(self._topics, self._publishers)):
            readers = [s for s in range(topic, self._subscribers, self._topics) if connected[s]]
            if readers:
                result[topic :: self._topics] = table[readers, topic :: self._topics].min(axis=0) + 1
        return result

    def flush(self) -> None:
        """Counts everything that was handed over."""
        if not self.pending:
            return
        records = np.frombuffer(b"".join(self._records) if len(self._records) > 1 else self._records[0], self._type)
        counts, subscriber, received_ns = (np.array(part) for part in (self._counts, self._from, self._times))
        self._records.clear()
        for part in (self._counts, self._from, self._times):
            del part[:]
        self.pending = 0
        if len(records) != len(counts):
            subscriber, received_ns = subscriber.repeat(counts), received_ns.repeat(counts)
        ours = (records["epoch"] == self._epoch) & (records["publisher"] < self._publishers)
        if not ours.all():
            records, subscriber, received_ns = records[ours], subscriber[ours], received_ns[ours]
            if not len(records):
                return
        first = self._sequence(subscriber * self._publishers + records["publisher"], records["seq"])
        latency_ns = received_ns - records["sent"]
        if first is not None:
            latency_ns, received_ns = latency_ns[first], received_ns[first]
        if len(latency_ns):
            self._latencies(latency_ns, received_ns)

    def _latencies(self, latency_ns: Ints, received_ns: Ints) -> None:
        on_time = latency_ns <= self._slo_ns
        self.totals.received += len(latency_ns)
        self.totals.on_time += int(np.count_nonzero(on_time))
        if not self._window_open:
            return
        counts, last_ns = histogram.count(latency_ns), int(received_ns.max())
        self.histogram += counts
        self.sections.add(counts, last_ns - self._opened_ns)
        self.max_ns = max(self.max_ns, int(latency_ns.max()))
        self.last_ns = max(self.last_ns, last_ns)
        slices = np.bincount(np.maximum((received_ns[on_time] - self._opened_ns) // SLICE_NS, 0))
        if len(slices) > len(self.slices):
            self.slices = np.concatenate((self.slices, np.zeros(2 * len(slices) - len(self.slices), np.int64)))
        self.slices[: len(slices)] += slices

    def _sequence(self, pair: Ints, seq: Ints) -> npt.NDArray[np.bool_] | None:
        """Brings the trackers up to date; says which deliveries are first ones (None: all)."""
        # Sorting is by counting, and so linear, for numbers of 16 bits.
        order = np.argsort(pair.astype(np.uint16) if len(self._high) <= 65536 else pair, kind="stable")
        pair, seq = pair[order], seq[order]
        start = np.empty(len(pair), np.bool_)
        start[0] = True
        np.not_equal(pair[1:], pair[:-1], out=start[1:])
        starts = np.flatnonzero(start)
        heads = pair[starts]
        floors = self._floors[heads % self._publishers]
        high = self._high[heads]
        before = np.empty_like(seq)
        before[1:] = seq[:-1]
        before[starts] = np.where(self._in_step[heads], high, np.maximum(high, np.minimum(seq[starts], floors) - 1))
        step = seq - before
        self._in_step[heads] = True
        counted = seq >= self._floors[pair % self._publishers]
        if step.min() < 1:
            return self._one_by_one(order, pair, seq, before, starts, counted)
        for index in np.flatnonzero(step > 1):
            self._gap(int(pair[index]), int(before[index]) + 1, int(seq[index]) - 1)
        self._came[heads] += np.add.reduceat(counted, starts, dtype=np.int64)
        self._high[heads] = seq[np.append(starts[1:], len(seq)) - 1]
        return None

    def _one_by_one(
        self, order: Ints, pair: Ints, seq: Ints, before: Ints, starts: Ints, counted: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """`_sequence` for a batch with something out of order in it: rare, so simple instead of quick."""
        first = np.ones(len(seq), np.bool_)
        bounds = [*starts.tolist(), len(seq)]
        for start, end in pairwise(bounds):
            this, high = int(pair[start]), int(before[start])
            for index in range(start, end):
                number = int(seq[index])
                if number > high:
                    if number > high + 1:
                        self._gap(this, high + 1, number - 1)
                    high = number
                elif this in self._gaps and self._gaps[this].take(number):
                    self.totals.lost -= 1
                else:
                    self.totals.duplicated += 1
                    first[order[index]] = False
                    continue
                self._came[this] += counted[index]
            self._high[this] = high
        return first

    def _gap(self, pair: int, start: int, end: int) -> None:
        self.totals.lost += end - start + 1
        self._gaps.setdefault(pair, Gaps()).add(start, end)

    def _ahead(self, next_seqs: Ints) -> Ints:
        """For each pair, how many of the window's messages lie beyond the highest number seen, shape (pairs,)."""
        high = np.maximum(self._high.reshape(self._readers.shape), np.minimum(self._floors, next_seqs) - 1)
        ahead: Ints = np.where(self._readers, np.maximum(next_seqs - 1 - high, 0), 0)
        return ahead.reshape(-1)
