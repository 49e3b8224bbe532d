"""The file of a recording: what is written is what is read, and anything else is one line."""

from __future__ import annotations

from typing import Any

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from brokertuner_tui.errors import ConfigError
from brokertuner_tui.mqtt import packets
from brokertuner_tui.workload.shape import FORMAT, MAX_PAYLOAD, Shape, Stream, bucket, coarser, from_toml, to_toml
from brokertuner_tui.workload.tally import Tally, TrafficScanner

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    intervals = draw(st.integers(1, 6))
    counts = st.lists(st.integers(0, 10**6), min_size=intervals, max_size=intervals).map(tuple)
    streams = []
    for _ in range(draw(st.integers(0, 3))):
        low, high = bucket(draw(st.integers(0, MAX_PAYLOAD)))
        messages = draw(counts)
        sizes = tuple(count * draw(st.integers(low, high)) for count in messages)
        retained = draw(st.none() | st.floats(0, 1))
        streams.append(
            Stream(
                draw(st.integers(0, 3)), draw(st.integers(1, 99)), draw(st.integers(0, 2)), low, high, messages, sizes, retained
            )
        )
    clients = draw(st.booleans()) or not streams
    return Shape(
        interval_s=draw(st.floats(0.1, 3600)),
        streams=tuple(streams),
        connected=draw(counts) if clients else (),
        connects=draw(counts) if clients else (),
        disconnects=draw(counts) if clients else (),
        fan_out=draw(st.none() | st.floats(0, 1e6)),
        subscriptions=draw(st.none() | st.integers(0, 10**9)),
        coverage=draw(st.none() | st.floats(0, 10)),
        slo_ms=draw(st.floats(0.01, 1000)),
        mosquitto=draw(TEXT.filter(str.isprintable)),
        recorded_at=draw(TEXT.filter(str.isprintable)),
        notes=tuple(draw(st.lists(TEXT.filter(str.isprintable), max_size=3))),
    )


@settings(max_examples=40, deadline=None)
@given(shapes())
def test_what_is_written_is_what_is_read(shape: Shape) -> None:
    assert from_toml(tomli.loads(to_toml(shape)), "file") == shape


@given(TEXT)
def test_text_cannot_break_out(text: str) -> None:
    shape = Shape(1.0, (), (1,), (0,), (0,), mosquitto=text, notes=(text,))
    read = from_toml(tomli.loads(to_toml(shape)), "file")
    assert read.mosquitto == "".join(char if char.isprintable() else " " for char in text)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)
KEYS = (
    "version",
    "interval_s",
    "intervals",
    "slo_ms",
    "fan_out",
    "subscriptions",
    "coverage",
    "notes",
    "clients",
    "stream",
    "x",
)


@settings(max_examples=60, deadline=None)
@given(shapes(), st.sampled_from(KEYS), VALUES)
def test_anything_else_is_one_line(shape: Shape, key: str, value: Any) -> None:
    data = tomli.loads(to_toml(shape))
    data[key] = value
    said = "some file: nothing"
    try:
        from_toml(data, "some file")
    except ConfigError as error:
        said = str(error)
    assert said.startswith("some file: ")
    assert said.isprintable()
    assert len(said) < 400


GOOD = to_toml(Shape(1.0, (Stream(0, 1, 1, 64, 127, (10, 20), (1000, 2000)),), (5, 5), (0, 0), (0, 0), fan_out=2.0))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (FORMAT, "something", "format = 'something': this program reads 'brokertuner-shape'"),
        ("version = 1", "version = 2", "version = 2: this program reads 1"),
        ("version = 1", "version = true", "version = True: this program reads 1"),
        ("intervals = 2", "intervals = 3", "stream[0].messages = [10, 20]: must be a list of 3 whole numbers"),
        ("intervals = 2", "", "intervals = (missing): must be a whole number"),
        ("fan_out = 2.0", "fan_out = nan", "fan_out = nan: must be a number from 0"),
        ("qos = 1", "qos = 3", "stream[0].qos = 3: must be a whole number from 0 to 2"),
        ("qos = 1", "qos = 1\ntopic_name = 'secret'", "stream[0].topic_name = 'secret': unknown key"),
        ("10, 20,", "10, -1,", "stream[0].messages = [10, -1]: must be a list of 2 whole numbers"),
        ("1000, 2000,", "1000, 9999,", "stream[0].payload_bytes = 9999: 20 messages of 64 to 127 bytes cannot have that many"),
        ("bytes_from = 64", "bytes_from = 65", "stream[0].bytes_from = 65: must begin a bucket"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_toml(tomli.loads(GOOD.replace(old, new, 1)), "r.toml")
    assert str(caught.value).startswith(f"r.toml: {said}")


def test_longer_intervals_hold_the_same() -> None:
    tally = Tally(1.0, most_intervals=4)
    for second in range(16):
        for _ in range(second + 1):
            tally.message(b"a" if second < 8 else b"b", 1, 100, False)
        tally.close_interval()
        if tally.full:
            tally.halve()
    (one, other) = tally.streams(retained_known=True)
    assert tally.interval_s == 8
    assert (one.messages, other.messages) == ((36, 0), (0, 100))
    assert other.payload_bytes == (0, 10_000)
    shape = coarser(Shape(8.0, (one, other), (3, 4), (1, 2), (0, 1)))
    assert (shape.interval_s, shape.messages, shape.connected, shape.connects) == (16.0, 136, (4,), (3,))


@given(
    st.lists(st.tuples(st.text(max_size=5), st.integers(0, 2), st.integers(0, 400)), max_size=12),
    st.sampled_from([4, 5]),
    st.data(),
)
def test_packets_in_any_pieces(messages: list[tuple[str, int, int]], protocol: int, data: st.DataObject) -> None:
    stream = b"".join(
        packets.publish(f"t/{topic}", bytes(size), qos=qos, packet_id=number + 1, protocol=protocol)
        for number, (topic, qos, size) in enumerate(messages)
    )
    seen: list[tuple[bytes, int, int]] = []

    def unexpected(*what: object) -> None:
        raise AssertionError(what)

    scanner = TrafficScanner(protocol, lambda topic, qos, size, _: seen.append((topic, qos, size)), unexpected, unexpected)
    answers, at = b"", 0
    while at < len(stream):
        step = data.draw(st.integers(1, 200))
        answers += scanner.feed(stream[at : at + step])
        at += step
    assert seen == [(f"t/{topic}".encode(), qos, size) for topic, qos, size in messages]
    expected = (
        packets.acknowledgement(packets.PUBACK if qos == 1 else packets.PUBREC, number + 1)
        for number, (_, qos, _) in enumerate(messages)
        if qos
    )
    assert answers == b"".join(expected)
