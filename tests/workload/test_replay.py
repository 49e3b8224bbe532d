"""Recording and playing on a real Mosquitto: the copy is like the original, and holds nothing that is not a number."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
import tomli
from paho.mqtt.enums import CallbackAPIVersion

from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.errors import ConnectionFailed
from brokertuner_tui.mqtt.endpoint import MQTT_3_1_1, Endpoint
from brokertuner_tui.workload.likeness import compare, of_shape, of_windows
from brokertuner_tui.workload.play import playback
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.record import Recorder
from brokertuner_tui.workload.shape import Shape, from_toml, to_toml
from tests.broker.secure import USERNAME, start_secured
from tests.workload.conftest import READY_S, Bench

RECORD_2_0_S, RECORD_2_1_S = 4.5, 2.6
"""Long enough for `$SYS` to come twice: every second second in Mosquitto 2.0, each second in 2.1."""
ORIGINAL = Profile.mix(
    "original",
    [
        Profile("fan", publishers=2, subscribers=14, topics=2, qos=0, payload_bytes=100, rate=400, slo_ms=5000),
        Profile("pairs", publishers=3, subscribers=3, topics=3, qos=1, payload_bytes=3000, rate=120, slo_ms=5000),
        Profile("twice", publishers=1, subscribers=2, topics=1, qos=2, payload_bytes=30, rate=60, window=20, slo_ms=5000),
        Profile("unheard", publishers=1, subscribers=0, topics=1, qos=1, payload_bytes=700, rate=40, slo_ms=5000),
    ],
)


def recorded(endpoint: Endpoint, seconds: float) -> Shape:
    recorder = Recorder(endpoint)
    recorder.connect()
    try:
        recorder.run(seconds)
    finally:
        recorder.close()
    shape = recorder.shape()
    text = to_toml(shape)
    assert from_toml(tomli.loads(text), "recording") == shape
    return shape


def test_a_copy_is_like_the_original(make_bench: Callable[[Path], Bench], every_mosquitto: Path) -> None:
    bench = make_bench(every_mosquitto)
    bench.start(ORIGINAL)
    seconds = RECORD_2_1_S if bench.broker.version >= (2, 1, 0) else RECORD_2_0_S
    bench.load.open_window()
    first = recorded(bench.broker.endpoint, seconds)
    window = bench.load.close_window(5.0)
    for row in compare(of_windows(ORIGINAL, [window]), of_shape(first)):
        assert row.alike, row
    assert first.connected[-1] == ORIGINAL.clients
    assert first.coverage is None or first.coverage == pytest.approx(1.0, abs=0.03)
    played = playback(first)
    assert played.fan_out == pytest.approx(ORIGINAL.fan_out, rel=0.05)
    bench.load.change(played.workload.phases[0].profile)
    bench.load.wait_ready(READY_S)
    bench.load.open_window()
    second = recorded(bench.broker.endpoint, seconds)
    window = bench.load.close_window(5.0)
    assert (window.lost, window.reconnects) == (0, 0)
    differences = compare(of_shape(first), of_shape(second))
    assert {"messages a second", "bytes a second", "QoS 2", "fan-out"} <= {row.figure for row in differences}
    for row in differences:
        assert row.alike, row


def publish(endpoint: Endpoint, seconds: float, count: int) -> threading.Thread:
    """A client with words that must not be written down."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="SECRET-CLIENT", protocol=mqtt.MQTTv311)

    if endpoint.username is not None:
        client.username_pw_set(endpoint.username, endpoint.password)

    def run() -> None:
        client.connect(endpoint.host, endpoint.port)
        client.loop_start()
        for number in range(count):
            client.publish(f"SECRET-TOPIC/{number % 3}", b"SECRET-PAYLOAD" * (1 + number % 2), qos=1, retain=number % 4 == 0)
            time.sleep(seconds / count)
        client.disconnect()
        client.loop_stop()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.fixture
def broker(tmp_path: Path, mosquitto: Path) -> Iterator[ManagedBroker]:
    made = ManagedBroker(mosquitto, tmp_path / "broker")
    made.start(made.baseline)
    yield made
    made.stop()


def test_nothing_but_numbers(broker: ManagedBroker) -> None:
    recorder = Recorder(broker.endpoint, interval_s=0.5)
    recorder.connect()
    thread = publish(broker.endpoint, 1.0, 40)
    recorder.run(2.1)
    recorder.close()
    thread.join()
    shape = recorder.shape()
    text = to_toml(shape)
    assert "SECRET" not in text
    assert "SECRET" not in repr(vars(recorder)) + repr(recorder._tally._cells)
    assert (shape.messages, shape.share_of_qos(1), shape.mean_bytes) == (40, 1.0, 21.0)
    assert shape.intervals == 4
    assert sum(stream.topics for stream in shape.streams) == 6  # three topics in two sizes each
    retained = sum((stream.retained or 0) * sum(stream.messages) for stream in shape.streams)
    assert retained == pytest.approx(10, abs=0.1)
    # What is retained by now was not published again.
    again = recorded(broker.endpoint, 1.2)
    assert again.messages == 0


def test_only_the_topics_asked_for_and_mqtt_3(broker: ManagedBroker) -> None:
    old = Endpoint(broker.host, broker.port, protocol=MQTT_3_1_1)
    recorder = Recorder(old, ("SECRET-TOPIC/1", "other/#"), interval_s=0.5)
    recorder.connect()
    thread = publish(broker.endpoint, 0.5, 30)
    recorder.run(1.1)
    recorder.close()
    thread.join()
    shape = recorder.shape()
    assert shape.messages == 10
    assert [stream.retained for stream in shape.streams] == [None] * len(shape.streams)
    assert any("3.1.1" in note for note in shape.notes)


def test_a_broker_that_goes_away(broker: ManagedBroker) -> None:
    recorder = Recorder(broker.endpoint, interval_s=0.2)
    recorder.connect()
    ends = time.monotonic() + 0.7

    def stop_broker() -> bool:
        if time.monotonic() > ends:
            broker.stop()
        return False

    recorder.run(30.0, stop_broker)
    recorder.close()
    shape = recorder.shape()
    assert recorder.lost
    assert 2 <= shape.intervals <= 20
    assert any("connection was lost" in note for note in shape.notes)
    with pytest.raises(ConnectionFailed, match="does not answer"):
        Recorder(broker.endpoint).connect()


def test_what_is_forbidden_is_said(tmp_path: Path, mosquitto_2_0_21: Path) -> None:
    """Mosquitto lets a client subscribe to anything, and then leaves out what it may not read."""
    acl = f"user {USERNAME}\ntopic write SECRET-TOPIC/#\ntopic read SECRET-TOPIC/1\ntopic read $SYS/#\n"
    with start_secured(mosquitto_2_0_21, tmp_path, acl=acl) as broker:
        recorder = Recorder(broker.endpoint())
        recorder.connect()
        thread = publish(broker.endpoint(), 4.4, 300)
        recorder.run(4.6)
        recorder.close()
        thread.join()
    shape = recorder.shape()
    assert shape.coverage == pytest.approx(1 / 3, abs=0.1)
    assert shape.fan_out == pytest.approx(0, abs=0.1)
    assert any("of what the broker received was seen" in note for note in shape.notes)


@pytest.mark.parametrize("listener", ["tls", "wss"])
def test_over_tls_and_websocket_without_sys(tmp_path: Path, mosquitto: Path, listener: str) -> None:
    acl = f"user {USERNAME}\ntopic readwrite SECRET-TOPIC/#\n"
    with start_secured(mosquitto, tmp_path, acl=acl, listeners=("plain", listener)) as broker:
        recorder = Recorder(broker.endpoint(listener), interval_s=0.5)
        recorder.connect()
        thread = publish(broker.endpoint(), 0.5, 30)
        recorder.run(1.1)
        recorder.close()
        thread.join()
        with pytest.raises(ConnectionFailed, match="refuses the recorder: "):
            Recorder(broker.endpoint(password="wrong")).connect()
    shape = recorder.shape()
    assert shape.messages == 30
    assert (shape.fan_out, shape.connected, shape.coverage) == (None, (), None)
    assert any("no $SYS to read" in note for note in shape.notes)


def test_too_short(broker: ManagedBroker) -> None:
    recorder = Recorder(broker.endpoint)
    recorder.connect()
    recorder.run(0.1)
    recorder.close()
    with pytest.raises(ConnectionFailed, match="nothing was recorded"):
        recorder.shape()


def test_large_messages_and_many(bench: Bench) -> None:
    """Payloads are skipped, not kept, and come in many pieces; nothing is lost for want of room in flight."""
    parts = [
        Profile("large", qos=2, payload_bytes=300_000, rate=20, window=20, slo_ms=5000),
        Profile("many", publishers=2, subscribers=1, topics=1, qos=1, payload_bytes=40, rate=4000, slo_ms=5000),
    ]
    bench.start(Profile.mix("both", parts))
    shape = recorded(bench.broker.endpoint, 2.1)
    assert shape.mean_bytes * shape.messages_per_s == pytest.approx(20 * 300_000 + 4000 * 40, rel=0.1)
    assert shape.messages_per_s == pytest.approx(4020, rel=0.1)
    assert bench.load.status().received_total > 0
