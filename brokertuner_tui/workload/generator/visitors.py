"""Clients that come once and leave: absent subscribers, and those that remove a session."""

from __future__ import annotations

from brokertuner_tui.mqtt import packets
from brokertuner_tui.workload.generator.layers import FinalError, Stream
from brokertuner_tui.workload.generator.layout import Ids
from brokertuner_tui.workload.generator.link import Link, Loop, Peer
from brokertuner_tui.workload.generator.scanner import Scanner


class Visitor(Link):
    """Connects, does one thing, and disconnects."""

    def reset(self) -> None:
        """A new connection, a new stream."""
        self._scanner = Scanner(self, None)

    def readable(self, sock: Stream) -> None:
        """Reads the broker's answers."""
        data = sock.recv(65536)
        if data:
            self._scanner.feed(data)
        else:
            self.ended()

    def records(self, data: bytes, count: int) -> None:
        """Never called: no layout."""

    def acknowledged(self, kind: int, ids: Ids) -> None:
        """Nothing that it sent is acknowledged that way."""

    def other(self, first: int, body: bytes) -> None:
        """Waits for CONNACK. What a queue already sends is left unacknowledged, and so stays in the queue."""
        if first == packets.CONNACK << 4 and self.sock is not None:
            self.connack(body)
            self.connected()

    def connected(self) -> None:
        """The broker accepted the connection."""
        self.done()


class Remover(Visitor):
    """Removes a persistent session by a clean connection in its name."""

    def __init__(self, loop: Loop, peer: Peer, client_id: str, protocol: int) -> None:
        super().__init__(loop, peer, client_id, protocol, clean=True)


class AbsentSubscriber(Visitor):
    """Subscribes with a persistent session and stays away, so that its queue fills.

    After a restart of the broker it looks in again, so that each trial meets the same load: a broker without persistence
    has forgotten the session.
    """

    def __init__(self, loop: Loop, peer: Peer, client_id: str, protocol: int, topic: str, qos: int) -> None:
        super().__init__(loop, peer, client_id, protocol, clean=False)
        self._subscribe = packets.subscribe(1, [(topic, qos)], protocol=protocol)

    def connected(self) -> None:
        """Leaves at once if the broker knows it; else subscribes first."""
        if self.session_present:
            self.done()
        else:
            self.send(self._subscribe)

    def other(self, first: int, body: bytes) -> None:
        """Waits for CONNACK and SUBACK."""
        if first == packets.SUBACK << 4:
            if body[-1] >= 0x80:
                raise FinalError(f"the broker refuses the subscription of {self.client_id}")
            self.done()
        else:
            super().other(first, body)
