"""What a connection may carry between TCP and MQTT: TLS, WebSocket, or WebSocket on TLS.

A layer takes the socket's place: it has the socket's methods that links use and behaves as the socket does, `BlockingIOError`
included, so that a link on plain TCP works on the socket itself, without a detour. Two things differ, and links see to them:

- Before anything can be sent, `handshake` is called until it says that it is done.
- `send` takes what it is given as a whole or not at all, and keeps in encrypted or framed form what the socket did not take;
  it says so by `congested`, and `flush`, called when the socket takes more, sends it.

A layer keeps back nothing that it could hand over: `recv` gives everything that lies within what it read from the socket. So
epoll, which knows of the socket only, always tells when there is more.

The time of reception that a link notes is when `recv` returns, which is here when the last record of up to `_TLS_BYTES` was
decrypted: 0.2 ms too late for the first of them at most (small messages, 1.3 us each). A message is stamped before it is
encrypted. Latencies over TLS contain both, as they do for any client.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Protocol

from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.mqtt.packets import ProtocolError
from brokertuner_tui.mqtt.tls import client_context, tls_failure
from brokertuner_tui.mqtt.websocket import Frames, Handshake, WebSocketError, close_frame, frame

_TLS_BYTES = 17408
"""Of one receive call: a little more than the largest record. Each of Mosquitto's messages is a record of its own."""
_RECORD_BYTES = 16384
Congested = Callable[[], None]


class FinalError(ProtocolError):
    """It will fail again, however often it is tried, until somebody changes something."""


class Stream(Protocol):
    """What links ask of a socket."""

    def recv(self, size: int, /) -> bytes: ...
    def recv_into(self, buffer: memoryview, /) -> int: ...
    def send(self, data: bytes | bytearray | memoryview, /) -> int: ...
    def getsockopt(self, level: int, name: int, /) -> int: ...
    def setsockopt(self, level: int, name: int, value: int, /) -> None: ...
    def close(self) -> None: ...


class Layer:
    """A `Stream` on another one."""

    def __init__(self, below: Stream, congested: Congested) -> None:
        self._below, self._congested = below, congested
        self._lower = below if isinstance(below, Layer) else None
        self._kept = bytearray()
        """What the stream below did not take."""

    def handshake(self) -> bool:
        """Goes on with the handshake as far as possible without waiting; says whether it is done.

        Raises:
            OSError: the connection is gone.
            ProtocolError: the peer is not what it should be.
        """
        raise NotImplementedError

    def recv(self, size: int, /) -> bytes:
        """As a socket's, but may give more than `size`; b"" at the end.

        Raises:
            BlockingIOError: nothing at present.
            OSError: the connection is gone.
            ProtocolError: what came makes no sense.
        """
        raise NotImplementedError

    def recv_into(self, buffer: memoryview, /) -> int:
        """As a socket's. `buffer` has to be larger than what `recv` gives at most."""
        data = self.recv(len(buffer) // 2)
        buffer[: len(data)] = data
        return len(data)

    def send(self, data: bytes | bytearray | memoryview, /) -> int:
        """Takes all of `data`.

        Raises:
            BlockingIOError: it takes nothing at present.
            OSError: the connection is gone.
        """
        if self.backlog:
            raise BlockingIOError
        self._push(self._wrapped(data))
        return len(data)

    def _wrapped(self, data: bytes | bytearray | memoryview) -> bytes:
        raise NotImplementedError

    @property
    def backlog(self) -> bool:
        """Whether something waits for the socket."""
        return bool(self._kept) or (self._lower is not None and self._lower.backlog)

    def flush(self) -> bool:
        """Sends what was kept; says whether nothing is left.

        Raises:
            OSError: the connection is gone.
        """
        if self._lower is not None and not self._lower.flush():
            return False
        if self._kept:
            with contextlib.suppress(BlockingIOError):
                del self._kept[: self._below.send(self._kept)]
        return not self.backlog

    def _push(self, data: bytes) -> None:
        taken = 0
        if not self._kept:
            with contextlib.suppress(BlockingIOError):
                taken = self._below.send(data)
        if taken < len(data):
            self._kept += memoryview(data)[taken:]
            self._congested()

    def _more(self, closed: str) -> bytes | None:
        """Reads in a handshake; None: nothing at present. A connection that ends there gets the words `closed`."""
        try:
            data = self._below.recv(_TLS_BYTES)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            data = b""
        if not data:
            raise ConnectionError(closed)
        return data

    def getsockopt(self, level: int, name: int, /) -> int:
        """Of the socket."""
        return self._below.getsockopt(level, name)

    def setsockopt(self, level: int, name: int, value: int, /) -> None:
        """Of the socket."""
        self._below.setsockopt(level, name, value)

    def close(self) -> None:
        """Says goodbye, if that can be done at once, and closes."""
        with contextlib.suppress(OSError, ValueError):
            if not self.backlog:
                self._goodbye()
        self._below.close()

    def _goodbye(self) -> None:
        raise NotImplementedError


class TlsSettings:
    """What the TLS connections of one process have in common, the last session ticket among it.

    Raises:
        TlsFileError: see `client_context`.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        assert endpoint.tls is not None
        self.context, self.host = client_context(endpoint.tls), endpoint.host
        self.name = endpoint.tls.server_name or endpoint.host
        self.session: ssl.SSLSession | None = None
        """Spares the next connection the certificates. A broker that was restarted does not know it and asks for them."""


class TlsLayer(Layer):
    """TLS in memory (`SSLObject`): one receive call takes many records, where `SSLSocket` makes two for each."""

    def __init__(self, below: Stream, congested: Congested, settings: TlsSettings) -> None:
        super().__init__(below, congested)
        self._settings = settings
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = settings.context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=settings.host, session=settings.session
        )
        self._proven = False
        """Something came: with TLS 1.3 the broker looks at our certificate only after our side of the handshake is done."""
        self._ended = False

    def handshake(self) -> bool:
        """See `Layer`."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._send_records()
            except ssl.SSLError as error:
                with contextlib.suppress(OSError):
                    self._send_records()  # an alert that tells the broker why
                raise self._failure(error) from error
            else:
                self._send_records()
                return True
            data = self._more(tls_failure(ssl.SSLEOFError(), self._settings.name))
            if data is None:
                return False
            self._incoming.write(data)

    def recv(self, _size: int, /) -> bytes:
        """See `Layer`."""
        read, chunks = self._tls.read, list[bytes]()
        while not chunks and not self._ended:
            data = self._below.recv(_TLS_BYTES)
            if not data:
                break
            self._incoming.write(data)
            try:
                while chunk := read(_RECORD_BYTES):
                    chunks.append(chunk)
                self._ended = True
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLZeroReturnError:
                self._ended = True
            except ssl.SSLError as error:
                raise self._failure(error) from error
        if self._outgoing.pending:  # an answer to a change of keys
            self._send_records()
        if chunks and not self._proven:
            self._proven = True
            self._settings.session = self._tls.session
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _wrapped(self, data: bytes | bytearray | memoryview) -> bytes:
        self._tls.write(data)
        return self._outgoing.read()

    def _send_records(self) -> None:
        if self._outgoing.pending:
            self._push(self._outgoing.read())

    def _failure(self, error: ssl.SSLError) -> Exception:
        self._settings.session = None
        words = tls_failure(error, self._settings.name)
        temporary = self._proven or isinstance(error, ssl.SSLEOFError) or "INTERNAL_ERROR" in str(error.reason)
        return ConnectionError(words) if temporary else FinalError(words)

    def _goodbye(self) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):  # the answer is not awaited
            self._tls.unwrap()
        self._send_records()


class WebSocketLayer(Layer):
    """MQTT's stream in binary frames."""

    def __init__(self, below: Stream, congested: Congested, endpoint: Endpoint) -> None:
        super().__init__(below, congested)
        self._opening = Handshake(endpoint.host, endpoint.port, endpoint.path)
        self._asked = False
        self._answer = bytearray()
        self._frames = Frames()

    def handshake(self) -> bool:
        """See `Layer`."""
        if not self._asked:
            if self._lower is not None and not self._lower.handshake():
                return False
            self._asked = True
            self._push(self._opening.request)
        while True:
            data = self._more("the broker closed the connection in the WebSocket handshake (does the port speak it?)")
            if data is None:
                return False
            self._answer += data
            try:
                if self._opening.take(self._answer):
                    return True
            except WebSocketError as error:
                # A proxy whose broker is away says 502 or 503.
                raise (ConnectionError if "status 5" in str(error) else FinalError)(str(error)) from error

    def recv(self, size: int, /) -> bytes:
        """See `Layer`."""
        into = bytearray()
        while not into and self._frames.closed is None:
            data: bytes | bytearray
            if self._answer:  # came right behind the handshake
                data, self._answer = self._answer, bytearray()
            elif not (data := self._below.recv(size)):
                break
            back = self._frames.feed(data, into)
            if back:
                self._push(back)
        if not into and self._frames.closed is not None:
            raise ConnectionError(self._frames.closed)
        return bytes(into)

    def _wrapped(self, data: bytes | bytearray | memoryview) -> bytes:
        return frame(data)

    def _goodbye(self) -> None:
        if self._frames.closed is None and self._asked:
            self._push(close_frame())


class Stack:
    """Which layers an endpoint's connections have.

    Raises:
        TlsFileError: see `client_context`.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._tls = TlsSettings(endpoint) if endpoint.tls is not None else None

    def on(self, sock: socket.socket, congested: Congested) -> Layer | None:
        """The topmost layer on a socket that is connected; None where MQTT is spoken on the socket itself.

        Args:
            congested: called when something waits for the socket to take more.
        """
        layer: Layer | None = None
        if self._tls is not None:
            layer = TlsLayer(sock, congested, self._tls)
        if self._endpoint.transport == "websockets":
            layer = WebSocketLayer(layer or sock, congested, self._endpoint)
        return layer
