"""Where everything lies in the bytes of a PUBLISH of this load: written by publishers, read by subscribers.

All messages of a profile have one size, because topics have names of one length. The payload begins with 24 bytes, little
endian: epoch (4: tells this run of this profile from any other sender), publisher (4), sequence number (8), send time in ns
of the monotonic clock (8); the rest is padding.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from brokertuner_tui.mqtt import packets
from brokertuner_tui.workload.profile import Profile

MARK = struct.Struct("<IIqq")
STAMP = struct.Struct("<qq")
PACKET_ID = struct.Struct("!H")

BATCH_BYTES = 65536
"""Bytes of one send call: they share one send time, which is wrong by at most the ~30 us that copying them takes."""
BATCH_MESSAGES = 1024
_ALL_BUFFERS_BYTES = 64 * 1024 * 1024
"""Buffers of all publishers together, beyond one message each."""
SMALL_PACKET_BYTES = 4096
"""Above this, a received payload is skipped instead of kept until it is counted."""

Ids = npt.NDArray[np.uint16]
"""Packet ids in network byte order, as they come and go on the wire."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The offsets within one packet, and the numpy views of many of them."""

    qos: int
    epoch: int
    topic_prefix: str
    size: int
    """Bytes of a whole packet."""
    id_at: int
    """Where the packet id is (QoS 1 and 2)."""
    mark_at: int
    """Where the payload begins."""
    head: bytes
    """The first four bytes: type, flags, remaining length, and the beginning of the topic's length."""
    padding: int
    batch: int
    """Messages that one send call carries at most."""
    write_type: np.dtype[Any]
    """One packet to send: `id`, `seq`, `sent`."""
    read_type: np.dtype[Any]
    """One received record: `head`, `id`, `epoch`, `publisher`, `seq`, `sent`."""
    properties: bytes

    @classmethod
    def of(cls, profile: Profile, topic_prefix: str, epoch: int) -> Layout:
        """The layout of `profile`'s messages on topics that begin with `topic_prefix`."""
        topic = topic_name(topic_prefix, 0).encode()
        properties = b"\x00" if profile.protocol == 5 else b""
        remaining = 2 + len(topic) + (2 if profile.qos else 0) + len(properties) + profile.payload_bytes
        start = bytes(((packets.PUBLISH << 4) | (profile.qos << 1),)) + packets.encode_length(remaining)
        id_at = len(start) + 2 + len(topic)
        mark_at = id_at + (2 if profile.qos else 0) + len(properties)
        size = len(start) + remaining
        record = size if size <= SMALL_PACKET_BYTES else mark_at + MARK.size
        # Without packet ids the field overlaps the topic: never read, but the types stay the same for every QoS.
        names = ("head", "id", "epoch", "publisher", "seq", "sent")
        offsets = [0, id_at if profile.qos else 0, mark_at, mark_at + 4, mark_at + 8, mark_at + 16]
        formats = ["<u4", "<u2", "<u4", "<u4", "<i8", "<i8"]
        read = np.dtype({"names": list(names), "formats": formats, "offsets": offsets, "itemsize": record})
        write = np.dtype(
            {
                "names": ["id", "seq", "sent"],
                "formats": [">u2", "<i8", "<i8"],
                "offsets": [offsets[1], *offsets[4:]],
                "itemsize": size,
            }
        )
        return cls(
            profile.qos,
            epoch,
            topic_prefix,
            size,
            id_at,
            mark_at,
            (start + struct.pack("!H", len(topic)))[:4],
            profile.payload_bytes - MARK.size,
            max(1, min(BATCH_MESSAGES, min(BATCH_BYTES, _ALL_BUFFERS_BYTES // profile.publishers) // size)),
            write,
            read,
            properties,
        )

    @property
    def record_size(self) -> int:
        """Bytes that are kept of a received packet until it is counted."""
        return int(self.read_type.itemsize)

    def packet(self, topic: int, publisher: int, seq: int = 0, sent_ns: int = 0, packet_id: int = 0) -> bytes:
        """One whole packet."""
        payload = MARK.pack(self.epoch, publisher, seq, sent_ns) + bytes(self.padding)
        protocol = 5 if self.properties else 4
        name = topic_name(self.topic_prefix, topic)
        return packets.publish(name, payload, qos=self.qos, packet_id=packet_id, protocol=protocol)

    def packet_start(self, topic: int) -> bytes:
        """What every packet on `topic` begins with: fixed header and topic."""
        return self.packet(topic, 0)[: self.id_at]

    def is_ours(self, packet: bytes) -> bool:
        """Whether a PUBLISH whose first byte is unusual (a redelivery) is one of this load."""
        return len(packet) >= self.mark_at + MARK.size and MARK.unpack_from(packet, self.mark_at)[0] == self.epoch


def topic_name(prefix: str, topic: int) -> str:
    """The name of topic number `topic`, of one length for all."""
    return f"{prefix}/{topic:05d}"


_ANSWERS: dict[int, npt.NDArray[np.uint16]] = {}


def answers(kind: int, ids: Ids) -> bytes:
    """One acknowledgement of `kind` for each packet id, in order, ready to be sent."""
    table = _ANSWERS.get(kind)
    if table is None or len(table) < len(ids):
        table = np.empty((max(4096, 2 * len(ids)), 2), np.uint16)
        table[:, 0] = np.frombuffer(packets.acknowledgement(kind, 0), np.uint16, 1)
        _ANSWERS[kind] = table
    part = table[: len(ids)]
    part[:, 1] = ids
    return part.tobytes()
