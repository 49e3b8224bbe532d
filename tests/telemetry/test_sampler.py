"""Samples keep coming, whatever happens to what is sampled."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest

from brokertuner_tui.broker.interface import Broker, BrokerStatus
from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.knobs.catalogue import defaults
from brokertuner_tui.telemetry.sample import Sample
from brokertuner_tui.telemetry.sampler import Sampler
from brokertuner_tui.workload.load import Load, LoadStatus
from tests.waiting import eventually

LOAD = LoadStatus("running", 5, None, 10, 10, 0, 0, 0, 0, 0.5)


class FakeBroker:
    """Only what a sampler asks."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def status(self) -> BrokerStatus:
        if self.error is not None:
            raise self.error
        return BrokerStatus("stopped", "127.0.0.1", 0, None, None, None, 3, None, None)


class FakeLoad:
    """Only what a sampler asks; `per_s` messages come in every second."""

    def __init__(self, per_s: float = 0.0, pid: int = 5) -> None:
        self.per_s, self.pid, self.since = per_s, pid, time.monotonic()
        self.error: Exception | None = None

    def status(self) -> LoadStatus:
        if self.error is not None:
            raise self.error
        total = round(self.per_s * (time.monotonic() - self.since))
        return replace(LOAD, pid=self.pid, sent_total=total, received_total=10 * total, on_time_total=5 * total)


def make(broker: object, load: object, period_s: float = 0.02) -> tuple[Sampler, list[Sample]]:
    sampler = Sampler(cast(Broker, broker), cast("Load | None", load), period_s=period_s)
    samples: list[Sample] = []
    sampler.subscribe(samples.append)
    return sampler, samples


def test_the_usual_pace() -> None:
    sampler = Sampler(cast(Broker, FakeBroker()), None)
    samples: list[Sample] = []
    sampler.subscribe(samples.append)
    assert sampler.latest() is None
    sampler.start()
    sampler.start()
    try:
        assert eventually(lambda: len(samples) >= 7)
    finally:
        sampler.stop()
        sampler.stop()
    gaps = [later.at_s - earlier.at_s for earlier, later in pairwise(samples)]
    assert 0.25 < sum(gaps) / len(gaps) < 0.5
    assert sampler.latest() == samples[-1]
    assert samples[-1].load.state == "stopped"
    assert abs(samples[-1].wall_s - time.time()) < 60
    count = len(samples)
    time.sleep(0.5)
    assert len(samples) == count


def test_rates_of_the_load() -> None:
    load = FakeLoad(per_s=10_000)
    sampler, samples = make(FakeBroker(), load)
    sampler.start()
    try:
        assert eventually(lambda: len(samples) > 20)
        seen = samples[:20]
        for earlier, later in pairwise(seen):
            seconds = later.at_s - earlier.at_s
            assert later.sent_per_s * seconds == pytest.approx(later.load.sent_total - earlier.load.sent_total)
            assert later.received_per_s == pytest.approx(10 * later.sent_per_s)
            assert later.on_time_per_s == pytest.approx(5 * later.sent_per_s)
        assert seen[-1].load.sent_total > 0
        # A new process counts from zero: no rate, and no negative one.
        load.pid, load.since = 6, time.monotonic()
        assert eventually(lambda: any(one.load.pid == 6 for one in samples))
        assert all(one.sent_per_s >= 0 for one in samples)
        assert next(one for one in samples if one.load.pid == 6).sent_per_s == 0
    finally:
        sampler.stop()


def test_nothing_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    broker, load = FakeBroker(), FakeLoad()
    sampler, samples = make(broker, load)

    def bad(_sample: Sample) -> None:
        raise RuntimeError("a bad subscriber")

    with caplog.at_level(logging.CRITICAL):
        unsubscribe = sampler.subscribe(bad)
        sampler.start()
        try:
            assert eventually(lambda: len(samples) > 3)
            broker.error = RuntimeError("a bad broker")
            load.error = OSError("a bad load")
            assert eventually(lambda: samples[-1].broker.restarts == 0)
            assert samples[-1].load.pid is None
            broker.error = load.error = None
            assert eventually(lambda: samples[-1].broker.restarts == 3)
            unsubscribe()
        finally:
            sampler.stop()


def test_unsubscribed() -> None:
    sampler = Sampler(cast(Broker, FakeBroker()), None, period_s=0.01)
    one: list[Sample] = []
    two: list[Sample] = []
    stop_one = sampler.subscribe(one.append)
    sampler.subscribe(two.append)
    sampler.start()
    try:
        assert eventually(lambda: one)
        stop_one()
        stop_one()
        time.sleep(0.1)
        count, reached = len(one), len(two)
        assert eventually(lambda: len(two) > reached + 3)
        assert len(one) == count
    finally:
        sampler.stop()


def test_a_real_broker_that_is_restarted_killed_and_stopped(every_mosquitto: Path, tmp_path: Path) -> None:
    broker = ManagedBroker(every_mosquitto, tmp_path / "broker")
    usual = defaults(broker.version)
    threads = threading.active_count()
    sampler, samples = make(broker, None, period_s=0.05)
    sampler.start()
    try:
        assert eventually(lambda: samples)
        assert samples[-1].broker.state == "stopped"
        broker.start(usual)
        assert eventually(lambda: samples[-1].broker.state == "listening" and samples[-1].process.rss_bytes > 0)
        for turn in range(5):
            broker.apply(usual | {"max_inflight_messages": 30 + turn})
        pid = broker.status().pid
        assert eventually(lambda: samples[-1].process.pid == pid)
        assert eventually(lambda: not samples[-1].sys.stale)
        assert samples[-1].sys.clients_connected >= 0
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: samples[-1].broker.state == "failed")
        assert eventually(lambda: samples[-1].process.pid is None)
        broker.restart()
        assert eventually(lambda: samples[-1].process.pid == broker.status().pid)
        broker.stop()
        assert eventually(lambda: samples[-1].broker.state == "stopped")
        gaps = [later.at_s - earlier.at_s for earlier, later in pairwise(samples)]
        assert sorted(gaps)[len(gaps) // 2] < 0.25
    finally:
        sampler.stop()
        broker.stop()
    assert threading.active_count() == threads
