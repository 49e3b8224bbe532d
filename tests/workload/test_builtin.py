"""The built-in load on a real Mosquitto: what is counted is what happened."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from brokertuner_tui.errors import ConfigError
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.workload.builtin import BuiltinLoad
from brokertuner_tui.workload.load import LoadError
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.window import Window
from tests.waiting import eventually
from tests.workload.conftest import READY_S, Bench

DRAIN_S = 10.0
STEADY = Profile("steady", publishers=4, subscribers=4, topics=4, qos=1, rate=2000, window=100, slo_ms=5000)


def measure(load: BuiltinLoad, seconds: float, drain_s: float = DRAIN_S) -> Window:
    load.open_window()
    time.sleep(seconds)
    return load.close_window(drain_s)


def all_came(window: Window, in_flight: int = 200) -> None:
    """Everything that was sent came once. What was under way when the window opened came in it, too."""
    assert window.sent > 0
    assert (window.lost, window.missing, window.duplicated) == (0, 0, 0)
    assert window.expected <= window.received <= window.expected + in_flight
    assert window.on_time + window.late == window.received
    assert sum(count for _, count in window.histogram) == window.received
    assert 0 < window.p50_ms <= window.p90_ms <= window.p95_ms <= window.p99_ms <= window.max_ms


@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_every_qos_and_protocol(bench: Bench, qos: int, protocol: int) -> None:
    # A QoS 2 publisher of MQTT 3.1.1 may not have more under way than the broker's 20.
    bench.start(replace(STEADY, qos=qos, protocol=protocol, window=20))
    window = measure(bench.load, 0.4)
    all_came(window)
    assert window.sent == pytest.approx(2000 * 0.4, rel=0.5)
    assert window.clients == 8
    assert window.reconnects == 0


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_closed_loop_on_every_mosquitto(make_bench: Callable[[Path], Bench], every_mosquitto: Path, qos: int) -> None:
    bench = make_bench(every_mosquitto)
    bench.start(replace(STEADY, qos=qos, rate=0, window=20))
    all_came(measure(bench.load, 0.4))
    again = measure(bench.load, 0.3)  # it goes on after a drain
    assert again.sent > 100


@pytest.mark.parametrize(("payload", "qos"), [(24, 1), (4096, 2), (65536, 1), (65536, 0), (1_000_000, 2)])
def test_payload_sizes(bench: Bench, payload: int, qos: int) -> None:
    bench.start(replace(STEADY, qos=qos, payload_bytes=payload, rate=0, window=5))
    all_came(measure(bench.load, 0.4))


def test_every_subscriber_of_a_topic_counts(bench: Bench) -> None:
    profile = replace(STEADY, publishers=2, subscribers=5, topics=2)
    bench.start(profile)
    window = measure(bench.load, 0.4)
    all_came(window)
    assert window.expected == pytest.approx(window.sent * profile.fan_out, abs=10)
    assert profile.fan_out == 2.5


def test_a_window_of_60000_goes_round_the_packet_ids(bench: Bench) -> None:
    """More than 65,535 messages: each packet id is used more than once, and never twice at a time."""
    bench.start(Profile("wide", qos=1, rate=0, window=60_000, slo_ms=5000), max_queued_messages=0)
    bench.load.open_window()
    assert eventually(lambda: bench.load.status().sent_total > 80_000, 60)
    window = bench.load.close_window(20)
    assert window.lost == 0
    assert window.received >= window.expected


def test_acknowledgements_are_held_back_for_the_round_trip(bench: Bench) -> None:
    bench.start(Profile("far", qos=1, rate=0, window=10, client_rtt_ms=100))
    window = measure(bench.load, 0.6, 0)
    assert 30 <= window.sent <= 70  # ten per round trip
    bench.load.change(Profile("farther", qos=2, rate=0, window=10, client_rtt_ms=100))
    bench.load.wait_ready(READY_S)
    window = measure(bench.load, 0.9, 0)
    assert 20 <= window.sent <= 60  # two round trips each


def test_bursts(bench: Bench) -> None:
    bench.start(Profile("bursty", qos=0, rate=1000, burst=(0.1, 0.3)))
    sent = [measure(bench.load, 0.05, 0).sent for _ in range(24)]
    assert 0 in sent
    assert max(sent) > 120  # 200 in 0.05 s of a burst; the mean would be 50


def test_messages_that_the_broker_drops_silently_are_missing(bench: Bench) -> None:
    bench.start(STEADY, message_size_limit=30)
    window = measure(bench.load, 0.3, 0)
    assert window.sent > 100
    assert (window.received, window.on_time) == (0, 0)
    bench.load.change(replace(STEADY, slo_ms=10))
    bench.load.wait_ready(READY_S)
    window = measure(bench.load, 0.3, 0)
    assert window.received == 0
    assert window.missing > 100


def test_messages_that_the_broker_drops_from_a_full_queue_are_lost(
    mosquitto_2_0_21: Path, make_bench: Callable[[Path], Bench]
) -> None:
    bench = make_bench(mosquitto_2_0_21)
    profile = replace(STEADY, publishers=1, subscribers=2, topics=1, client_rtt_ms=100)
    bench.start(profile, max_inflight_messages=5, max_queued_messages=10)
    time.sleep(0.3)
    window = measure(bench.load, 0.5, 3.0)
    assert window.lost == window.missing > window.expected / 2
    assert window.received > 20
    # What is too much came of what was under way when the window opened: in flight or queued, for two subscribers.
    assert window.expected <= window.received + window.lost <= window.expected + 2 * (5 + 10 + 5)
    time.sleep(0.5)
    undrained = measure(bench.load, 0.5, 0)
    assert undrained.lost > undrained.expected / 2


def test_a_drain_ends_when_all_has_come_and_rates_do_not_suffer(bench: Bench) -> None:
    bench.start(STEADY)
    began = time.monotonic()
    window = measure(bench.load, 0.3, 15.0)
    assert time.monotonic() - began < 10
    assert window.seconds < 5
    all_came(window)


def test_slow_slo_marks_late(bench: Bench) -> None:
    bench.start(replace(STEADY, slo_ms=0.001))
    window = measure(bench.load, 0.3)
    all_came(window)
    assert (window.on_time, window.late) == (0, window.received)


def test_change_makes_other_clients(bench: Bench) -> None:
    bench.start(STEADY)
    before = bench.load.status()
    profile = Profile("other", publishers=2, subscribers=20, topics=1, qos=0, rate=100, slo_ms=5000)
    bench.load.change(profile)
    assert bench.load.wait_ready(READY_S) < 5
    window = measure(bench.load, 0.3)
    all_came(window)
    assert window.clients == 22
    assert eventually(lambda: bench.load.status().connected == 22)
    after = bench.load.status()
    assert after.pid == before.pid
    assert after.profile == profile
    assert after.reconnects == 0
    assert after.sent_total >= before.sent_total


def test_no_subscribers_is_a_load_too(bench: Bench) -> None:
    bench.start(Profile("blind", subscribers=0, qos=1, protocol=5, rate=0, window=10))
    window = measure(bench.load, 0.3, 1.0)
    assert window.sent > 10
    assert (window.expected, window.received, window.missing) == (0, 0, 0)


def test_what_nagle_costs_is_seen_from_the_first_moment(bench: Bench) -> None:
    """A trickle to subscribers that only listen: 3.6 ms at the median without set_tcp_nodelay, 0.1 with it."""
    trickle = Profile("trickle", publishers=20, subscribers=2, topics=2, qos=0, rate=5000)
    bench.start(trickle)
    delayed = measure(bench.load, 0.3, 0)
    bench.load.expect_restart()
    bench.broker.apply(bench.knobs(set_tcp_nodelay=True))
    bench.load.wait_ready(READY_S)
    prompt = measure(bench.load, 0.3, 0)
    assert delayed.p50_ms > 3 * prompt.p50_ms


def test_a_closed_loop_of_qos_0_is_not_held_up_by_losses_nor_by_nobody(bench: Bench) -> None:
    bench.start(Profile("lossy", qos=0, rate=0, window=10), message_size_limit=30)
    assert eventually(lambda: bench.load.status().sent_total >= 30)  # what is lost is given up after a second
    assert bench.load.status().received_total == 0
    bench.load.change(Profile("blind", subscribers=0, qos=0, rate=0, window=10))
    assert eventually(lambda: bench.load.status().sent_total > 10_000)


def test_a_closed_loop_of_qos_0_goes_on_when_all_has_come(bench: Bench) -> None:
    """One publisher whose whole window is counted at once: nothing but that says that there is room."""
    bench.start(Profile("alone", qos=0, rate=0, window=500, payload_bytes=30, slo_ms=5000), set_tcp_nodelay=True)
    assert eventually(lambda: bench.load.status().sent_total > 0)
    window = measure(bench.load, 1.0, 0)
    assert window.sent > 10 * 500  # 4 windows a second without it


def test_what_an_open_loop_could_not_send_is_seen(bench: Bench) -> None:
    """A window of one and a round trip of 0.2 s let five a second pass, of the hundred that are wanted."""
    bench.start(Profile("behind", qos=1, rate=100, window=1, client_rtt_ms=200))
    window = measure(bench.load, 1.0, 0)
    assert 2 <= window.sent <= 7
    assert window.expected == window.sent


def test_status_counts_up_and_stop_may_be_called_again(bench: Bench) -> None:
    assert bench.load.status().state == "stopped"
    bench.start(STEADY)
    assert eventually(lambda: bench.load.status().received_total > 100)
    status = bench.load.status()
    assert status.state == "running"
    assert status.connected == status.wanted == 8
    assert status.on_time_total <= status.received_total
    assert eventually(lambda: bench.load.status().generator_cpu > 0)
    bench.load.stop()
    bench.load.stop()
    assert bench.load.status().state == "stopped"
    with pytest.raises(LoadError, match="no load is running"):
        bench.load.open_window()
    bench.load.expect_restart()  # says nothing


def test_closing_a_window_that_is_not_open_is_refused(bench: Bench) -> None:
    bench.start(STEADY)
    with pytest.raises(LoadError, match="no window is open"):
        bench.load.close_window()


def test_a_profile_that_cannot_be_made_is_refused(bench: Bench) -> None:
    with pytest.raises(ConfigError, match="workload steady: payload_bytes = 23"):
        bench.load.start(replace(STEADY, payload_bytes=23), Endpoint("127.0.0.1", 1))
    assert bench.load.status().state == "stopped"
