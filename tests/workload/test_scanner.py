"""Byte streams are cut into packets rightly, however they are fragmented and mixed."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brokertuner_tui.mqtt import packets
from brokertuner_tui.workload.generator.layout import Ids, Layout, answers
from brokertuner_tui.workload.generator.scanner import Scanner, SkippingScanner
from brokertuner_tui.workload.profile import Profile

EPOCH = 0xABCD1234


def layout_of(qos: int = 1, payload: int = 40, protocol: int = 4) -> Layout:
    return Layout.of(Profile("test", qos=qos, payload_bytes=payload, protocol=protocol), "bt/test", EPOCH)


class Heard:
    """Everything that a scanner reported, in order, one entry a packet."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.events: list[tuple[Any, ...]] = []

    def records(self, data: bytes, count: int) -> None:
        assert len(data) == count * self.layout.record_size
        for row in np.frombuffer(data, self.layout.read_type):
            packet_id = int(row["id"].byteswap()) if self.layout.qos else 0
            self.events.append(("message", int(row["publisher"]), int(row["seq"]), int(row["sent"]), packet_id))

    def acknowledged(self, kind: int, ids: Ids) -> None:
        self.events += [("ack", kind, int(number)) for number in ids.byteswap()]

    def other(self, first: int, body: bytes) -> None:
        self.events.append(("other", first, body))


Packet = tuple[bytes, tuple[Any, ...]]


def packets_of(layout: Layout, large: bool) -> st.SearchStrategy[Packet]:
    """Packets as a broker may send them to this load, each with the event that it should cause."""
    ids = st.integers(1, 65535)

    def message(publisher: int, seq: int, sent: int, packet_id: int, dup: bool) -> Packet:
        number = packet_id if layout.qos else 0
        packet = layout.packet(0, publisher, seq, sent, number)
        if dup and layout.qos:
            packet = bytes((packet[0] | 0x08,)) + packet[1:]
        return packet, ("message", publisher, seq, sent, number)

    def acknowledgement(kind: int, packet_id: int) -> Packet:
        return packets.acknowledgement(kind, packet_id), ("ack", kind, packet_id)

    def reasoned(kind: int, packet_id: int) -> Packet:
        body = packet_id.to_bytes(2, "big") + b"\x10"
        first = (kind << 4) | (2 if kind == packets.PUBREL else 0)
        return bytes((first, 3)) + body, ("other", first, body)

    def foreign(payload: bytes) -> Packet:
        packet = packets.publish("bt/test/00000", payload, qos=layout.qos, packet_id=7 if layout.qos else 0)
        length = packets.decode_length(packet, 1)
        assert length is not None
        body = packet[length[1] :]
        # The scanner for large packets keeps no more of a stranger than of a message of ours.
        return packet, ("other", packet[0], body[: layout.record_size - length[1]] if large else body)

    messages = st.builds(message, st.integers(0, 2**32 - 1), st.integers(0, 2**62), st.integers(0, 2**62), ids, st.booleans())
    kinds = st.sampled_from([packets.PUBACK, packets.PUBREC, packets.PUBREL, packets.PUBCOMP])
    return st.one_of(
        messages,
        messages,
        st.builds(acknowledgement, kinds, ids),
        st.builds(reasoned, kinds, ids),
        st.builds(foreign, st.binary(max_size=300)),
        st.just((b"\xd0\x00", ("other", 0xD0, b""))),
        st.just((b"\x90\x03\x00\x01\x01", ("other", 0x90, b"\x00\x01\x01"))),
    )


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    bounds = sorted({0, len(data), *(at % (len(data) + 1) for at in cuts)})
    return [data[a:b] for a, b in pairwise(bounds)]


@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize("qos", [0, 1, 2])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_small_packets_in_any_fragments(qos: int, protocol: int, data: st.DataObject) -> None:
    layout = layout_of(qos, protocol=protocol)
    wanted = data.draw(st.lists(packets_of(layout, large=False), max_size=40))
    stream = b"".join(packet for packet, _ in wanted)
    heard = Heard(layout)
    scanner = Scanner(heard, layout)
    for part in cut(stream, data.draw(st.lists(st.integers(0, 10_000), max_size=30))):
        scanner.feed(part)
    assert heard.events == [event for _, event in wanted]
    assert scanner.rest == b""


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_large_packets_in_any_fragments(data: st.DataObject) -> None:
    layout = layout_of(1, payload=5000)
    wanted = data.draw(st.lists(packets_of(layout, large=True), max_size=12))
    stream = b"".join(packet for packet, _ in wanted)
    heard = Heard(layout)
    scanner = SkippingScanner(heard, layout)
    for part in cut(stream, data.draw(st.lists(st.integers(0, 100_000), max_size=30))):
        scanner.feed(memoryview(part))
    assert heard.events == [event for _, event in wanted]


@pytest.mark.parametrize("count", [1, 5, 12, 13, 500])
def test_long_runs_with_a_stranger_in_the_midst(count: int) -> None:
    """Runs beyond the numpy threshold, broken by one packet whose length differs."""
    layout = layout_of(1)
    run = b"".join(layout.packet(0, 3, seq, 99, seq % 65535 + 1) for seq in range(count))
    heard = Heard(layout)
    Scanner(heard, layout).feed(run + b"\xd0\x00" + run + run[:-1])
    seqs = [event[2] for event in heard.events if event[0] == "message"]
    assert seqs == [*range(count), *range(count), *range(count - 1)]
    assert ("other", 0xD0, b"") in heard.events


def test_every_single_byte() -> None:
    layout = layout_of(2)
    stream = layout.packet(0, 1, 2, 3, 4) + packets.acknowledgement(packets.PUBREL, 9) + layout.packet(0, 1, 3, 3, 5)
    heard = Heard(layout)
    scanner = Scanner(heard, layout)
    for byte in stream:
        scanner.feed(bytes((byte,)))
    assert heard.events == [("message", 1, 2, 3, 4), ("ack", packets.PUBREL, 9), ("message", 1, 3, 3, 5)]


def test_rubbish_is_refused() -> None:
    with pytest.raises(packets.ProtocolError):
        Scanner(Heard(layout_of()), layout_of()).feed(b"\x30\xff\xff\xff\xff\xff")


@pytest.mark.parametrize("count", [1, 7, 9000])
@pytest.mark.parametrize("kind", [packets.PUBACK, packets.PUBREC, packets.PUBREL, packets.PUBCOMP])
def test_answers_are_acknowledgements(kind: int, count: int) -> None:
    numbers = [1 + (7 * index) % 65535 for index in range(count)]
    ids = np.array(numbers, ">u2").view(np.uint16)
    assert answers(kind, ids) == b"".join(packets.acknowledgement(kind, number) for number in numbers)
