"""Packets byte by byte, against the standard's own examples, and back again for everything that can be read."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokertuner_tui.mqtt import packets
from brokertuner_tui.mqtt.packets import ProtocolError


@pytest.mark.parametrize(
    ("length", "encoded"),
    # MQTT 3.1.1, table 2.4
    [
        (0, "00"),
        (127, "7f"),
        (128, "8001"),
        (16_383, "ff7f"),
        (16_384, "808001"),
        (2_097_151, "ffff7f"),
        (268_435_455, "ffffff7f"),
    ],
)
def test_lengths(length: int, encoded: str) -> None:
    data = bytes.fromhex(encoded)
    assert packets.encode_length(length) == data
    assert packets.decode_length(data, 0) == (length, len(data))
    assert packets.decode_length(data[:-1], 0) is None
    assert packets.decode_length(b"xx" + data + b"y", 2) == (length, 2 + len(data))


def test_a_length_of_five_bytes() -> None:
    with pytest.raises(ProtocolError):
        packets.decode_length(b"\xff\xff\xff\xff\x01", 0)


@pytest.mark.parametrize(
    ("built", "encoded"),
    [
        (packets.connect("", keepalive_s=60), "100c 0004 4d515454 04 02 003c 0000"),
        (packets.connect("ab", protocol=5, clean=False, keepalive_s=1), "100f 0004 4d515454 05 00 0001 00 0002 6162"),
        (
            packets.connect("a", protocol=5, keepalive_s=0, session_expiry_s=0xFFFFFFFF, receive_maximum=10),
            "1016 0004 4d515454 05 02 0000 08 11ffffffff 21000a 0001 61",
        ),
        (
            packets.connect("a", username="u", password="pw", keepalive_s=0),
            "1014 0004 4d515454 04 c2 0000 0001 61 0001 75 0002 7077",
        ),
        (packets.subscribe(10, [("a/b", 1), ("c/d", 2)]), "820e 000a 0003 612f62 01 0003 632f64 02"),
        (packets.subscribe(1, [("a", 0)], protocol=5), "8207 0001 00 0001 61 00"),
        (packets.publish("a/b", b"hi"), "3007 0003 612f62 6869"),
        (packets.publish("a", b"x", qos=1, packet_id=258, protocol=5), "3207 0001 61 0102 00 78"),
        (packets.publish("a", b"", qos=2, packet_id=1), "3405 0001 61 0001"),
        (packets.acknowledgement(packets.PUBACK, 1), "4002 0001"),
        (packets.acknowledgement(packets.PUBREC, 2), "5002 0002"),
        (packets.acknowledgement(packets.PUBREL, 3), "6202 0003"),
        (packets.acknowledgement(packets.PUBCOMP, 65_535), "7002 ffff"),
    ],
)
def test_built_packets(built: bytes, encoded: str) -> None:
    assert built.hex() == encoded.replace(" ", "")


topics = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="+#"), min_size=1, max_size=40)


@given(topics, st.binary(max_size=300), st.integers(0, 2), st.integers(1, 65_535), st.sampled_from([4, 5]))
def test_a_publish_is_read_as_it_was_built(topic: str, payload: bytes, qos: int, packet_id: int, protocol: int) -> None:
    buffer = bytearray(packets.publish(topic, payload, qos=qos, packet_id=packet_id, protocol=protocol))
    packet = packets.next_packet(buffer)
    assert packet is not None
    assert buffer == b""
    got = packets.read_publish(*packet, protocol=protocol)
    assert got == packets.Publish(topic, payload, qos, packet_id if qos else None)


def test_publish_properties_are_skipped() -> None:
    body = b"\x00\x01t" + b"\x00\x07" + b"\x05\x02\x00\x00\x00\x09" + b"payload"
    assert packets.read_publish(0x32, body, protocol=5) == packets.Publish("t", b"payload", 1, 7)


@given(st.lists(st.binary(max_size=200), max_size=5), st.data())
def test_packets_come_out_of_any_pieces(bodies: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(packets.publish("t", body) for body in bodies)
    buffer, got = bytearray(), []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        buffer += stream[:cut]
        stream = stream[cut:]
        while (packet := packets.next_packet(buffer)) is not None:
            got.append(packets.read_publish(*packet).payload)
    assert got == bodies
    assert buffer == b""


@pytest.mark.parametrize(
    ("body", "protocol", "read"),
    [
        ("0000", 4, packets.Connack(0, False)),
        ("0105", 4, packets.Connack(5, True)),
        ("0000 00", 5, packets.Connack(0, False)),
        # Receive Maximum 20, Maximum Packet Size 2,000,000, an assigned client id, a topic alias maximum, a user property
        ("0000 17 210014 27001e8480 12000161 22000a 26000161 00026262", 5, packets.Connack(0, False, 20, 2_000_000)),
        ("0087 00", 5, packets.Connack(0x87, False)),
        # every kind of property at once
        (
            "0100 32 1100000001 130002 210003 220004 2401 2501 2700000014 2801 2901 2a01"
            "12000161 1500016d 16000164 1a0000 1c0000 1f0000",
            5,
            packets.Connack(0, True, 3, 20, maximum_qos=1),
        ),
    ],
)
def test_connacks(body: str, protocol: int, read: packets.Connack) -> None:
    assert packets.read_connack(bytes.fromhex(body), protocol=protocol) == read


@pytest.mark.parametrize(
    "body", ["", "00", "0000 05 2100", "0000 02 2100", "0000 03 260000", "0000 01 99", "0000 ffffffffff", "0000 80"]
)
def test_broken_connacks(body: str) -> None:
    with pytest.raises(ProtocolError):
        packets.read_connack(bytes.fromhex(body), protocol=5)


def test_accepted() -> None:
    assert packets.Connack(0, False).accepted
    assert not packets.Connack(0x87, False).accepted


@pytest.mark.parametrize(
    ("kind", "body", "protocol", "read"),
    [
        (packets.PUBACK, "0003", 4, packets.Acknowledgement(3, 0)),
        (packets.PUBACK, "000395", 5, packets.Acknowledgement(3, 0x95)),
        (packets.PUBACK, "00031000", 5, packets.Acknowledgement(3, 0x10)),
        (packets.SUBACK, "000101", 4, packets.Acknowledgement(1, 1)),
        (packets.SUBACK, "00010087", 5, packets.Acknowledgement(1, 0x87)),
        (packets.SUBACK, "0001031f000001", 5, packets.Acknowledgement(1, 1)),
    ],
)
def test_acknowledgements(kind: int, body: str, protocol: int, read: packets.Acknowledgement) -> None:
    assert packets.read_acknowledgement(kind, bytes.fromhex(body), protocol=protocol) == read
    assert read.refused == (read.code >= 0x80)


@pytest.mark.parametrize(("kind", "body"), [(packets.PUBACK, "00"), (packets.SUBACK, "0001"), (packets.SUBACK, "000105")])
def test_broken_acknowledgements(kind: int, body: str) -> None:
    with pytest.raises(ProtocolError):
        packets.read_acknowledgement(kind, bytes.fromhex(body), protocol=5)


@given(st.integers(0, 255), st.binary(max_size=30), st.sampled_from([4, 5]))
def test_nonsense_is_an_error_and_nothing_else(first: int, body: bytes, protocol: int) -> None:
    """What the other end sends may be anything."""
    for read in (
        lambda: packets.read_publish(first, body, protocol=protocol),
        lambda: packets.read_connack(body, protocol=protocol),
        lambda: packets.read_acknowledgement(packets.SUBACK, body, protocol=protocol),
    ):
        with contextlib.suppress(ProtocolError):
            read()
