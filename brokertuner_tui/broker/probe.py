"""Asks a broker, as one of its clients, whether it serves, and which limits are in force.

Every packet is as small as MQTT allows: 20 bytes are a legal max_packet_size, and a probe must pass under every legal limit.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from brokertuner_tui.mqtt import packets
from brokertuner_tui.mqtt.packets import ProtocolError

_PROTOCOL = 5  # its CONNACK names limits, its PUBACK says why a message was refused
_TOO_LARGE = 0x95
# Linux acknowledges late what a peer sends in two small pieces, and a broker without set_tcp_nodelay then waits 40 ms.
_QUICK_ACK = getattr(socket, "TCP_QUICKACK", None)


class ProbeError(Exception):
    """The broker does not serve; the message says how that showed."""


class NotListening(ProbeError):
    """Nothing accepts connections on the port."""


class Dropped(ProbeError):
    """The connection was accepted and then closed or reset."""


class Refused(ProbeError):
    """The broker answered, and said no."""


class Silent(ProbeError):
    """No answer within the deadline."""


@contextlib.contextmanager
def _mqtt_only() -> Iterator[None]:
    try:
        yield
    except ProtocolError as error:
        raise Refused(f"the answer is not MQTT: {error}") from None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a CONNACK says; None where the broker names no limit."""

    receive_maximum: int | None
    maximum_packet_size: int | None


class Probe:
    """One connection; say `hello` first. Use it in a `with` statement.

    Args:
        deadline: time.monotonic() by which every answer must have come.

    Raises:
        ProbeError: nobody accepts the connection.
    """

    def __init__(self, host: str, port: int, deadline: float) -> None:
        self._deadline = deadline
        self._buffer = bytearray()
        self._is_client = False
        self._topic = secrets.token_hex(4)  # eight bytes: the packets stay below 20
        try:
            self._socket = socket.create_connection((host, port), timeout=max(0.001, deadline - time.monotonic()))
        except TimeoutError:
            raise Silent("the connection was not accepted in time") from None
        except ConnectionRefusedError:
            raise NotListening(f"nothing listens on port {port}") from None
        except OSError as error:
            raise Dropped(f"the connection failed: {error.strerror}") from None
        if self._socket.getsockname() == self._socket.getpeername():
            # Nothing listens, and the kernel gave us this very port as our own: connected to ourselves.
            self._socket.close()
            raise NotListening(f"nothing listens on port {port}")
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def hello(self) -> Limits:
        """Becomes a client; gives the limits that the broker names.

        Raises:
            ProbeError: the broker does not accept the client, or says nothing.
        """
        # No client id: the broker makes one up, and the packet stays at 15 bytes.
        self._send(packets.connect("", protocol=_PROTOCOL))
        first, body = self._next("no CONNACK came in time")
        if first >> 4 != packets.CONNACK:
            raise Refused(f"packet type {first >> 4} came instead of a CONNACK")
        with _mqtt_only():
            connack = packets.read_connack(body, protocol=_PROTOCOL)
        if not connack.accepted:
            raise Refused(f"the broker refused the connection (reason code 0x{connack.code:02x})")
        self._is_client = True
        return Limits(connack.receive_maximum, connack.maximum_packet_size)

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leaves in good order: a client that just vanishes would be a line in the broker's log."""
        if self._is_client:
            with contextlib.suppress(OSError):
                self._socket.sendall(packets.DISCONNECT_PACKET)
        self._socket.close()

    def round_trip(self) -> None:
        """Gets back what it publishes on a topic of its own, with QoS 0 and with QoS 1.

        Raises:
            ProbeError: it does not come back in time, or the broker says no.
        """
        # All at once: each answer costs a turn of the broker's one loop, which a busy broker takes its time for.
        self._send(
            packets.subscribe(1, [(self._topic, 1)], protocol=_PROTOCOL)
            + packets.publish(self._topic, b"", protocol=_PROTOCOL)
            + packets.publish(self._topic, b"", qos=1, packet_id=2, protocol=_PROTOCOL)
        )
        awaited = {"subscription", "QoS 0 message", "QoS 1 message", "acknowledgement"}
        while awaited:
            first, body = self._next(f"the {' and the '.join(sorted(awaited))} did not come in time")
            with _mqtt_only():
                awaited.discard(self._take(first, body))

    def _take(self, first: int, body: bytes) -> str:
        """What has come; empty when it was not asked for."""
        kind = first >> 4
        if kind in (packets.SUBACK, packets.PUBACK):
            name = "subscription" if kind == packets.SUBACK else "QoS 1 message"
            if packets.read_acknowledgement(kind, body, protocol=_PROTOCOL).refused:
                raise Refused(f"the broker refused a {name}")
            return "subscription" if kind == packets.SUBACK else "acknowledgement"
        if kind == packets.PUBLISH:
            message = packets.read_publish(first, body, protocol=_PROTOCOL)
            if message.packet_id is not None:
                self._send(packets.acknowledgement(packets.PUBACK, message.packet_id))
            return f"QoS {message.qos} message"
        if kind == packets.DISCONNECT:
            raise Refused("the broker disconnected the client" + (f" (reason code 0x{body[0]:02x})" if body else ""))
        return ""

    def takes_payload(self, size: int) -> bool:
        """Whether the broker passes on a payload of `size` bytes, or refuses it for `message_size_limit`.

        Raises:
            ProbeError: no answer, or another reason.
        """
        # A topic without subscribers: nothing is queued anywhere.
        self._send(packets.publish(self._topic + "s", bytes(size), qos=1, packet_id=3, protocol=_PROTOCOL))
        while True:
            first, body = self._next("a QoS 1 message was not acknowledged in time")
            if first >> 4 == packets.PUBACK:
                with _mqtt_only():
                    answer = packets.read_acknowledgement(packets.PUBACK, body, protocol=_PROTOCOL)
                if answer.refused and answer.code != _TOO_LARGE:
                    raise Refused(f"the broker refused a QoS 1 message (reason code 0x{answer.code:02x})")
                return not answer.refused

    @staticmethod
    def payload_packet_bytes(size: int) -> int:
        """How large the packet of `takes_payload(size)` is."""
        return len(packets.publish("0" * 9, bytes(size), qos=1, packet_id=3, protocol=_PROTOCOL))

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
            raise Dropped(f"the broker closed the connection ({error.strerror})") from None

    def _next(self, late: str) -> tuple[int, bytes]:
        while True:
            with _mqtt_only():
                packet = packets.next_packet(self._buffer)
            if packet is not None:
                return packet
            try:
                if _QUICK_ACK is not None:
                    self._socket.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
                self._socket.settimeout(self._left())
                data = self._socket.recv(65536)
            except TimeoutError:
                raise Silent(late) from None
            except OSError as error:
                raise Dropped(f"the broker closed the connection ({error.strerror})") from None
            if not data:
                raise Dropped("the broker closed the connection")
            self._buffer += data
