"""Cuts a received byte stream into packets: runs of equal ones at once, others one by one, whatever the fragmentation.

A scanner tells its listener what it found, in order:

- `records(data, count)`: `count` whole PUBLISH packets of this load, `Layout.record_size` bytes each;
- `acknowledged(kind, ids)`: a run of four-byte PUBACK, PUBREC, PUBREL or PUBCOMP packets;
- `other(first, body)`: any other packet, by its first byte and what lies behind the fixed header.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from brokertuner_tui.mqtt import packets
from brokertuner_tui.workload.generator.layout import Ids, Layout

_ACKNOWLEDGEMENTS = {bytes(packets.acknowledgement(kind, 0)[:2]): kind for kind in range(packets.PUBACK, packets.PUBCOMP + 1)}
_FIRST_OF_ACKNOWLEDGEMENT = frozenset(pair[0] for pair in _ACKNOWLEDGEMENTS)
# Up to this many packets, comparing one by one is quicker than numpy's overhead for each call.
_FEW = 12


class Listener(Protocol):
    """Who is told about packets."""

    def records(self, data: bytes, count: int) -> None:
        """`count` messages of this load arrived."""

    def acknowledged(self, kind: int, ids: Ids) -> None:
        """A run of acknowledgements arrived."""

    def other(self, first: int, body: bytes) -> None:
        """Some other packet arrived.

        Raises:
            ProtocolError: it makes no sense here.
        """


class Scanner:
    """For packets that are small enough to be kept until they are counted; `layout` None where no messages are expected."""

    def __init__(self, listener: Listener, layout: Layout | None) -> None:
        self._listener, self._layout = listener, layout
        self._head = layout.head if layout else b""
        self._publish = self._head[0] if layout else -1
        self._rest = b""

    @property
    def rest(self) -> bytes:
        """The beginning of a packet whose end has not arrived."""
        return self._rest

    def feed(self, data: bytes) -> None:
        """Scans what arrived.

        Raises:
            ProtocolError: that is not MQTT.
        """
        if self._rest:
            data = self._rest + data
        end, at = len(data), 0
        while at < end:
            first = data[at]
            step = 0
            if first == self._publish:
                step = self._publishes(data, at, end)
            elif first in _FIRST_OF_ACKNOWLEDGEMENT:
                step = self._acknowledgements(data, at, end)
            if not step:
                step = self._one(data, at, end)
                if not step:
                    break
            at += step
        self._rest = data[at:] if at else data

    def _publishes(self, data: bytes, at: int, end: int) -> int:
        """Reports the run of our messages at `at`; gives its length in bytes."""
        layout = self._layout
        assert layout is not None
        size = layout.size
        count = (end - at) // size
        if count <= _FEW:
            run = 0
            while run < count and data.startswith(self._head, at + run * size):
                run += 1
        else:
            good = np.frombuffer(data, layout.read_type, count, at)["head"] == int.from_bytes(self._head, "little")
            run = count if good.all() else int(good.argmin())
        if run:
            length = run * size
            self._listener.records(data if length == len(data) else data[at : at + length], run)
            return length
        return 0

    def _acknowledgements(self, data: bytes, at: int, end: int) -> int:
        count = (end - at) // 4
        kind = _ACKNOWLEDGEMENTS.get(data[at : at + 2])
        if not count or kind is None:
            return 0
        table = np.frombuffer(data, np.uint16, 2 * count, at).reshape(count, 2)
        if count > 1:
            good = table[:, 0] == table[0, 0]
            if not good.all():
                count = int(good.argmin())
        self._listener.acknowledged(kind, table[:count, 1])
        return 4 * count

    def _one(self, data: bytes, at: int, end: int) -> int:
        """Reports the packet at `at`; gives its length, 0 while it is incomplete."""
        length = packets.decode_length(data, at + 1)
        if length is None or length[1] + length[0] > end:
            return 0
        stop = length[1] + length[0]
        _report_other(self._listener, self._layout, data[at:stop], length[1] - at)
        return stop - at


def _report_other(listener: Listener, layout: Layout | None, packet: bytes, body_at: int) -> None:
    kind = packet[0] >> 4
    if kind == packets.PUBLISH and layout and len(packet) == layout.size and layout.is_ours(packet):
        listener.records(packet, 1)  # redelivered: the first byte says so
    else:
        listener.other(packet[0], packet[body_at:])


class SkippingScanner:
    """For large messages: keeps the beginning of each and skips the rest, so that nothing is copied."""

    def __init__(self, listener: Listener, layout: Layout) -> None:
        self._listener, self._layout = listener, layout
        self._part = bytearray()
        self._skip = 0

    def feed(self, data: memoryview) -> None:
        """Scans what arrived. A message counts as arrived with its last byte.

        Raises:
            ProtocolError: that is not MQTT.
        """
        end, at = len(data), 0
        keep = self._layout.record_size
        while at < end:
            if self._skip:
                step = min(self._skip, end - at)
                self._skip -= step
                at += step
                if not self._skip:
                    self._finish()
                continue
            wanted = self._wanted(keep)
            step = min(wanted - len(self._part), end - at)
            self._part += data[at : at + step]
            at += step
            if len(self._part) == self._wanted(keep):
                self._begun(keep)

    def _wanted(self, keep: int) -> int:
        """How many bytes must lie in `_part` before anything can be said about the packet."""
        if len(self._part) < 2:
            return 2
        length = packets.decode_length(self._part, 1)
        if length is None:
            return len(self._part) + 1
        total = length[0] + length[1]
        return min(total, keep) if self._part[0] >> 4 == packets.PUBLISH else total

    def _begun(self, keep: int) -> None:
        length = packets.decode_length(self._part, 1)
        if length is None:
            return
        total = length[0] + length[1]
        self._skip = total - len(self._part)
        if not self._skip:
            self._finish()

    def _finish(self) -> None:
        packet = bytes(self._part)
        self._part.clear()
        length = packets.decode_length(packet, 1)
        assert length is not None
        whole = length[0] + length[1] == self._layout.size
        if packet[0] >> 4 == packets.PUBLISH and whole and self._layout.is_ours(packet):
            self._listener.records(packet, 1)
        elif packet[0] & 0xF0 in _KINDS_IN_RUNS and len(packet) == 4:
            self._listener.acknowledged(packet[0] >> 4, np.frombuffer(packet, np.uint16)[1:])
        else:
            self._listener.other(packet[0], packet[length[1] :])


_KINDS_IN_RUNS = frozenset(kind << 4 for kind in _ACKNOWLEDGEMENTS.values())
