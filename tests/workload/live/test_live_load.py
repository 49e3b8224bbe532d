"""What is said of live traffic on a real Mosquitto."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from brokertuner_tui.config.settings import LiveSettings
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.telemetry.sys_topics import SysTopics
from brokertuner_tui.workload.live.load import LiveLoad
from brokertuner_tui.workload.live.publications import PACKETS_IN, Difference, Publications
from brokertuner_tui.workload.profile import Profile
from tests.waiting import eventually
from tests.workload.conftest import Bench
from tests.workload.live.conftest import READY_S, window

Watch = Callable[..., LiveLoad]
FAST = {"probe_rate": 20.0, "probe_share": 1.0, "slo_ms": 2000.0}
"""Many samples in a short window, whatever the broker has to do."""


def test_the_figures_are_those_of_the_others_alone(
    make_bench: Callable[[Path], Bench], every_mosquitto: Path, watch: Watch
) -> None:
    bench = make_bench(every_mosquitto)
    bench.start(Profile("others", publishers=2, subscribers=4, topics=2, qos=1, payload_bytes=200, rate=400))
    load = watch(bench.broker.endpoint, **FAST)
    seen = window(load)
    figures = seen.live
    assert figures is not None
    assert figures.offered_per_s == pytest.approx(400, rel=0.1)
    assert figures.delivered_per_s == pytest.approx(800, rel=0.1)
    assert figures.clients == 6
    assert figures.sys_seconds >= 0.9
    assert figures.judged > 20
    assert [part.sent > 0 for part in seen.parts] == [True] * 3
    assert seen.share_in_time > 0.9
    profile = load.status().profile
    assert profile is not None
    assert (profile.name, profile.rate, profile.payload_bytes, profile.fan_out) == ("live", 512.0, 256, 2.0)


def _packets_per_s(endpoint: Endpoint, seconds: float) -> float:
    """All packets a second that the broker receives, by its own count."""
    sys, known = SysTopics(endpoint), Publications()
    sys.start()
    counted: Difference | None = None
    deadline = time.monotonic() + READY_S
    while counted is None or counted.seconds < seconds:
        assert time.monotonic() < deadline
        time.sleep(0.05)
        known.note(time.monotonic(), sys.read())
        counted = known.since(0.0)
    sys.stop()
    return counted.counts[PACKETS_IN] / counted.seconds


def _messages_per_s(endpoint: Endpoint, topics: str, seconds: float) -> dict[int, float]:
    """Messages a second that are published to `topics` with each QoS, as another subscriber sees them."""
    seen: Counter[int] = Counter()
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda _client, _data, message: seen.update([message.qos])
    client.connect(endpoint.host, endpoint.port)
    client.subscribe(topics, qos=2)
    client.loop_start()
    assert eventually(lambda: len(seen) == 3)
    before, since = Counter(seen), time.monotonic()
    time.sleep(seconds)
    counted, passed = Counter(seen) - before, time.monotonic() - since
    client.disconnect()
    client.loop_stop()
    return {qos: count / passed for qos, count in counted.items()}


def test_the_probe_is_one_per_cent_of_2000_messages_a_second_at_most(
    make_bench: Callable[[Path], Bench], prompt_mosquitto: Path, watch: Watch
) -> None:
    bench = make_bench(prompt_mosquitto)
    bench.start(Profile("others", publishers=2, subscribers=2, topics=2, qos=0, payload_bytes=64, rate=2000))
    endpoint = bench.broker.endpoint
    load = watch(endpoint)
    window(load)  # until now it did not know what the broker has to do
    everything = _packets_per_s(endpoint, 2.9)
    # They come in bursts of one to three, less than a second apart: in eight seconds one burst more or less is a tenth.
    messages = _messages_per_s(endpoint, f"{LiveSettings().probe_topic}/#", 8.0)
    # A PUBLISH; with QoS 1 the subscriber's PUBACK, too; with QoS 2 the PUBREL and the subscriber's PUBREC and PUBCOMP.
    probes = messages[0] + 2 * messages[1] + 4 * messages[2]
    assert 0.005 < probes / everything <= 0.011


def test_a_broker_without_traffic_is_quiet_and_not_bad(bench: Bench, watch: Watch) -> None:
    bench.broker.start(bench.knobs())
    seen = window(watch(bench.broker.endpoint, **FAST))
    assert seen.live is not None
    assert seen.live.quiet
    assert seen.live.fan_out is None
    assert seen.live.clients == 0
    assert seen.live.delivered_share(5.0) == 1.0
    assert seen.share_in_time > 0.9


@pytest.mark.parametrize("how", ["off", "forbidden"])
def test_sys_that_says_nothing_is_told_and_the_probe_goes_on(
    bare_broker: Callable[[str], Endpoint], watch: Watch, tmp_path: Path, how: str
) -> None:
    (tmp_path / "acl").write_text("topic readwrite brokertuner/#\n")
    lines = {"off": "sys_interval 0", "forbidden": f"sys_interval 1\nacl_file {tmp_path / 'acl'}"}[how]
    seen = window(watch(bare_broker(lines), **FAST))
    figures = seen.live
    assert figures is not None
    assert (figures.offered_per_s, figures.delivered_per_s, figures.clients, figures.sys_seconds) == (None, None, None, 0.0)
    assert figures.remarks[0].startswith("$SYS says nothing: sys_interval is 0, or an ACL forbids it")
    assert figures.source == "probe alone"
    assert figures.judged > 20
    assert figures.delivered_share(1.0) == 1.0


def test_a_probe_that_an_acl_keeps_out_judges_nothing(
    bare_broker: Callable[[str], Endpoint], watch: Watch, tmp_path: Path
) -> None:
    (tmp_path / "acl").write_text("topic readwrite sensors/#\ntopic read $SYS/#\n")
    seen = window(watch(bare_broker(f"sys_interval 1\nacl_file {tmp_path / 'acl'}"), **FAST))
    assert seen.live is not None
    assert seen.received == 0
    assert seen.live.judged == 0
    assert "brokertuner/probe/#" in seen.live.too_few


def test_a_broker_that_is_restarted_in_the_window(
    make_bench: Callable[[Path], Bench], prompt_mosquitto: Path, watch: Watch
) -> None:
    bench = make_bench(prompt_mosquitto)
    bench.start(Profile("others", publishers=2, subscribers=2, topics=2, qos=0, payload_bytes=64, rate=200))
    load = watch(bench.broker.endpoint, **FAST)
    window(load)
    load.open_window()
    bench.broker.restart()
    bench.load.wait_ready(READY_S)
    deadline = time.monotonic() + READY_S
    while not load.whole():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    seen = load.close_window()
    assert seen.live is not None
    assert "restarted" in seen.live.remarks[0]
    assert seen.reconnects > 0
    assert seen.live.offered_per_s is None or 0 < seen.live.offered_per_s < 400
    after = window(load)
    assert after.live is not None
    assert after.live.offered_per_s == pytest.approx(200, rel=0.15)


def test_listening_finds_gaps_and_keeps_no_payload(bench: Bench, watch: Watch) -> None:
    bench.broker.start(bench.knobs())
    load = watch(bench.broker.endpoint, **FAST, subscribe=["plant/#"])
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", bench.broker.port)
    client.loop_start()

    def publish(numbers: list[int]) -> None:
        for number in numbers:
            client.publish("plant/press", b'{"seq": %d, "secret": "payload"}' % number, qos=1).wait_for_publish(5)

    deadline = time.monotonic() + READY_S
    first = 0
    while True:  # until the listener's subscription is there, and has learned where the number is
        publish(list(range(first, first := first + 10)))
        load.open_window()
        publish(list(range(first, first := first + 2)))
        time.sleep(0.1)
        figures = load.close_window().live
        assert figures is not None
        if figures.sequenced is not None and figures.sequenced.received >= 2:
            break
        assert time.monotonic() < deadline
    load.open_window()
    publish([*range(first, first + 5), first + 4, *range(first + 8, first + 10)])
    time.sleep(0.3)
    seen = load.close_window()
    client.loop_stop()
    assert seen.live is not None
    assert seen.live.sequenced is not None
    assert (seen.live.sequenced.topics, seen.live.sequenced.received) == (1, 7)
    assert (seen.live.sequenced.lost, seen.live.sequenced.duplicated) == (3, 1)
    assert seen.share_in_time < 0.75
    assert any("listening costs the broker" in remark for remark in seen.live.remarks)
    assert "payload" not in str(seen.as_dict())
