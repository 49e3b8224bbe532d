"""MQTT 3.1.1 and 5 control packets: building them, and reading what a broker answers.

Source: OASIS MQTT 3.1.1 and 5.0, chapters 2 and 3. Only what the built-in load and the probes use.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 8, 9, 10, 11, 12, 13, 14

PINGREQ_PACKET = b"\xc0\x00"
DISCONNECT_PACKET = b"\xe0\x00"

_SESSION_EXPIRY_INTERVAL = 0x11
_RECEIVE_MAXIMUM = 0x21
_MAXIMUM_QOS = 0x24
_MAXIMUM_PACKET_SIZE = 0x27
# How many bytes the value of a CONNACK property takes; strings carry their own length.
_PROPERTY_BYTES = {0x11: 4, 0x13: 2, 0x21: 2, 0x22: 2, 0x24: 1, 0x25: 1, 0x27: 4, 0x28: 1, 0x29: 1, 0x2A: 1}
_PROPERTY_STRINGS = frozenset({0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F})


class ProtocolError(Exception):
    """The peer sent something that is not MQTT."""


def encode_length(length: int) -> bytes:
    """`length` as a variable byte integer (1 to 4 bytes)."""
    out = bytearray()
    while True:
        length, low = divmod(length, 128)
        out.append(low | 0x80 if length else low)
        if not length:
            return bytes(out)


def decode_length(data: bytes | bytearray | memoryview, offset: int) -> tuple[int, int] | None:
    """The variable byte integer at `offset`, and the offset behind it; None while bytes are missing.

    Raises:
        ProtocolError: it is longer than four bytes.
    """
    value = 0
    for index in range(4):
        if offset + index >= len(data):
            return None
        byte = data[offset + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, offset + index + 1
    raise ProtocolError("a length of more than four bytes")


def _packet(first: int, body: bytes) -> bytes:
    return bytes((first,)) + encode_length(len(body)) + body


def _string(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("!H", len(data)) + data


def connect(
    client_id: str,
    *,
    protocol: int = 4,
    clean: bool = True,
    keepalive_s: int = 60,
    receive_maximum: int | None = None,
    session_expiry_s: int | None = None,
    username: str | None = None,
    password: str | None = None,
) -> bytes:
    """A CONNECT packet; `receive_maximum` and `session_expiry_s` are for protocol 5 only."""
    flags = (0x02 if clean else 0) | (0x80 if username is not None else 0) | (0x40 if password is not None else 0)
    body = _string("MQTT") + bytes((protocol, flags)) + struct.pack("!H", keepalive_s)
    if protocol == 5:
        properties = b""
        if session_expiry_s is not None:
            properties += struct.pack("!BI", _SESSION_EXPIRY_INTERVAL, session_expiry_s)
        if receive_maximum is not None:
            properties += struct.pack("!BH", _RECEIVE_MAXIMUM, receive_maximum)
        body += encode_length(len(properties)) + properties
    body += _string(client_id)
    if username is not None:
        body += _string(username)
    if password is not None:
        body += _string(password)
    return _packet(CONNECT << 4, body)


def subscribe(packet_id: int, topics: list[tuple[str, int]], *, protocol: int = 4) -> bytes:
    """A SUBSCRIBE packet for (filter, QoS) pairs."""
    body = struct.pack("!H", packet_id) + (b"\x00" if protocol == 5 else b"")
    return _packet(0x82, body + b"".join(_string(topic) + bytes((qos,)) for topic, qos in topics))


def publish(topic: str, payload: bytes, *, qos: int = 0, packet_id: int = 0, protocol: int = 4) -> bytes:
    """A PUBLISH packet; `packet_id` counts only for QoS 1 and 2."""
    body = _string(topic) + (struct.pack("!H", packet_id) if qos else b"") + (b"\x00" if protocol == 5 else b"")
    return _packet((PUBLISH << 4) | (qos << 1), body + payload)


def acknowledgement(kind: int, packet_id: int) -> bytes:
    """A PUBACK, PUBREC, PUBREL or PUBCOMP that says success (four bytes in both protocols)."""
    return struct.pack("!BBH", (kind << 4) | (2 if kind == PUBREL else 0), 2, packet_id)


def next_packet(buffer: bytearray) -> tuple[int, bytes] | None:
    """Takes the first whole packet off `buffer`: its first byte (type and flags) and what is behind the fixed header.

    None while bytes are missing; `buffer` is then untouched.

    Raises:
        ProtocolError: the length is not MQTT.
    """
    if len(buffer) < 2 or (length := decode_length(buffer, 1)) is None:
        return None
    size, start = length
    if len(buffer) < start + size:
        return None
    first, body = buffer[0], bytes(buffer[start : start + size])
    del buffer[: start + size]
    return first, body


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A PUBACK, PUBREC, PUBREL, PUBCOMP or SUBACK; `code` is 0 where the packet has none (success)."""

    packet_id: int
    code: int

    @property
    def refused(self) -> bool:
        """Whether the broker did not take what it acknowledges (MQTT 5; in 3.1.1 a SUBACK alone can say so)."""
        return self.code >= 0x80


def read_acknowledgement(kind: int, body: bytes, *, protocol: int = 4) -> Acknowledgement:
    """The acknowledgement whose bytes behind the fixed header are `body`; of a SUBACK, the first filter's code.

    Raises:
        ProtocolError: it is cut short.
    """
    offset = 2
    if kind == SUBACK and protocol == 5:
        length = decode_length(body, 2)
        offset = len(body) if length is None else length[1] + length[0]
    if len(body) < 2 or (kind == SUBACK and len(body) <= offset):
        raise ProtocolError("an acknowledgement that is cut short")
    return Acknowledgement(int.from_bytes(body[:2], "big"), body[offset] if len(body) > offset else 0)


@dataclass(frozen=True, slots=True)
class Publish:
    """A PUBLISH from the broker; `packet_id` is None for QoS 0."""

    topic: str
    payload: bytes
    qos: int
    packet_id: int | None


def read_publish(first: int, body: bytes, *, protocol: int = 4) -> Publish:
    """The PUBLISH with the fixed header's first byte `first` and `body` behind the header; its properties are skipped.

    Raises:
        ProtocolError: it is cut short, or its topic is not UTF-8.
    """
    qos = (first >> 1) & 3
    offset = 2 + int.from_bytes(body[:2], "big")
    name, packet_id = body[2:offset], None
    if qos:
        packet_id = int.from_bytes(body[offset : offset + 2], "big")
        offset += 2
    if protocol == 5:
        length = decode_length(body, offset)
        offset = len(body) + 1 if length is None else length[1] + length[0]
    if len(body) < 2 or offset > len(body):
        raise ProtocolError("a PUBLISH that is cut short")
    try:
        return Publish(name.decode(), body[offset:], qos, packet_id)
    except UnicodeDecodeError:
        raise ProtocolError("a topic that is not UTF-8") from None


@dataclass(frozen=True, slots=True)
class Connack:
    """A broker's answer to CONNECT; the first two limits are None where it names none (always, in 3.1.1)."""

    code: int
    session_present: bool
    receive_maximum: int | None = None
    maximum_packet_size: int | None = None
    maximum_qos: int = 2
    """What we may publish with."""

    @property
    def accepted(self) -> bool:
        """Whether the broker took the connection."""
        return self.code == 0


def read_connack(body: bytes, *, protocol: int = 4) -> Connack:
    """The CONNACK whose bytes behind the fixed header are `body`.

    Raises:
        ProtocolError: it is cut short or holds an unknown property.
    """
    if len(body) < 2:
        raise ProtocolError("a CONNACK of fewer than two bytes")
    present, code = bool(body[0] & 1), body[1]
    found: dict[int, int] = {}
    if protocol == 5 and len(body) > 2:
        length = decode_length(body, 2)
        if length is None or length[1] + length[0] > len(body):
            raise ProtocolError("a CONNACK whose properties are cut short")
        size, offset = length
        end = offset + size
        while offset < end:
            offset = _read_property(body[:end], offset, found)
        if offset != end:
            raise ProtocolError("a CONNACK whose last property is cut short")
    return Connack(code, present, found.get(_RECEIVE_MAXIMUM), found.get(_MAXIMUM_PACKET_SIZE), found.get(_MAXIMUM_QOS, 2))


def _read_property(body: bytes, offset: int, found: dict[int, int]) -> int:
    """Reads the property at `offset` into `found`; gives the offset behind it."""
    name = body[offset]
    offset += 1
    if name in _PROPERTY_BYTES:
        size = _PROPERTY_BYTES[name]
        found[name] = int.from_bytes(body[offset : offset + size], "big")
        return offset + size
    if name in _PROPERTY_STRINGS:
        return offset + 2 + int.from_bytes(body[offset : offset + 2], "big")
    if name == 0x26:  # user property: two strings
        for _ in range(2):
            offset += 2 + int.from_bytes(body[offset : offset + 2], "big")
        return offset
    raise ProtocolError(f"an unknown CONNACK property 0x{name:02x}")
