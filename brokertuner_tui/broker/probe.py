"""Asks a broker, as one of its clients, whether it serves, and which limits are in force.

Every packet is small: 20 bytes are a legal max_packet_size, and a probe must pass under every legal limit. A user name and a
password make the first one larger, and nothing can be done about that: a limit below it keeps such clients out, all of them.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from brokertuner_tui.broker.connection import (
    Connection,
    Dropped,
    NotAuthorised,
    NotListening,
    NotTrusted,
    ProbeError,
    Refused,
    Silent,
    mqtt_only,
)
from brokertuner_tui.mqtt import packets
from brokertuner_tui.mqtt.endpoint import MQTT_5, Endpoint
from brokertuner_tui.mqtt.reasons import connack_reason

__all__ = [
    "TOPIC_PREFIX",
    "Dropped",
    "Limits",
    "NotAuthorised",
    "NotListening",
    "NotTrusted",
    "Probe",
    "ProbeError",
    "Refused",
    "Silent",
    "hello_bytes",
]

TOPIC_PREFIX = "btt/"
"""Of the topics that probes use: what an ACL has to allow."""
_TOO_LARGE = 0x95
_NOT_AUTHORISED = 0x87
_WHO_WE_ARE = frozenset({4, 5, 0x86, 0x87, 0x8A, 0x8C})
"""CONNACK codes of both versions that say: not you."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a CONNACK says; None where the broker names no limit, and always in MQTT 3.1.1."""

    receive_maximum: int | None
    maximum_packet_size: int | None


class Probe:
    """One connection; say `hello` first. Use it in a `with` statement.

    Args:
        endpoint: its protocol decides what can be asked: MQTT 3.1.1 names no limits and no reasons.
        deadline: time.monotonic() by which every answer must have come.

    Raises:
        ProbeError: nobody accepts the connection, or TLS or WebSocket fail.
        TlsFileError: a certificate or key of ours cannot be used.
    """

    def __init__(self, endpoint: Endpoint, deadline: float) -> None:
        self.protocol = endpoint.protocol
        self._hello = _connect_packet(endpoint)
        self._buffer = bytearray()
        self._is_client = False
        self._topic = TOPIC_PREFIX + secrets.token_hex(4)  # twelve bytes: no packet has more than 20
        self._connection = Connection(endpoint, deadline)

    def hello(self) -> Limits:
        """Becomes a client; gives the limits that the broker names.

        Raises:
            ProbeError: the broker does not accept the client, or says nothing.
        """
        self._send(self._hello)
        first, body = self._next("no CONNACK came in time")
        if first >> 4 != packets.CONNACK:
            raise Refused(f"packet type {first >> 4} came instead of a CONNACK")
        with mqtt_only():
            connack = packets.read_connack(body, protocol=self.protocol)
        if not connack.accepted:
            said = f"the broker refused the connection: {connack_reason(connack.code, self.protocol)}"
            raise (NotAuthorised if connack.code in _WHO_WE_ARE else Refused)(said)
        self._is_client = True
        return Limits(connack.receive_maximum, connack.maximum_packet_size)

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leaves in good order: a client that just vanishes would be a line in the broker's log."""
        self._connection.close(packets.DISCONNECT_PACKET if self._is_client else b"")

    def is_cut(self) -> bool:
        """Whether the broker closes the connection before the deadline."""
        try:
            while True:
                self._next("it is still open")
        except Silent:
            return False
        except ProbeError:
            return True

    def round_trip(self) -> None:
        """Gets back what it publishes on a topic of its own, with QoS 0 and with QoS 1.

        Raises:
            ProbeError: it does not come back in time, or the broker says no.
        """
        # All at once: each answer costs a turn of the broker's one loop, which a busy broker takes its time for.
        self._send(
            packets.subscribe(1, [(self._topic, 1)], protocol=self.protocol)
            + packets.publish(self._topic, b"", protocol=self.protocol)
            + packets.publish(self._topic, b"", qos=1, packet_id=2, protocol=self.protocol)
        )
        awaited = {"subscription", "QoS 0 message", "QoS 1 message", "acknowledgement"}
        while awaited:
            first, body = self._next(f"the {' and the '.join(sorted(awaited))} did not come in time")
            with mqtt_only():
                awaited.discard(self._take(first, body))

    def _take(self, first: int, body: bytes) -> str:
        """What has come; empty when it was not asked for."""
        kind = first >> 4
        if kind in (packets.SUBACK, packets.PUBACK):
            name = "subscription" if kind == packets.SUBACK else "QoS 1 message"
            answer = packets.read_acknowledgement(kind, body, protocol=self.protocol)
            if answer.refused:
                # MQTT 3.1.1 has but one code for a subscription that fails, and an ACL is nearly always why.
                forbidden = answer.code == _NOT_AUTHORISED or self.protocol != MQTT_5
                said = f"the broker refused a {name}" + (f": its ACL forbids {TOPIC_PREFIX}#" if forbidden else "")
                raise (NotAuthorised if forbidden else Refused)(said)
            return "subscription" if kind == packets.SUBACK else "acknowledgement"
        if kind == packets.PUBLISH:
            message = packets.read_publish(first, body, protocol=self.protocol)
            if message.packet_id is not None:
                self._send(packets.acknowledgement(packets.PUBACK, message.packet_id))
            return f"QoS {message.qos} message"
        if kind == packets.DISCONNECT:
            raise Refused("the broker disconnected the client" + (f" (reason code 0x{body[0]:02x})" if body else ""))
        return ""

    def takes_payload(self, size: int) -> bool:
        """Whether the broker passes on a payload of `size` bytes, or refuses it for `message_size_limit`.

        Raises:
            ProbeError: no answer, or another reason. Ask in MQTT 5 only: 3.1.1 acknowledges what it refuses.
        """
        # A topic without subscribers: nothing is queued anywhere.
        self._send(packets.publish(self._topic + "s", bytes(size), qos=1, packet_id=3, protocol=self.protocol))
        while True:
            first, body = self._next("a QoS 1 message was not acknowledged in time")
            if first >> 4 == packets.PUBACK:
                with mqtt_only():
                    answer = packets.read_acknowledgement(packets.PUBACK, body, protocol=self.protocol)
                if answer.refused and answer.code != _TOO_LARGE:
                    raise Refused(f"the broker refused a QoS 1 message (reason code 0x{answer.code:02x})")
                return not answer.refused

    @staticmethod
    def payload_packet_bytes(size: int) -> int:
        """How large the packet of `takes_payload(size)` is, in MQTT 5."""
        return len(packets.publish(TOPIC_PREFIX + "0" * 9, bytes(size), qos=1, packet_id=3, protocol=MQTT_5))

    def _send(self, data: bytes) -> None:
        self._connection.send(data)

    def _next(self, late: str) -> tuple[int, bytes]:
        while True:
            with mqtt_only():
                packet = packets.next_packet(self._buffer)
            if packet is not None:
                return packet
            self._buffer += self._connection.receive(late)


def hello_bytes(endpoint: Endpoint) -> int:
    """How large the packet is by which a probe becomes a client: 15 bytes, and what it takes to say who we are.

    A broker with a smaller max_packet_size keeps out every client that says as much.
    """
    return len(_connect_packet(endpoint))


def _connect_packet(endpoint: Endpoint) -> bytes:
    # No client id: the broker makes one up, and the packet stays small.
    return packets.connect("", protocol=endpoint.protocol, username=endpoint.username, password=endpoint.password)
