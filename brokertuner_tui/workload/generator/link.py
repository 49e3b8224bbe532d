"""One client's connection: TCP, what lies on it, the MQTT handshake, sending without blocking, and being lost."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import time
from dataclasses import dataclass
from typing import Any, Protocol

from brokertuner_tui.mqtt import packets
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.mqtt.reasons import connack_reason, is_final
from brokertuner_tui.mqtt.tls import TlsFileError
from brokertuner_tui.workload.generator.layers import FinalError, Layer, Stack, Stream
from brokertuner_tui.workload.generator.layout import Ids

_READ = select.EPOLLIN | select.EPOLLRDHUP
_GONE = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
KEEPALIVE_S = 60

DOWN, CONNECTING, SECURING, GREETING, UP, DONE = range(6)
"""Phases: no connection, TCP under way, TLS or WebSocket under way, CONNECT sent, ready for traffic, not needed any more."""


class Loop(Protocol):
    """What a link asks of the engine."""

    def watch(self, link: Link, mask: int) -> None:
        """Begins to watch its socket, or changes what for."""

    def unwatch(self, link: Link) -> None:
        """Its socket is about to be closed."""

    def established(self) -> None:
        """The broker accepts connections."""

    def came_up(self, link: Link) -> None:
        """It reached UP or DONE."""

    def went_down(self, link: Link, was_up: bool, reason: str, refused: bool) -> None:
        """Its connection, or the attempt to make one, failed; `refused`: nobody listens."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The broker."""

    endpoint: Endpoint
    family: int
    address: Any
    """What `socket.connect` takes for this family."""
    stack: Stack
    late_acks: bool = False
    """Whether subscribers acknowledge like those with steady traffic, however sparse theirs is: Linux acknowledges what comes
    after a pause of 0.2 s at once, and Nagle's algorithm at the broker then never shows."""

    @classmethod
    def find(cls, endpoint: Endpoint, *, late_acks: bool = False) -> Peer:
        """The broker at `endpoint`; IPv4 before IPv6, because Mosquitto listens there wherever it listens.

        Raises:
            ValueError: no such host, or a certificate or key that cannot be used.
        """
        try:
            stack = Stack(endpoint)
        except TlsFileError as error:
            raise ValueError(str(error)) from error
        try:
            found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise ValueError(f"{endpoint.host}: {error.strerror or error}") from error
        family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
        return cls(endpoint, family, address, stack, late_acks)


class Link:
    """A client. Subclasses say what is sent first and what is done with what comes."""

    def __init__(self, loop: Loop, peer: Peer, client_id: str, protocol: int, clean: bool) -> None:
        self.loop, self.peer, self.client_id, self.protocol, self.clean = loop, peer, client_id, protocol, clean
        self.phase = DOWN
        self.sock: Stream | None = None
        """The socket itself, or the topmost layer on it."""
        self.layer: Layer | None = None
        self.fd = -1
        self.life = 0
        """How many connections it has had; what was put off in an earlier one is void."""
        self.out = bytearray()
        """What the socket did not take."""
        self.last_heard_ns = 0
        self.pinged_ns = 0
        self.retry_at_ns = 0
        self.delay_s = 0.0
        self.hopeless = False
        """It failed, and will again until somebody changes something."""
        self.session_present = False
        self._write_watched = False

    # -- to be overridden ------------------------------------------------------------------------------------------

    def hello(self) -> bytes:
        """CONNECT, and what may be sent right behind it without waiting (MQTT 3.1.1, 3.1: any packet)."""
        return packets.connect(
            self.client_id,
            protocol=self.protocol,
            clean=self.clean,
            keepalive_s=KEEPALIVE_S,
            session_expiry_s=None if self.clean else 0xFFFFFFFF,
            username=self.peer.endpoint.username,
            password=self.peer.endpoint.password,
        )

    def readable(self, sock: Stream) -> None:
        """Something can be read."""
        raise NotImplementedError

    def writable(self) -> None:
        """Everything that had been put off was taken."""

    def due(self, item: bytearray | Ids) -> None:
        """What was put off for the round trip is due."""
        self.send(bytes(item))

    def reset(self) -> None:
        """Forgets what belonged to the connection that is gone."""

    # -- connection ------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Begins to connect."""
        self.life += 1
        self.phase = CONNECTING
        self.out.clear()
        self.reset()
        sock = socket.socket(self.peer.family, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock, self.fd = sock, sock.fileno()
        code = sock.connect_ex(self.peer.address)
        if code not in (0, errno.EINPROGRESS):
            self.lost(errno.errorcode.get(code, str(code)), refused=code == errno.ECONNREFUSED)
            return
        self._write_watched = True
        self.loop.watch(self, _READ | select.EPOLLOUT)

    def event(self, mask: int) -> None:
        """Handles what epoll reports."""
        sock = self.sock
        if sock is None:
            return
        if self.phase <= SECURING:
            self._connect(sock, mask)
            return
        if mask & select.EPOLLOUT:
            self._flush()
        if mask & (select.EPOLLIN | _GONE) and self.sock is sock:
            try:
                self.readable(sock)
                # With the end in sight, all before it is read at once: whoever asks whether the load stands must know.
                while mask & _GONE and self.sock is sock:
                    self.readable(sock)
            except BlockingIOError:
                if mask & (select.EPOLLHUP | select.EPOLLERR):
                    self.ended()
            except OSError as error:
                self.ended(error.strerror or str(error))
            except FinalError as error:
                self.lost(str(error), final=True)
            except packets.ProtocolError as error:
                self.lost(f"protocol error: {error}")

    def _connect(self, sock: Stream, mask: int) -> None:
        """Goes on with what comes before MQTT."""
        if self.phase == CONNECTING:
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self.lost(errno.errorcode.get(code, str(code)), refused=code == errno.ECONNREFUSED)
                return
            if not mask & select.EPOLLOUT:
                return
            self.loop.established()
            assert isinstance(sock, socket.socket)
            self.layer = self.peer.stack.on(sock, self._congested)
            self.phase = GREETING if self.layer is None else SECURING
            self.sock = self.layer or sock
        if self.layer is not None and not self._secured(self.layer, mask):
            return
        self.phase = GREETING
        self._watch_write(self.layer is not None and self.layer.backlog)
        self.send(self.hello())
        if self.layer is not None:
            self._acknowledge_now(self.layer)

    def _secured(self, layer: Layer, mask: int) -> bool:
        """Goes on with the handshakes below MQTT; says whether they are over."""
        try:
            layer.flush()
            done = layer.handshake()
            self._acknowledge_now(layer)
        except OSError as error:
            self.lost(error.strerror or str(error))
            return False
        except packets.ProtocolError as error:
            self.lost(str(error), final=isinstance(error, FinalError))
            return False
        if not done and mask & (select.EPOLLHUP | select.EPOLLERR):
            self.lost("closed by the broker")
        elif not done:
            self._watch_write(layer.backlog)
        return done

    @staticmethod
    def _acknowledge_now(layer: Layer) -> None:
        """Sends the acknowledgement that Linux puts off for 40 ms once data went both ways.

        A broker without TCP_NODELAY waits for it between the parts of a handshake, between its session tickets and CONNACK, and
        between that and SUBACK. Sending switches this off again.
        """
        layer.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def _congested(self) -> None:
        """The layers keep something that the socket did not take."""
        if self.sock is not None:  # else it is a goodbye, and the socket is closed next
            self._watch_write(True)

    @property
    def blocked(self) -> bool:
        """Whether the socket takes nothing at present."""
        return bool(self.out)

    def send(self, data: bytes | memoryview) -> int:
        """Sends, keeping what the socket does not take; gives the bytes that it took."""
        if self.out:
            self.out += data
            return 0
        if self.sock is None:
            return 0
        try:
            taken = self.sock.send(data)
        except BlockingIOError:
            taken = 0
        except OSError as error:
            self.lost(error.strerror or str(error))
            return 0
        if taken < len(data):
            self.out += data[taken:]
            self._watch_write(True)
        return taken

    def _flush(self) -> None:
        layer = self.layer
        if self.sock is not None:
            try:
                if layer is not None and not layer.flush():
                    return
                if self.out:
                    del self.out[: self.sock.send(self.out)]
            except BlockingIOError:
                return
            except OSError as error:
                self.lost(error.strerror or str(error))
                return
        if not self.out and (layer is None or not layer.backlog):
            self._watch_write(False)
            self.writable()

    def _watch_write(self, wanted: bool) -> None:
        if wanted != self._write_watched:
            self._write_watched = wanted
            self.loop.watch(self, _READ | (select.EPOLLOUT if wanted else 0))

    def connack(self, body: bytes) -> packets.Connack:
        """Reads the broker's answer.

        Raises:
            ProtocolError: it is not one, or says no.
        """
        answer = packets.read_connack(body, protocol=self.protocol)
        if not answer.accepted:
            words = f"the broker refuses {self.client_id}: {connack_reason(answer.code, self.protocol)}"
            raise (FinalError if is_final(answer.code, self.protocol) else packets.ProtocolError)(words)
        self.session_present = answer.session_present
        if self.layer is not None:
            self._acknowledge_now(self.layer)
        return answer

    def up(self) -> None:
        """Ready for traffic."""
        self.phase = UP
        if self.sock is not None:
            # Linux acknowledges the packets of a young connection at once, until something (a ping, a pause) has it delay
            # acknowledgements for good; only then does Nagle's algorithm at the broker show. Measured, QoS 0 at 5,000/s:
            # 98 % within 2 ms before, 30 % after. This makes a new connection behave like one that is hours old.
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        self.delay_s = 0.0
        self.last_heard_ns = self.pinged_ns = time.perf_counter_ns()
        self.loop.came_up(self)

    def done(self) -> None:
        """Did what it was for: says goodbye."""
        self.phase = DONE
        self.close()
        self.loop.came_up(self)

    def lost(self, reason: str, *, refused: bool = False, final: bool = False) -> None:
        """The connection is gone, or was never made; `refused`: nobody listens; `final`: nor will it ever be made."""
        was_up = self.phase == UP
        self.phase = DOWN
        self.hopeless = final
        self._drop()
        self.loop.went_down(self, was_up, reason, refused)

    def ended(self, how: str = "closed by the broker") -> None:
        """The connection was ended from the other side."""
        self.lost(how + (" in answer to CONNECT" if self.phase == GREETING else ""))

    def close(self) -> None:
        """Says goodbye and closes; not counted as a loss."""
        if self.sock is not None and not self.out and self.phase in (GREETING, UP, DONE):
            with contextlib.suppress(OSError):
                self.sock.send(packets.DISCONNECT_PACKET)
        if self.phase != DONE:
            self.phase = DOWN
        self._drop()

    def _drop(self) -> None:
        sock, self.sock, self.layer = self.sock, None, None
        if sock is not None:
            self.loop.unwatch(self)
            sock.close()
        self.fd = -1
        self._write_watched = False
        self.out.clear()
