"""Persistent sessions: absent subscribers, redelivery, and that nothing is left on the broker."""

from __future__ import annotations

import socket
import time
from dataclasses import replace

import pytest

from brokertuner_tui.mqtt import packets
from brokertuner_tui.workload.profile import Profile
from tests.waiting import eventually
from tests.workload.conftest import READY_S, Bench

DURABLE = Profile(
    "durable",
    publishers=2,
    subscribers=2,
    topics=2,
    qos=1,
    rate=500,
    window=100,
    clean_session=False,
    offline_subscribers=3,
    slo_ms=5000,
)


def has_session(bench: Bench, client_id: str, protocol: int) -> bool:
    """Whether the broker has a session of that name; leaves it as it is."""
    with socket.create_connection((bench.broker.host, bench.broker.port), timeout=10) as sock:
        sock.sendall(
            packets.connect(client_id, protocol=protocol, clean=False, session_expiry_s=3600 if protocol == 5 else None)
        )
        header = sock.recv(1, socket.MSG_WAITALL) + sock.recv(1, socket.MSG_WAITALL)
        answer = packets.read_connack(sock.recv(header[1], socket.MSG_WAITALL), protocol=protocol)
        sock.sendall(packets.DISCONNECT_PACKET)
    return answer.session_present


def names(bench: Bench, kind: str, count: int) -> list[str]:
    return [f"bt-{bench.load.token}-{kind}{index}" for index in range(count)]


@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize("leave", ["stop", "change"])
def test_absent_subscribers_have_sessions_until_the_load_leaves(bench: Bench, leave: str, protocol: int) -> None:
    bench.start(replace(DURABLE, protocol=protocol))
    time.sleep(0.2)
    assert all(has_session(bench, name, protocol) for name in names(bench, "a", 3))
    if leave == "stop":
        bench.load.stop()
    else:
        bench.load.change(Profile("other", rate=100))
        bench.load.wait_ready(READY_S)
    # Asked under a clean connection's rules: asking itself would make a session, so each is asked once.
    assert not any(has_session(bench, name, protocol) for name in names(bench, "a", 3) + names(bench, "s", 2))


def test_a_broker_that_forgets_gets_its_absent_subscribers_back(bench: Bench) -> None:
    bench.start(DURABLE)
    bench.load.expect_restart()
    bench.broker.restart()
    bench.load.wait_ready(READY_S)
    assert all(has_session(bench, name, 4) for name in names(bench, "a", 3))


def test_a_broker_that_remembers_redelivers_and_nothing_is_lost(bench: Bench) -> None:
    """With persistence, what was queued for the sessions comes after the restart; what comes twice counts once."""
    bench.start(replace(DURABLE, qos=1, client_rtt_ms=50, rate=1000), persistence=True)
    time.sleep(0.3)
    bench.load.open_window()
    for _ in range(2):
        time.sleep(0.2)
        bench.load.expect_restart()
        bench.broker.restart()
        bench.load.wait_ready(READY_S)
    time.sleep(0.3)
    window = bench.load.close_window(5.0)
    assert window.reconnects == 8
    assert window.duplicated > 0  # sent, not acknowledged, sent again
    # Publishers have clean sessions: what was on its way to the broker when it went may be lost, and nothing else.
    assert window.lost <= 200
    assert window.received + window.lost >= window.expected
    assert window.missing == window.lost


def test_a_generator_that_replaces_a_dead_one_takes_over_its_sessions(bench: Bench) -> None:
    bench.start(DURABLE)
    pid = bench.load.status().pid
    bench.load.restart()
    bench.load.wait_ready(READY_S)
    assert bench.load.status().pid != pid
    bench.load.open_window()
    time.sleep(0.3)
    window = bench.load.close_window(5.0)
    assert (window.lost, window.duplicated) == (0, 0)
    assert window.received >= window.expected > 0
    bench.load.stop()
    assert eventually(lambda: bench.load.status().state == "stopped")
    assert not any(has_session(bench, name, 4) for name in names(bench, "a", 3) + names(bench, "s", 2))
