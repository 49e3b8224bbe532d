"""Deliveries are counted by sequence number: on time, late, lost, duplicated, missing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brokertuner_tui.workload.generator.layout import Layout
from brokertuner_tui.workload.generator.ledger import Ledger
from brokertuner_tui.workload.generator.measurement import Measurement, SendLog
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.window import Window

MS = 1_000_000


class Delivery(NamedTuple):
    subscriber: int
    publisher: int
    seq: int
    latency_ms: float = 1.0


class Rig:
    """A ledger that is handed deliveries, one millisecond after the other."""

    def __init__(self, publishers: int = 1, subscribers: int = 1, topics: int = 1, slo_ms: float = 10.0) -> None:
        self.profile = Profile(
            "test", publishers=publishers, subscribers=subscribers, topics=topics, qos=0, payload_bytes=24, slo_ms=slo_ms
        )
        self.layout = Layout.of(self.profile, "bt/test", 77)
        self.ledger = Ledger(self.profile, self.layout)
        self.now = 1_000 * MS
        self.next = [0] * publishers
        self.logs = [SendLog(1_000 * MS) for _ in range(publishers)]
        self.measurement: Measurement | None = None

    def send(self, publisher: int = 0, count: int = 1) -> None:
        self.next[publisher] += count
        self.logs[publisher].note(self.now, self.next[publisher])

    def deliver(self, deliveries: Iterable[Delivery], flush: bool = True) -> None:
        for subscriber, publisher, seq, latency_ms in deliveries:
            self.now += MS
            sent = self.now - round(latency_ms * MS)
            packet = self.layout.packet(publisher % self.profile.topics, publisher, seq, sent)
            self.ledger.add(packet, 1, subscriber, self.now)
        if flush:
            self.ledger.flush()

    def come(self, *seqs: int) -> None:
        self.deliver(Delivery(0, 0, seq) for seq in seqs)

    def open(self) -> None:
        for log, following in zip(self.logs, self.next, strict=True):
            log.clear(following)
        self.measurement = Measurement(self.profile, self.ledger, self.next, 0, self.now)

    def close(self, drained: bool = False) -> Window:
        assert self.measurement is not None
        if drained:
            self.measurement.publishing_ended_ns = self.now
        return self.measurement.close(self.now, self.next, self.logs, 1, 0)


def counted(rig: Rig) -> tuple[int, int, int]:
    totals = rig.ledger.totals
    return totals.received, totals.lost, totals.duplicated


def test_in_order() -> None:
    rig = Rig()
    rig.come(*range(100))
    assert counted(rig) == (100, 0, 0)


def test_gap_is_lost_and_uncounted_when_it_comes_after_all() -> None:
    rig = Rig()
    rig.come(0, 1, 5, 6)
    assert counted(rig) == (4, 3, 0)
    rig.come(3)
    assert counted(rig) == (5, 2, 0)
    rig.come(2, 4, 7)
    assert counted(rig) == (8, 0, 0)


def test_seen_again_is_a_duplicate_once_for_each_time() -> None:
    rig = Rig()
    rig.come(0, 1, 2, 1, 2, 2, 3)
    assert counted(rig) == (4, 0, 3)


def test_what_was_sent_before_the_first_delivery_is_not_lost() -> None:
    rig = Rig()
    rig.come(500, 501)
    assert counted(rig) == (2, 0, 0)


def test_after_a_reconnect_the_gap_of_the_outage_is_not_blamed() -> None:
    rig = Rig()
    rig.come(0, 1)
    rig.ledger.resync(subscriber=0)
    rig.come(50, 51)
    assert counted(rig) == (4, 0, 0)
    rig.ledger.resync(publisher=0)
    rig.come(90, 92)
    assert counted(rig) == (6, 1, 0)


def test_an_outage_within_a_window_is_blamed_from_the_windows_beginning() -> None:
    rig = Rig()
    rig.send(count=10)
    rig.come(0, 1)
    rig.open()  # 10 comes next
    rig.send(count=20)
    rig.ledger.resync(subscriber=0)
    rig.come(25, 26)
    rig.now += 100 * MS
    window = rig.close()
    assert (window.received, window.lost) == (2, 15)
    assert window.missing == 18
    assert window.sent == window.expected == 20


def test_strangers_are_not_counted() -> None:
    rig = Rig()
    rig.come(0)
    other = Layout.of(rig.profile, "bt/test", 78)
    rig.ledger.add(other.packet(0, 0, 1, rig.now) + rig.layout.packet(0, 0, 1, rig.now), 2, 0, rig.now)
    rig.ledger.add(rig.layout.packet(0, 99, 1, rig.now), 1, 0, rig.now)
    rig.ledger.flush()
    assert counted(rig) == (2, 0, 0)


class Truth:
    """The same counting, one delivery at a time, with sets."""

    def __init__(self) -> None:
        self.seen: dict[tuple[int, int], set[int]] = {}
        self.received = self.duplicated = 0

    def take(self, delivery: Delivery) -> None:
        seen = self.seen.setdefault(delivery[:2], set())
        if delivery.seq in seen:
            self.duplicated += 1
        else:
            seen.add(delivery.seq)
            self.received += 1

    @property
    def lost(self) -> int:
        return sum(max(seen) + 1 - len(seen) for seen in self.seen.values())


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_order_any_batches(data: st.DataObject) -> None:
    """Against sets: drops, repeats and reordering, two publishers at two subscribers, flushed at any moment."""
    rig, truth = Rig(publishers=2, subscribers=2), Truth()
    start = [Delivery(s, p, 0) for s in range(2) for p in range(2)]
    rest = data.draw(
        st.lists(st.builds(Delivery, st.integers(0, 1), st.integers(0, 1), st.integers(0, 40), st.just(1.0)), max_size=120)
    )
    for delivery in start + rest:
        truth.take(delivery)
        rig.deliver([delivery], flush=data.draw(st.booleans()))
    rig.ledger.flush()
    assert counted(rig) == (truth.received, truth.lost, truth.duplicated)


@settings(max_examples=100, deadline=None)
@given(
    before=st.integers(0, 20),
    sent=st.integers(1, 60),
    late=st.integers(0, 10),
    arrivals=st.lists(st.integers(0, 90), max_size=120),
)
def test_missing_is_what_of_the_window_has_not_come(before: int, sent: int, late: int, arrivals: list[int]) -> None:
    rig = Rig(slo_ms=10)
    rig.send(count=before + 1)
    rig.come(0)
    rig.open()
    rig.send(count=sent)
    rig.now += 500 * MS
    rig.send(count=late)  # within their SLO when the window closes
    known = rig.next[0]
    arrived = [seq for seq in arrivals if 0 < seq < known]
    for seq in arrived:
        rig.ledger.add(rig.layout.packet(0, 0, seq, rig.now), 1, 0, rig.now)
    window = rig.close()
    assert window.missing == sent - len({seq for seq in arrived if before < seq <= before + sent})
    assert window.sent == sent + late


def test_missing_goes_by_topic() -> None:
    rig = Rig(publishers=4, subscribers=2, topics=2)
    rig.open()
    for publisher in range(4):
        rig.send(publisher, 5)
    rig.now += 100 * MS
    window = rig.close()
    assert window.expected == window.missing == 20
    assert window.lost == 0


def test_a_drained_window_counts_what_has_not_come_as_lost() -> None:
    rig = Rig()
    rig.come(0)
    rig.next = [1]
    rig.open()
    rig.send(count=10)
    rig.come(1, 2, 3, 5)
    assert rig.ledger.outstanding(rig.next) == 5
    window = rig.close(drained=True)
    assert (window.received, window.lost, window.missing) == (4, 6, 6)
    rig.open()
    rig.come(7)  # after all
    window = rig.close()
    assert (window.received, window.lost, window.duplicated) == (1, 0, 0)


def test_drain_is_over_when_all_has_come() -> None:
    rig = Rig(publishers=2, subscribers=3)
    rig.open()
    rig.send(0, 2)
    rig.send(1, 1)
    rig.deliver(Delivery(s, p, seq) for s in range(3) for p, seq in ((0, 0), (1, 0)))
    assert rig.ledger.outstanding(rig.next) == 3
    rig.deliver(Delivery(s, 0, 1) for s in range(3))
    assert rig.ledger.outstanding(rig.next) == 0
    window = rig.close(drained=True)
    assert (window.expected, window.received, window.lost, window.missing) == (9, 9, 0, 0)


def test_latencies_on_time_and_slices() -> None:
    rig = Rig(slo_ms=10)
    rig.open()
    rig.send(count=1000)
    rig.deliver(Delivery(0, 0, seq, latency_ms=4 if seq % 4 else 12) for seq in range(1000))
    window = rig.close()
    assert window.seconds == pytest.approx(1.0)
    assert (window.received, window.on_time, window.late) == (1000, 750, 250)
    assert window.p50_ms == pytest.approx(4, rel=0.07)
    assert window.p90_ms == pytest.approx(12, rel=0.07)
    assert window.p99_ms == pytest.approx(12, rel=0.07)
    assert window.max_ms == pytest.approx(12)
    assert sum(count for _, count in window.histogram) == 1000
    assert window.slice_s == pytest.approx(0.1)
    assert len(window.on_time_slices) == 10
    assert sum(window.on_time_slices) == pytest.approx(750, abs=1)
    assert max(window.on_time_slices) <= 76


def test_slices_of_a_bursty_load_are_whole_periods() -> None:
    rig = Rig()
    rig.profile = Profile("test", payload_bytes=24, rate=100, burst=(0.1, 0.2), slo_ms=10)
    rig.measurement = Measurement(rig.profile, rig.ledger, rig.next, 0, rig.now)
    rig.deliver(Delivery(0, 0, seq) for seq in range(1000))
    window = rig.close()
    assert window.slice_s == pytest.approx(0.3)
    assert len(window.on_time_slices) == 3


def test_what_came_before_the_window_is_not_in_it() -> None:
    rig = Rig()
    rig.deliver([Delivery(0, 0, seq) for seq in range(15)], flush=False)
    rig.next = [15]
    rig.open()
    window = rig.close()
    assert (window.received, window.sent, window.missing) == (0, 0, 0)


def test_a_closed_loop_knows_how_far_the_slowest_connected_subscriber_is() -> None:
    rig = Rig(publishers=4, subscribers=3, topics=2)
    rig.deliver([Delivery(0, 0, 7), Delivery(0, 2, 3), Delivery(2, 0, 5), Delivery(1, 1, 9)])
    assert rig.ledger.delivered_below([True, True, True]).tolist()[:2] == [6, 10]
    assert rig.ledger.delivered_below([True, True, False]).tolist()[:3] == [8, 10, 4]
    nobody = rig.ledger.delivered_below([True, False, True])
    assert nobody[1] == np.iinfo(np.int64).max


def test_many_gaps_are_forgotten_but_stay_lost() -> None:
    rig = Rig()
    rig.deliver((Delivery(0, 0, 2 * seq) for seq in range(25_000)), flush=True)
    assert counted(rig) == (25_000, 24_999, 0)
    rig.come(49_997, 1)  # the latest gap is remembered, the first is not
    assert counted(rig) == (25_001, 24_998, 1)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), min_size=1, max_size=60), st.integers(0, 4000))
def test_send_log_tells_what_had_been_sent(steps: list[tuple[int, int]], moment_ms: int) -> None:
    log, now, following = SendLog(10_000 * MS), 0, 5
    log.clear(following)
    history = [(0, following)]
    for wait_ms, count in steps:
        now += wait_ms * MS
        following += count
        log.note(now, following)
        history.append((now, following))
    assert log.sent_before(moment_ms * MS) == [then for at, then in history if at <= moment_ms * MS][-1]


def test_send_log_forgets_but_not_too_early() -> None:
    log = SendLog(keep_ns=100 * MS)
    log.clear(0)
    for step in range(20_000):
        log.note(step * MS, step + 1)
    assert log.sent_before(19_950 * MS) == 19_951
    assert log.sent_before(19_901 * MS) == 19_902
