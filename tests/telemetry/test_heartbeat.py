"""Whether a broker hangs, is busy, is away or is being restarted: told apart, on real brokers."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.connection.policy import POLICIES, ReconnectPolicy
from brokertuner_tui.connection.tracker import ConnectionState
from brokertuner_tui.knobs.catalogue import defaults
from brokertuner_tui.mqtt.endpoint import MQTT_3_1_1, MQTT_5, Endpoint
from brokertuner_tui.telemetry.heartbeat import Heartbeat, Silence
from brokertuner_tui.telemetry.sys_topics import SysTopics
from brokertuner_tui.workload.builtin import BuiltinLoad
from brokertuner_tui.workload.profile import Profile
from tests.broker.secure import LISTENERS, start_secured
from tests.connection.proxy import FaultyProxy
from tests.waiting import eventually

QUICK = ReconnectPolicy(
    connect_timeout_s=2.0,
    heartbeat_s=0.1,
    heartbeat_timeout_s=1.0,
    base_interval_s=0.02,
    factor=2.0,
    cap_s=0.1,
    jitter=0.2,
    max_attempts=None,
)


@pytest.fixture(autouse=True)
def no_threads_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert eventually(lambda: threading.active_count() == before)


@pytest.fixture
def broker(mosquitto: Path, tmp_path: Path) -> Iterator[ManagedBroker]:
    made = ManagedBroker(mosquitto, tmp_path / "broker")
    made.start(defaults(made.version))
    yield made
    made.stop()


@pytest.fixture
def proxy(broker: ManagedBroker) -> Iterator[FaultyProxy]:
    made = FaultyProxy(broker.port)
    yield made
    made.close()


@contextmanager
def beating(
    endpoint: Callable[[], Endpoint],
    policy: ReconnectPolicy = QUICK,
    *,
    evidence: Callable[[], object] = lambda: None,
    hung_s: float = 0.0,
) -> Iterator[Heartbeat]:
    """A heartbeat that has heard from the broker, until the block ends."""
    made = Heartbeat(endpoint, policy, evidence=evidence, hung_s=hung_s)
    made.start()
    try:
        assert eventually(lambda: made.status().state is ConnectionState.CONNECTED), made.status()
        yield made
    finally:
        made.stop()


def pid(broker: ManagedBroker) -> int:
    found = broker.status().pid
    assert found is not None
    return found


def test_silence_counts_what_was_watched() -> None:
    silence = Silence()
    silence.looked(10.0)
    assert silence.seconds == 0  # nobody was asked
    silence.asked(20.0)
    for now in (20.25, 20.5, 20.75):
        silence.looked(now)
    silence.asked(20.8)  # the first question is the one that counts
    silence.looked(21.0)
    assert silence.seconds == pytest.approx(1.0)
    silence.looked(60.0)  # the machine slept, or had no time for us
    assert silence.seconds == pytest.approx(1.5)
    silence.excuse()
    silence.looked(60.25)
    assert silence.seconds == pytest.approx(0.25)
    silence.heard()
    silence.looked(70.0)
    assert silence.seconds == 0


def test_a_stopped_broker_hangs_within_five_seconds(broker: ManagedBroker) -> None:
    """With what everybody has: the kernel goes on accepting connections for the process."""
    with beating(lambda: broker.endpoint, POLICIES["default"], hung_s=3.0) as heartbeat:
        os.kill(pid(broker), signal.SIGSTOP)
        stopped_at = time.monotonic()
        try:
            assert eventually(lambda: heartbeat.hung() != "", within_s=10.0)
            seen_s = time.monotonic() - stopped_at
            assert "has not answered for 3." in heartbeat.hung()
            # It stays one that hangs through new attempts, which are accepted and not answered.
            assert eventually(lambda: heartbeat.status().attempts >= 1)
            assert heartbeat.hung() != ""
        finally:
            os.kill(pid(broker), signal.SIGCONT)
        assert seen_s < 5.0
        assert eventually(lambda: heartbeat.hung() == "" and heartbeat.status().state is ConnectionState.CONNECTED)


def test_every_way_in(every_mosquitto: Path, tmp_path: Path) -> None:
    with start_secured(every_mosquitto, tmp_path, listeners=LISTENERS) as broker:
        for listener in LISTENERS:
            for protocol in (MQTT_3_1_1, MQTT_5):
                endpoint = broker.endpoint(listener, protocol=protocol)
                with beating(lambda endpoint=endpoint: endpoint) as heartbeat:  # type: ignore[misc]
                    first = heartbeat.status().last_heartbeat
                    assert first is not None
                    assert eventually(lambda h=heartbeat, first=first: (h.status().last_heartbeat or 0) > first)  # type: ignore[misc]
                    assert heartbeat.status().attempts_total == 1


def test_tight_limits_let_it_pass(every_mosquitto: Path, tmp_path: Path) -> None:
    """Also over the health checks of a second, each with a message."""
    broker = ManagedBroker(every_mosquitto, tmp_path / "broker")
    broker.start(defaults(broker.version) | {"max_packet_size": 20, "max_queued_messages": 1, "max_inflight_messages": 1})
    try:
        with beating(lambda: broker.endpoint) as heartbeat:
            time.sleep(1.0)
            assert heartbeat.status().state is ConnectionState.CONNECTED
            assert heartbeat.status().attempts_total == 1
    finally:
        broker.stop()


def test_a_wrong_password_is_an_answer(mosquitto: Path, tmp_path: Path) -> None:
    with start_secured(mosquitto, tmp_path, listeners=("tls",)) as broker:
        heartbeat = Heartbeat(lambda: broker.endpoint("tls", password="wrong"), QUICK, hung_s=0.0)
        heartbeat.start()
        try:
            assert eventually(lambda: heartbeat.status().attempts_total >= 3)
            assert "refused the connection" in heartbeat.status().last_error
            assert heartbeat.hung() == ""
        finally:
            heartbeat.stop()


def test_an_acl_that_forbids_the_message(mosquitto: Path, tmp_path: Path) -> None:
    with start_secured(mosquitto, tmp_path, listeners=("plain",), acl="topic read nothing/at/all\n") as broker:
        for protocol in (MQTT_3_1_1, MQTT_5):
            with beating(lambda protocol=protocol: broker.endpoint(protocol=protocol)) as heartbeat:  # type: ignore[misc]
                time.sleep(1.3 * QUICK.heartbeat_timeout_s)
                assert heartbeat.status().state is ConnectionState.CONNECTED  # not degraded: it is acknowledged
                assert heartbeat.status().attempts_total == 1


def test_half_open(broker: ManagedBroker, proxy: FaultyProxy) -> None:
    """Bytes go out, and nobody ever gets them: dead within one and a half of the policy's patience."""
    with beating(lambda: Endpoint("127.0.0.1", proxy.port)) as heartbeat:
        proxy.swallow()
        began = time.monotonic()
        assert eventually(lambda: not heartbeat.status().state.usable, within_s=10.0)
        assert time.monotonic() - began < 1.5 * QUICK.heartbeat_timeout_s
        assert "no answer for" in heartbeat.status().last_error
        assert eventually(lambda: heartbeat.hung() != "")
        proxy.heal()
        assert eventually(lambda: heartbeat.status().state is ConnectionState.CONNECTED)
        assert heartbeat.hung() == ""


def test_what_others_get_is_an_answer(broker: ManagedBroker, proxy: FaultyProxy) -> None:
    delivered = 0

    def evidence() -> object:
        nonlocal delivered
        delivered += 1
        return delivered

    with beating(lambda: Endpoint("127.0.0.1", proxy.port), evidence=evidence) as heartbeat:
        proxy.swallow()
        assert eventually(lambda: heartbeat.status().attempts >= 1)  # the connection is dead, the broker is not
        assert heartbeat.hung() == ""


def test_our_own_restart_is_no_silence(broker: ManagedBroker, proxy: FaultyProxy) -> None:
    with beating(lambda: Endpoint("127.0.0.1", proxy.port)) as heartbeat:
        with heartbeat.expect_restart():
            proxy.swallow()
            assert eventually(lambda: heartbeat.status().attempts >= 1)
            assert heartbeat.hung() == ""
            broker.restart()
            proxy.heal()
        assert heartbeat.hung() == ""
        assert eventually(lambda: heartbeat.status().state is ConnectionState.CONNECTED)


def test_a_broker_that_moved(broker: ManagedBroker, proxy: FaultyProxy) -> None:
    where = [broker.endpoint]
    with beating(lambda: where[0]) as heartbeat:
        where[0] = Endpoint("127.0.0.1", proxy.port)
        assert eventually(lambda: heartbeat.status().attempts_total == 2 and heartbeat.status().state.usable)
        assert len(proxy.connections) == 1


def test_a_broker_that_is_busy_does_not_hang(broker: ManagedBroker, tmp_path: Path) -> None:
    """More is published than it can deliver; it answers late, and is asked as everywhere else."""
    load = BuiltinLoad(tmp_path / "load")
    load.start(Profile("overload", publishers=50, subscribers=100, topics=1, rate=20_000, payload_bytes=200), broker.endpoint)
    try:
        load.wait_ready(10.0, lambda: False)
        seen = set()
        with beating(lambda: broker.endpoint, POLICIES["default"], evidence=lambda: load.status().received_total) as heartbeat:
            end = time.monotonic() + 4.0
            while time.monotonic() < end:
                seen.add(heartbeat.hung())
                time.sleep(0.02)
        assert load.status().received_total > 1000
        assert seen == {""}
    finally:
        load.stop()


def test_resets_do_not_make_it_spin(broker: ManagedBroker, proxy: FaultyProxy) -> None:
    """Every attempt is accepted and reset at once: neither client tries more often than its policy says."""
    endpoint = Endpoint("127.0.0.1", proxy.port)
    proxy.cut()
    for client in (Heartbeat(lambda: endpoint, QUICK), SysTopics(endpoint, QUICK)):
        proxy.connections.clear()
        client.start()
        try:
            assert eventually(lambda: len(proxy.connections) >= 12)
        finally:
            client.stop()
        attempts = list(proxy.connections)
        # What is seen is when the proxy's thread accepted, not when we tried: one by one they would prove little.
        assert attempts[11] - attempts[0] > 0.8 * sum(QUICK.shortest_s(number) for number in range(1, 12))
        assert client.status().last_error


@pytest.mark.parametrize("which", ["heartbeat", "$SYS"])
def test_nothing_is_left_of_failed_attempts(broker: ManagedBroker, proxy: FaultyProxy, which: str) -> None:
    """Fifty connections that break, some while they stand and some while they are made: no more open files than before."""
    endpoint = Endpoint("127.0.0.1", proxy.port)
    client = Heartbeat(lambda: endpoint, QUICK) if which == "heartbeat" else SysTopics(endpoint, QUICK)
    client.start()
    try:
        assert eventually(lambda: client.status().state.usable)
        at_first = len(os.listdir("/proc/self/fd"))
        begun = client.status().attempts_total
        while client.status().attempts_total < begun + 50:
            proxy.drop()
            time.sleep(0.01)
        assert eventually(lambda: client.status().state.usable)
        # The proxy closes its own ends a moment later.
        assert eventually(lambda: len(os.listdir("/proc/self/fd")) <= at_first)
    finally:
        client.stop()
