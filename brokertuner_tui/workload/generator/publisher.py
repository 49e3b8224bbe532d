"""A publisher: sends batches of messages that lie ready, up to what is due and what its window allows."""

from __future__ import annotations

import time
from typing import Protocol

import numpy as np

from brokertuner_tui.mqtt import packets
from brokertuner_tui.workload.generator.delays import Delays
from brokertuner_tui.workload.generator.layers import Stream
from brokertuner_tui.workload.generator.layout import PACKET_ID, STAMP, Ids, Layout, answers
from brokertuner_tui.workload.generator.link import UP, Link, Loop, Peer
from brokertuner_tui.workload.generator.measurement import SendLog
from brokertuner_tui.workload.generator.scanner import Scanner
from brokertuner_tui.workload.profile import Profile

_IDS = 65535
"""Packet ids go from 1 to 65,535: a publisher cannot have more messages on the way."""
_ENDLESS = 1 << 62
_ONES, _ZEROS = b"\x01" * 65536, bytes(65536)
_NUMBERS = np.arange(65536, dtype=np.int64)
# Up to this many messages, struct is quicker than numpy.
_FEW = 5


class PublisherLoop(Loop, Protocol):
    """What a publisher asks of the engine."""

    delays: Delays

    def can_send(self, publisher: Publisher) -> None:
        """It may be able to send more."""


class Publisher(Link):
    """Writes to one topic. Its session is always clean: what was under way when the connection broke is not sent again."""

    def __init__(
        self,
        loop: PublisherLoop,
        peer: Peer,
        client_id: str,
        *,
        index: int,
        topic: int,
        layout: Layout,
        profile: Profile,
        heard: bool = True,
    ) -> None:
        self.index, self._layout, self._engine = index, layout, loop
        self._delays = loop.delays
        self._qos, self._size, self._batch = layout.qos, layout.size, layout.batch
        self._closed = profile.rate <= 0
        # QoS 0 in a closed loop counts deliveries; where nobody subscribes, TCP alone holds it back.
        self._wanted_window = min(profile.window, _IDS) if heard or layout.qos else _ENDLESS
        self._window = self._wanted_window
        # A closed loop tops up in small batches, not message by message: that much fewer system calls.
        self._top_up = max(1, min(profile.window // 8, 32, 32768 // layout.size))
        self.next_seq = 0
        self.delivered = 0
        """QoS 0 in a closed loop: every number below has reached the subscribers, or was given up."""
        self.owed = 0
        """Open loop: messages that are due and have not been sent."""
        self.hot = False
        """It stands in the engine's list of those that may send."""
        self.log = SendLog(int(profile.slo_ms * 1e6) + 1_000_000)
        self._outstanding = 0
        self._ids = bytearray(65536)
        self._ids_view = np.frombuffer(self._ids, np.uint8)
        self._stuck = False
        packet = layout.packet(topic, index)
        self._buffer = bytearray(packet * self._batch)
        self._view = memoryview(self._buffer)
        rows = np.frombuffer(self._buffer, layout.write_type)
        self._row_seq, self._row_sent, self._row_id = rows["seq"], rows["sent"], rows["id"]
        self._seq_at, self._id_at = layout.mark_at + 8, layout.id_at
        super().__init__(loop, peer, client_id, 5 if layout.properties else 4, clean=True)

    @property
    def blocked(self) -> bool:
        """Whether the socket takes nothing at present."""
        return self._stuck or bool(self.out)

    def reset(self) -> None:
        """What was under way is forgotten."""
        self._scanner = Scanner(self, None)
        self._outstanding = 0
        self._ids[:] = _ZEROS
        self._stuck = False
        self.owed = 0
        self.delivered = self.next_seq

    def readable(self, sock: Stream) -> None:
        """Reads acknowledgements."""
        data = sock.recv(65536)
        self.last_heard_ns = time.perf_counter_ns()
        if data:
            self._scanner.feed(data)
        else:
            self.ended()

    def writable(self) -> None:
        """The socket takes data again."""
        self._stuck = False
        self._engine.can_send(self)

    def room(self) -> int:
        """Messages that could be sent now: due, within the window, and the socket takes them."""
        if self.phase != UP or self.out or self._stuck:
            return 0
        if self._qos:
            room = self._window - self._outstanding
        elif self._closed:
            room = self._window - (self.next_seq - self.delivered)
        else:
            return self.owed
        return room if self._closed else min(room, self.owed)

    @property
    def worth_sending(self) -> bool:
        """Whether a closed loop has room for a batch."""
        return self.room() >= self._top_up

    def pump(self) -> bool:
        """Sends one batch at most; says whether there is more that could be sent now."""
        room = self.room()
        count = min(room, self._batch)
        if count <= 0:
            return False
        seq, size, first_id = self.next_seq, self._size, 0
        if self._qos:
            first_id = seq % _IDS + 1
            count = min(count, _IDS + 1 - first_id)
            used = self._ids.find(1, first_id, first_id + count)
            if used >= 0:  # acknowledged out of order: wait for the one that lags
                count = used - first_id
                if not count:
                    return False
        now = time.perf_counter_ns()
        self._patch(count, seq, first_id, now)
        wanted = count * size
        taken = self._transmit(wanted)
        if taken < wanted:
            count, part = divmod(taken, size)
            if part:  # the rest of a message of which a part is gone must follow
                count += 1
                self.out += self._view[taken : count * size]
            if not count:
                return False
        self.next_seq = seq + count
        self.log.note(now, self.next_seq)
        self.owed = max(0, self.owed - count)
        if self._qos:
            self._ids[first_id : first_id + count] = _ONES[:count]
            self._outstanding += count
        return taken == wanted and room > count

    def _patch(self, count: int, seq: int, first_id: int, now: int) -> None:
        """Writes what differs between messages into the first `count` packets of the buffer."""
        if count <= _FEW:
            for index in range(count):
                at = index * self._size
                STAMP.pack_into(self._buffer, at + self._seq_at, seq + index, now)
                if first_id:
                    PACKET_ID.pack_into(self._buffer, at + self._id_at, first_id + index)
            return
        numbers = _NUMBERS[:count]
        self._row_seq[:count] = numbers + seq
        self._row_sent[:count] = now
        if first_id:
            self._row_id[:count] = _NUMBERS[first_id : first_id + count]

    def _transmit(self, size: int) -> int:
        """Sends the first `size` bytes of the buffer; gives how many the socket took."""
        if self.sock is None:
            return 0
        try:
            taken = self.sock.send(self._view[:size])
        except BlockingIOError:
            taken = 0
        except OSError as error:
            self.lost(error.strerror or str(error))
            return 0
        if taken < size:
            self._stuck = True
            self._watch_write(True)
        return taken

    def records(self, data: bytes, count: int) -> None:
        """Never called: it subscribes to nothing."""

    def acknowledged(self, kind: int, ids: Ids) -> None:
        """The broker acknowledges: over (PUBACK, PUBCOMP), or half way (PUBREC)."""
        if kind == packets.PUBREC:
            self._release(ids)
        elif kind in (packets.PUBACK, packets.PUBCOMP):
            if self._delays.rtt_ns:
                self._delays.put_off(self, ids.copy())
            else:
                self._over(ids)

    def _release(self, ids: Ids) -> None:
        data = answers(packets.PUBREL, ids)
        if self._delays.rtt_ns:
            self._delays.send_later(self, data)
        else:
            self.send(data)

    def due(self, item: bytearray | Ids) -> None:
        """What was put off: PUBRELs to send, or ids that become free."""
        if isinstance(item, np.ndarray):
            self._over(item)
        else:
            self.send(bytes(item))

    def _over(self, ids: Ids) -> None:
        """These ids may be used again."""
        index = ids.byteswap()
        self._outstanding -= int(np.count_nonzero(self._ids_view[index]))
        self._ids_view[index] = 0
        if self.owed or (self._closed and self.worth_sending):
            self._engine.can_send(self)

    def other(self, first: int, body: bytes) -> None:
        """The handshake, and acknowledgements with a reason code (MQTT 5)."""
        kind = first >> 4
        if kind == packets.CONNACK:
            answer = self.connack(body)
            # MQTT 5, 4.9: no more unacknowledged messages than the broker takes.
            self._window = min(self._wanted_window, answer.receive_maximum or _IDS)
            self.up()
        elif kind in (packets.PUBACK, packets.PUBREC, packets.PUBCOMP):
            ids = np.frombuffer(body[:2], np.uint16)
            refused = len(body) > 2 and body[2] >= 0x80
            # A refusal ends the exchange (MQTT 5, 4.3.3); the message is lost, and subscribers will show it.
            self.acknowledged(packets.PUBCOMP if refused else kind, ids)
        elif kind == packets.DISCONNECT:
            raise packets.ProtocolError(f"the broker disconnects {self.client_id} (reason {body[0] if body else 0})")
