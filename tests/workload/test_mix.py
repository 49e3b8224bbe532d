"""Several loads at once: the sum is what its parts are, and rates change without a reconnection."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from brokertuner_tui.env.slo import CONTEXT_NAMES, context, from_log_unit
from brokertuner_tui.errors import ConfigError
from brokertuner_tui.store.convert import _window
from brokertuner_tui.store.plain import to_plain
from brokertuner_tui.tuning.guard.traps import evade, traps
from brokertuner_tui.workload import limits
from brokertuner_tui.workload.emqtt_bench.command import groups_of
from brokertuner_tui.workload.generator.pacer import Schedule, pause_s
from brokertuner_tui.workload.load import LoadError
from brokertuner_tui.workload.play import playback
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.record import Recorder
from brokertuner_tui.workload.window import Window
from tests.workload.conftest import Bench

FAN = Profile("fan", publishers=2, subscribers=10, topics=2, qos=0, payload_bytes=100, rate=400, slo_ms=5000)
PAIRS = Profile("pairs", publishers=3, subscribers=3, topics=3, qos=1, payload_bytes=5000, rate=100, slo_ms=8000)
TWICE = Profile("twice", publishers=1, subscribers=2, topics=1, qos=2, payload_bytes=30, rate=50, window=20, slo_ms=5000)
MIX = Profile.mix("all", [FAN, PAIRS, TWICE])


def test_what_a_mix_says_of_itself() -> None:
    assert (MIX.publishers, MIX.subscribers, MIX.topics, MIX.clients) == (6, 15, 6, 21)
    assert (MIX.rate, MIX.qos, MIX.payload_bytes, MIX.slo_ms) == (550, 2, 5000, 8000)
    assert MIX.fan_out == pytest.approx((400 * 5 + 100 * 1 + 50 * 2) / 550)
    assert MIX.members == (FAN, PAIRS, TWICE)
    assert FAN.members == (FAN,)
    assert Profile.mix("nested", [MIX, FAN]).parts == (FAN, PAIRS, TWICE, FAN)
    assert Profile.mix("closed", [FAN, replace(PAIRS, rate=0)]).rate == 0


def test_it_survives_json() -> None:
    assert Profile.from_dict(to_plain(MIX.as_dict())) == MIX
    assert Profile.from_dict(to_plain(MIX)) == MIX
    assert "parts" not in FAN.as_dict()


def test_limits_hold_for_all_of_it() -> None:
    limits.check(MIX)
    for bad, key in (
        (Profile.mix("m", [replace(FAN, qos=3)]), "qos"),
        (Profile.mix("m", [FAN, replace(FAN, client_rtt_ms=5)]), "client_rtt_ms"),
        (Profile.mix("m", [replace(FAN, publishers=6000), replace(FAN, publishers=6000)]), "publishers"),
        (Profile.mix("m", [FAN] * 65), "mix"),
        (Profile.mix("m", [replace(FAN, publishers=1500, subscribers=1500)] * 2), "subscribers"),
    ):
        with pytest.raises(ConfigError) as caught:
            limits.check(bad)
        assert caught.value.key == key
    with pytest.raises(LoadError, match="is a mix"):
        groups_of(MIX, "bt")


def test_traps_mind_every_part() -> None:
    knobs = {"max_packet_size": 1000, "message_size_limit": 2000, "memory_limit": 0, "max_inflight_messages": 5}
    knobs |= {"max_queued_messages": 1000}
    found = {trap.knob: trap.instead for trap in traps(knobs, MIX, (2, 0, 21))}
    assert found == {"max_packet_size": 5128, "message_size_limit": 0, "max_inflight_messages": 20}
    assert traps(evade(knobs, MIX, (2, 0, 21), {}), MIX, (2, 0, 21)) == []


def test_what_the_agent_sees() -> None:
    seen = dict(zip(CONTEXT_NAMES, context(MIX, (2, 0, 21)), strict=True))
    assert from_log_unit("rate", seen["rate"]) == pytest.approx(550)
    assert from_log_unit("payload", seen["payload"]) == pytest.approx((400 * 100 + 100 * 5000 + 50 * 30) / 550)
    assert seen["qos_1_or_2"] == pytest.approx(150 / 550)
    assert seen["qos_2"] == pytest.approx(50 / 550)
    assert context(Profile.mix("one", [FAN]), (2, 0, 21)) == context(FAN, (2, 0, 21))


def test_only_rates_may_differ_for_clients_to_stay() -> None:
    faster = Profile.mix("faster", [replace(part, rate=part.rate * 2) for part in MIX.parts])
    assert MIX.with_rates_of(faster) == faster
    assert FAN.with_rates_of(replace(FAN, rate=1, name="slow")) == replace(FAN, rate=1, name="slow")
    assert MIX.with_rates_of(Profile.mix("m", [FAN, PAIRS])) is None
    assert MIX.with_rates_of(Profile.mix("m", [FAN, PAIRS, replace(TWICE, qos=1)])) is None
    assert FAN.with_rates_of(replace(FAN, rate=0)) is None
    assert FAN.with_rates_of(MIX) is None


def test_a_changed_rate_sends_nothing_twice() -> None:
    schedule, at, issued = Schedule(replace(FAN, rate=10)), 0.0, 0
    for rate in (10, 3, 0.001, 50, 7):
        schedule = Schedule(replace(FAN, rate=rate), schedule.beyond(at, issued) if issued else 0.0)
        at, issued = 1.05, schedule.due(1.05)
        assert abs(issued - 1.05 * rate) <= 1.0
    assert pause_s(MIX) == 0.0


def check_parts(window: Window, rates: tuple[float, ...], fan_outs: tuple[float, ...]) -> None:
    assert len(window.parts) == len(rates)
    for part, rate, fan_out in zip(window.parts, rates, fan_outs, strict=True):
        assert part.sent == pytest.approx(rate * window.seconds, rel=0.25, abs=5)
        assert part.expected == part.sent * fan_out
        assert 0 <= part.received - part.expected <= 50  # a few were under way when the window was opened
    for name in ("sent", "expected", "received", "on_time", "lost"):
        assert getattr(window, name) == sum(getattr(part, name) for part in window.parts)


def test_on_every_mosquitto(make_bench: Callable[[Path], Bench], every_mosquitto: Path) -> None:
    bench = make_bench(every_mosquitto)
    bench.start(MIX)
    bench.load.open_window()
    time.sleep(0.8)
    window = bench.load.close_window(10.0)
    assert (window.lost, window.missing, window.duplicated, window.reconnects) == (0, 0, 0, 0)
    assert window.clients == 21
    assert sum(count for _, count in window.histogram) == window.received
    assert 0 < sum(window.on_time_slices) <= window.on_time
    check_parts(window, (400, 100, 50), (5, 1, 2))
    assert Window.from_dict(to_plain(window.as_dict())) == window
    assert _window(to_plain(window.as_dict())) == window
    assert bench.load.status().wanted == bench.load.status().connected == 21
    # Rates change and the window goes on.
    bench.load.open_window()
    time.sleep(0.4)
    bench.load.change(Profile.mix("more", [replace(FAN, rate=800), replace(PAIRS, rate=0.001), TWICE]))
    time.sleep(0.4)
    window = bench.load.close_window(10.0)
    assert window.reconnects == 0
    check_parts(window, (600, 50, 50), (5, 1, 2))
    # Other clients: everything is connected anew.
    bench.load.change(FAN)
    assert bench.load.wait_ready(20.0) >= 0
    assert bench.load.status().reconnects == 0


def test_a_closed_loop_beside_an_open_one(bench: Bench) -> None:
    bench.start(Profile.mix("both", [replace(FAN, rate=0, window=5), PAIRS, replace(TWICE, clean_session=False)]))
    bench.load.open_window()
    time.sleep(0.6)
    window = bench.load.close_window(10.0)
    assert (window.lost, window.duplicated) == (0, 0)
    assert window.parts[0].sent > 50
    assert window.parts[1].sent == pytest.approx(100 * window.seconds, rel=0.3, abs=10)


def test_clients_that_come_and_go(make_bench: Callable[[Path], Bench], every_mosquitto: Path) -> None:
    bench = make_bench(every_mosquitto)
    bench.start(replace(FAN, connects=100))
    recorder = Recorder(bench.broker.endpoint)
    recorder.connect()
    bench.load.open_window()
    recorder.run(2.6)
    window = bench.load.close_window(5.0)
    recorder.close()
    shape = recorder.shape()
    assert (window.lost, window.reconnects, window.clients) == (0, 0, 12)
    assert bench.load.status().state == "running"
    assert bench.broker.log_path is not None
    log = bench.broker.log_path.read_text()
    if bench.broker.version >= (2, 1, 0):
        assert sum(shape.connects) / shape.seconds == pytest.approx(100, rel=0.5)
        assert playback(shape).workload.phases[0].profile.connects > 0
    assert bench.load.status().connected == 12
    assert "refused" not in log
    bench.load.change(replace(FAN, connects=0))  # only rates differ
    assert bench.load.status().reconnects == 0
