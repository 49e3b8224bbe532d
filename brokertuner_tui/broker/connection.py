"""One blocking connection to a broker, with a deadline for everything: TCP, and TLS and WebSocket where the endpoint has them.

Every way in which that can fail has a class, so that whoever waits for a broker knows whether to try again.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator

from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.mqtt.packets import ProtocolError
from brokertuner_tui.mqtt.tls import client_context, tls_failure
from brokertuner_tui.mqtt.websocket import Frames, Handshake, close_frame, frame

# Linux acknowledges late what a peer sends in two small pieces, and a broker without set_tcp_nodelay then waits 40 ms.
_QUICK_ACK = getattr(socket, "TCP_QUICKACK", None)
_CLOSED = "the broker closed the connection"


class ProbeError(Exception):
    """The broker does not serve; the message says how that showed."""


class NotListening(ProbeError):
    """Nothing accepts connections on the port."""


class Dropped(ProbeError):
    """The connection was accepted and then closed or reset."""


class Refused(ProbeError):
    """The broker answered, and said no."""


class NotAuthorised(Refused):
    """The broker answered, and said no because of who we are: it lives, only the user name, password or ACL is wrong."""


class NotTrusted(ProbeError):
    """TLS failed: a certificate is wrong on one side or the other, or the port speaks none."""


class Silent(ProbeError):
    """No answer within the deadline."""


class NotAccepted(Silent):
    """Not even the connection was accepted within the deadline."""


@contextlib.contextmanager
def mqtt_only() -> Iterator[None]:
    """Turns the peer's breaches of the protocol into a `Refused`."""
    try:
        yield
    except ProtocolError as error:
        raise Refused(f"the answer is not MQTT: {error}") from None


class Connection:
    """A stream of MQTT bytes.

    Args:
        deadline: time.monotonic() by which everything must have happened.

    Raises:
        NotListening, Dropped, Silent: nobody accepts the connection.
        NotTrusted, Refused: TLS or WebSocket fail.
        TlsFileError: a certificate or key of ours cannot be used.
    """

    def __init__(self, endpoint: Endpoint, deadline: float) -> None:
        self._deadline = deadline
        self._expected_name = endpoint.host
        self._frames: Frames | None = None
        self._closed = _CLOSED
        """What to say if the broker closes the connection now."""
        self._socket = self._connected(endpoint)
        try:
            if endpoint.tls is not None:
                self._expected_name = endpoint.tls.server_name or endpoint.host
                self._socket = wrapped = client_context(endpoint.tls).wrap_socket(
                    self._socket, server_hostname=endpoint.host, do_handshake_on_connect=False, suppress_ragged_eofs=False
                )
                self._shake_hands(wrapped, endpoint.tls.cert_file is not None)
            self._received = bytearray()
            if endpoint.transport == "websockets":
                self._upgrade(Handshake(endpoint.host, endpoint.port, endpoint.path))
        except BaseException:
            self._socket.close()
            raise

    def _connected(self, endpoint: Endpoint) -> socket.socket:
        try:
            made = socket.create_connection(
                (endpoint.host, endpoint.port), timeout=max(0.001, self._deadline - time.monotonic())
            )
        except TimeoutError:
            raise NotAccepted("the connection was not accepted in time") from None
        except ConnectionRefusedError:
            raise NotListening(f"nothing listens on port {endpoint.port}") from None
        except (OSError, UnicodeError) as error:  # a host name of more than 63 letters between two dots
            raise Dropped(f"the connection failed: {getattr(error, 'strerror', None) or error}") from None
        if made.getsockname() == made.getpeername():
            # Nothing listens, and the kernel gave us this very port as our own: connected to ourselves.
            made.close()
            raise NotListening(f"nothing listens on port {endpoint.port}")
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def _shake_hands(self, tls: ssl.SSLSocket, has_certificate: bool) -> None:
        self._closed = "the broker closed the connection in the TLS handshake (does the port speak TLS?)"
        with self._translated("the broker does not answer in the TLS handshake"):
            tls.settimeout(self._left())
            tls.do_handshake()
        # In TLS 1.3 our side is done before the broker has looked at our certificate, and not every broker says why it leaves.
        asks = (
            "is our certificate, broker.cert_file, one that it accepts?"
            if has_certificate
            else "does it want broker.cert_file?"
        )
        self._closed = f"the broker closed the connection right after the TLS handshake ({asks})"

    def _upgrade(self, handshake: Handshake) -> None:
        self._send(handshake.request)
        answer = bytearray()
        while True:
            try:
                if handshake.take(answer):
                    break
            except ProtocolError as error:
                raise Refused(str(error)) from None
            answer += self._receive("the broker does not answer in the WebSocket handshake")
        self._frames = Frames()
        self._unframe(answer)

    def until(self, deadline: float) -> None:
        """From now on everything must have happened by `deadline`, time.monotonic()."""
        self._deadline = deadline

    def wake(self) -> None:
        """Ends a `receive` that waits in another thread, as if the broker had closed; what is sent still goes."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RD)  # past TLS, which the other thread is in

    def send(self, data: bytes) -> None:
        """Sends MQTT bytes.

        Raises:
            Dropped, Silent, NotTrusted: it cannot.
        """
        self._send(data if self._frames is None else frame(data))

    def receive(self, late: str) -> bytes | bytearray:
        """The MQTT bytes that come next, at least one.

        Args:
            late: what to say if nothing comes.

        Raises:
            Dropped, Silent, NotTrusted, Refused: nothing comes.
        """
        if self._frames is None:
            return self._receive(late)
        while not self._received:
            if self._frames.closed:
                raise Dropped(self._frames.closed)
            self._unframe(self._receive(late))
        taken, self._received = self._received, bytearray()
        return taken

    def close(self, farewell: bytes = b"") -> None:
        """Closes; sends `farewell`, MQTT bytes, before that if it goes without waiting."""
        if farewell:
            with contextlib.suppress(OSError):
                self._socket.settimeout(max(0.001, min(0.5, self._deadline - time.monotonic())))
                self._socket.sendall(farewell if self._frames is None else frame(farewell) + close_frame())
        self._socket.close()

    def _unframe(self, data: bytes | bytearray) -> None:
        assert self._frames is not None
        with mqtt_only():
            back = self._frames.feed(data, self._received)
        if back:
            self._send(back)

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _send(self, data: bytes) -> None:
        try:
            self._socket.settimeout(self._left())
            self._socket.sendall(data)
        except TimeoutError:
            raise Silent("the broker reads nothing") from None
        except OSError as error:
            if isinstance(self._socket, ssl.SSLSocket) and not isinstance(error, ssl.SSLError):
                self._receive(self._closed)  # an alert that lies there says more
            raise self._failure(error) from None

    def _receive(self, late: str) -> bytes:
        with self._translated(late):
            if _QUICK_ACK is not None:
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
            self._socket.settimeout(self._left())
            data = self._socket.recv(65536)
        if not data:
            raise Dropped(self._closed)
        self._closed = _CLOSED
        return data

    @contextlib.contextmanager
    def _translated(self, late: str) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            raise Silent(late) from None
        except OSError as error:
            raise self._failure(error) from None

    def _failure(self, error: OSError) -> ProbeError:
        if isinstance(error, ssl.SSLError) and not isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
            return NotTrusted(tls_failure(error, self._expected_name))
        # Also what a broker does that is just ending.
        return Dropped(self._closed if self._closed != _CLOSED else f"{_CLOSED} ({error.strerror})")
