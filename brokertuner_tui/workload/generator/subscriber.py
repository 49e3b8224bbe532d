"""A subscriber: takes messages in, notes when they came, and acknowledges them, at once or after its round trip."""

from __future__ import annotations

import socket
import time
from typing import Protocol

import numpy as np

from brokertuner_tui.mqtt import packets
from brokertuner_tui.workload.generator.delays import Delays
from brokertuner_tui.workload.generator.layers import FinalError, Stream
from brokertuner_tui.workload.generator.layout import SMALL_PACKET_BYTES, Ids, Layout, answers, topic_name
from brokertuner_tui.workload.generator.ledger import Ledger
from brokertuner_tui.workload.generator.link import GREETING, Link, Loop, Peer
from brokertuner_tui.workload.generator.scanner import Scanner, SkippingScanner

RECEIVE_BYTES = 65536
"""Of one receive call, which gives all its messages one time of reception: wrong by the ~30 us of copying at most."""
_SKIP_BUFFER = memoryview(bytearray(4 * RECEIVE_BYTES))  # of large messages, one call may take more


class SubscriberLoop(Loop, Protocol):
    """What a subscriber asks of the engine."""

    delays: Delays


class Subscriber(Link):
    """Reads one topic."""

    def __init__(
        self,
        loop: SubscriberLoop,
        peer: Peer,
        client_id: str,
        *,
        clean: bool,
        index: int,
        topic: int,
        layout: Layout,
        ledger: Ledger,
    ) -> None:
        self.index, self._layout, self._ledger, self._delays = index, layout, ledger, loop.delays
        self._qos = layout.qos
        self._size, self._id_at = layout.size, layout.id_at
        protocol = 5 if layout.properties else 4
        self._usual = layout.packet_start(topic)
        self._answer = packets.acknowledgement(packets.PUBACK if self._qos == 1 else packets.PUBREC, 0)[:2]
        self._answer_kind = packets.PUBACK if self._qos == 1 else packets.PUBREC
        self._subscribe = packets.subscribe(1, [(topic_name(layout.topic_prefix, topic), self._qos)], protocol=protocol)
        self._now = 0
        super().__init__(loop, peer, client_id, protocol, clean)

    def hello(self) -> bytes:
        """CONNECT with SUBSCRIBE right behind it: one round trip instead of two."""
        return super().hello() + self._subscribe

    def reset(self) -> None:
        """A new connection, a new stream."""
        small = self._size <= SMALL_PACKET_BYTES
        self._scanner = Scanner(self, self._layout) if small else None
        self._skipper = None if small else SkippingScanner(self, self._layout)

    def readable(self, sock: Stream) -> None:
        """Takes in what has come."""
        scanner = self._scanner
        if scanner is None:
            self._read_large(sock)
            return
        data = sock.recv(RECEIVE_BYTES)
        self._now = now = self.last_heard_ns = time.perf_counter_ns()
        if len(data) == self._size and not scanner.rest and data.startswith(self._usual):
            # One message, as it comes at a trickle and in a fan-out: without a detour.
            self._ledger.add(data, 1, self.index, now)
            if self._qos:
                self._reply(self._answer + data[self._id_at : self._id_at + 2])
        elif data:
            scanner.feed(data)
        else:
            self.ended()
        if self.peer.late_acks and self.sock is not None:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)

    def _read_large(self, sock: Stream) -> None:
        count = sock.recv_into(_SKIP_BUFFER)
        self._now = self.last_heard_ns = time.perf_counter_ns()
        if not count:
            self.ended()
        elif self._skipper is not None:
            self._skipper.feed(_SKIP_BUFFER[:count])

    def records(self, data: bytes, count: int) -> None:
        """Messages of this load."""
        self._ledger.add(data, count, self.index, self._now)
        if not self._qos:
            return
        if count == 1:
            self._reply(self._answer + data[self._id_at : self._id_at + 2])
        else:
            self._reply(answers(self._answer_kind, np.frombuffer(data, self._layout.read_type)["id"]))

    def acknowledged(self, kind: int, ids: Ids) -> None:
        """The second half of QoS 2."""
        if kind == packets.PUBREL:
            self._reply(answers(packets.PUBCOMP, ids))

    def other(self, first: int, body: bytes) -> None:
        """The handshake, and messages of somebody else."""
        kind = first >> 4
        if kind == packets.CONNACK:
            self.connack(body)
        elif kind == packets.SUBACK:
            if body[-1] >= 0x80:
                raise FinalError(f"the broker refuses the subscription of {self.client_id}")
            if self.phase == GREETING:
                self.up()
        elif kind == packets.PUBLISH and first & 0x06:
            id_at = 2 + int.from_bytes(body[:2], "big")
            answer = packets.PUBACK if first & 0x06 == 0x02 else packets.PUBREC
            self._reply(packets.acknowledgement(answer, int.from_bytes(body[id_at : id_at + 2], "big")))
        elif kind == packets.PUBREL:  # with a reason code
            self._reply(packets.acknowledgement(packets.PUBCOMP, int.from_bytes(body[:2], "big")))
        elif kind == packets.DISCONNECT:
            raise packets.ProtocolError(f"the broker disconnects {self.client_id} (reason {body[0] if body else 0})")

    def _reply(self, data: bytes) -> None:
        if self._delays.rtt_ns:
            self._delays.send_later(self, data)
        else:
            self.send(data)
