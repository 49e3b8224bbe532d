"""`$SYS` as numbers: first without a network, then from every Mosquitto at hand."""

from __future__ import annotations

import threading
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.knobs.catalogue import defaults
from brokertuner_tui.telemetry.sys_topics import SysTally, SysTopics
from tests.waiting import eventually


class Broker:
    """Publishes into a tally as Mosquitto does: `uptime` first and always, the rest only when it has changed."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.tally = SysTally(lambda: self.now)
        self.told: dict[str, str] = {}

    def publish(self, uptime: int, retained: bool = False, **values: int) -> None:
        self.tally.message("$SYS/broker/uptime", f"{uptime} seconds", retained)
        for key, value in values.items():
            name = {"heap": "heap/current", "clients": "clients/connected"}.get(key, f"publish/messages/{key}")
            if retained or self.told.get(name) != str(value):
                self.tally.message(f"$SYS/broker/{name}", str(value), retained)
            self.told[name] = str(value)


def test_nothing_yet() -> None:
    rates = SysTally().rates()
    assert rates.stale
    assert rates.age_s == float("inf")
    assert (rates.received_per_s, rates.sent_per_s, rates.dropped_per_s, rates.raw) == (0, 0, 0, {})


def test_rates_are_differences_over_the_publishing_period() -> None:
    broker = Broker()
    broker.publish(10, retained=True, received=1000, sent=5000, dropped=0, clients=3, heap=99)
    broker.now += 0.7
    broker.publish(12, received=1200, sent=6000, dropped=10, clients=3, heap=100)
    broker.now += 0.2
    rates = broker.tally.rates()
    # Against the retained one: two seconds by the broker's own clock, not the 0.7 since it was read.
    assert (rates.received_per_s, rates.sent_per_s, rates.dropped_per_s) == (100, 500, 5)
    assert (rates.clients_connected, rates.heap_bytes, rates.uptime_s) == (3, 100, 12)
    assert not rates.stale
    assert rates.age_s == pytest.approx(0.2)
    broker.now += 1.9
    broker.publish(14, received=1410, sent=6000, dropped=10)
    broker.now += 0.2
    rates = broker.tally.rates()
    assert rates.received_per_s == pytest.approx(100)  # 210 in 2.1 s
    assert rates.sent_per_s == 0  # it did not come again, so it has not changed
    assert rates.dropped_per_s == 0


def test_half_a_publication_is_not_counted() -> None:
    broker = Broker()
    broker.publish(0, retained=True, received=0, sent=0, dropped=0)
    broker.now += 1
    broker.tally.message("$SYS/broker/uptime", "2 seconds", False)
    assert broker.tally.rates().received_per_s == 0
    broker.now += 0.01
    broker.tally.message("$SYS/broker/publish/messages/received", "50", False)
    broker.now += 0.2
    assert broker.tally.rates().received_per_s == 25


def test_nobody_looked_in_between() -> None:
    broker = Broker()
    broker.publish(0, received=0, sent=0, dropped=0)
    for beat in range(1, 6):
        broker.now += 1
        broker.publish(beat, received=beat * beat, sent=0, dropped=0)
    broker.now += 0.2
    assert broker.tally.rates().received_per_s == pytest.approx(25 - 16)


def test_what_is_retained_is_no_heartbeat() -> None:
    """With sys_interval 0, old values stay for ever."""
    broker = Broker()
    broker.publish(500, retained=True, received=7, clients=9)
    broker.now += 0.2
    rates = broker.tally.rates()
    assert rates.stale
    assert rates.age_s == float("inf")
    assert rates.raw["publish/messages/received"] == "7"
    assert rates.clients_connected == 9


def test_silence_is_noticed() -> None:
    broker = Broker()
    broker.publish(0, received=0)
    for beat in (2, 4):
        broker.now += 2
        broker.publish(beat, received=100 * beat)
    broker.now += 0.2
    assert broker.tally.rates().received_per_s == pytest.approx(100)
    broker.now += 4
    assert not broker.tally.rates().stale
    broker.now += 2
    rates = broker.tally.rates()
    assert rates.stale
    assert rates.age_s == pytest.approx(6.2)
    assert rates.received_per_s == 0


def test_a_slow_broker_is_given_time() -> None:
    broker = Broker()
    for beat in (0, 30, 60):
        broker.publish(beat, received=beat)
        broker.now += 30
    broker.now += 30
    assert not broker.tally.rates().stale
    broker.now += 31  # more than three periods
    assert broker.tally.rates().stale


def test_another_process_behind_it() -> None:
    broker = Broker()
    broker.publish(100, received=10_000)
    broker.now += 2
    broker.publish(102, received=20_000)
    broker.now += 1
    broker.publish(0, received=5)
    broker.now += 1
    broker.publish(1, received=15)
    broker.now += 0.2
    assert broker.tally.rates().received_per_s == pytest.approx(10)


def test_topics_that_make_no_sense() -> None:
    broker = Broker()
    for topic, payload in (("uptime", "soon"), ("clients/connected", ""), ("publish/messages/received", "\ufffd"), ("", "")):
        broker.tally.message(f"$SYS/broker/{topic}", payload, False)
    broker.now += 1
    assert broker.tally.rates().clients_connected == 0


def publish(broker: ManagedBroker, messages: int) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect(broker.host, broker.port)
    client.loop_start()
    try:
        for _ in range(messages):
            client.publish("somewhere", b"")
        client.publish("somewhere", b"", qos=1).wait_for_publish(20)
    finally:
        client.disconnect()
        client.loop_stop()


def test_a_real_broker(every_mosquitto: Path, tmp_path: Path) -> None:
    """Also with the tightest limits there are, through a restart, and when the broker falls silent."""
    broker = ManagedBroker(every_mosquitto, tmp_path / "broker")
    period_s = 1.0 if broker.version >= (2, 1, 0) else 2.0
    usual = defaults(broker.version) | {"max_packet_size": 20, "max_queued_messages": 1, "max_inflight_messages": 1}
    threads = threading.active_count()
    topics: SysTopics | None = None
    try:
        broker.start(usual)
        topics = SysTopics(broker.endpoint)
        topics.start()
        # A broker that has just started says of a client that came within its first second only a publication later.
        assert eventually(lambda: not topics.read().stale and topics.read().clients_connected == 1)
        first = topics.read()
        assert first.version == f"mosquitto version {'.'.join(map(str, broker.version))}"
        assert first.heap_bytes > 1000
        assert eventually(lambda: topics.read().uptime_s > first.uptime_s)

        broker.apply(usual | {"max_packet_size": 5000})
        assert eventually(lambda: topics.read().version and topics.read().uptime_s <= first.uptime_s)
        assert eventually(lambda: topics.read().age_s < 0.2)
        publish(broker, 500)
        assert eventually(lambda: topics.read().received_per_s > 1)
        # Unless a publication came in the middle of it, all 501 (and our subscription's few) are in one period.
        assert topics.read().received_per_s * period_s < 501 * 1.3

        broker.stop()
        assert eventually(lambda: topics.read().stale)
        assert topics.read().received_per_s == 0
    finally:
        if topics is not None:
            topics.stop()
        broker.stop()
    assert threading.active_count() == threads
