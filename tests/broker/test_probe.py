"""The probe against brokers that are none: every answer it may get has a name."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.broker.probe import Dropped, Limits, NotAuthorised, NotListening, Probe, ProbeError, Refused, Silent
from brokertuner_tui.knobs.catalogue import defaults
from brokertuner_tui.mqtt import packets
from brokertuner_tui.mqtt.endpoint import Endpoint

Serve = Callable[[socket.socket], None]
HELLO = b"\x20\x03\x00\x00\x00"


@pytest.fixture
def server() -> Iterator[Callable[[Serve], int]]:
    """Answers one connection with a function; gives the port."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def serve(answer: Serve) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def run() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(20)
                answer(connection)

        thread = threading.Thread(target=run)
        thread.start()
        threads.append(thread)
        return int(listener.getsockname()[1])

    yield serve
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    for listener in listeners:
        listener.close()


def ask(port: int, within_s: float = 20.0) -> Limits:
    with Probe(Endpoint("127.0.0.1", port), time.monotonic() + within_s) as probe:
        limits = probe.hello()
        probe.round_trip()
        return limits


def answers(*data: bytes) -> Serve:
    """Sends one of `data` for each thing that it reads, then waits for the end."""

    def answer(connection: socket.socket) -> None:
        for one in data:
            if not connection.recv(4096):
                return
            connection.sendall(one)
        while connection.recv(4096):
            pass

    return answer


@pytest.mark.parametrize(
    ("serve", "kind", "said"),
    [
        (lambda connection: None, Dropped, "closed the connection"),
        (answers(b"\x20\x03\x00\x87\x00"), NotAuthorised, "refused the connection: not authorised"),
        (answers(b"\x20\x03\x00\x86\x00"), NotAuthorised, "bad user name or password"),
        (answers(b"\x20\x03\x00\x95\x00"), Refused, "packet too large"),
        (answers(b"\x20\x02\x00\x01"), Refused, "does not speak this version of MQTT"),
        (answers(b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(64)), Refused, "packet type 4 came instead of a CONNACK"),
        (answers(b"\x20\xff\xff\xff\xff\xff"), Refused, "not MQTT"),
        (answers(b"\x20\x01\x00"), Refused, "not MQTT"),
        (answers(HELLO, b"\x90\x04\x00\x01\x00\x87"), NotAuthorised, "refused a subscription: its ACL forbids btt/#"),
        (answers(HELLO, b"\x90\x04\x00\x01\x00\x97"), Refused, "refused a subscription"),
        (answers(HELLO, b"\x90\x04\x00\x01\x00\x01\x40\x03\x00\x02\x97"), Refused, "refused a QoS 1 message"),
        (answers(HELLO, b"\xe0\x02\x95\x00"), Refused, r"disconnected the client \(reason code 0x95\)"),
        (answers(HELLO, b"\x30\x01\x00"), Refused, "not MQTT"),
    ],
)  # fmt: skip
def test_answers(server: Callable[[Serve], int], serve: Serve, kind: type[ProbeError], said: str) -> None:
    with pytest.raises(kind, match=said):
        ask(server(serve))


@pytest.mark.parametrize(
    ("serve", "said"),
    [
        (answers(b""), "no CONNACK came in time"),
        (answers(HELLO[:3]), "no CONNACK came in time"),
        (answers(HELLO), "QoS 0 message and the QoS 1 message and the acknowledgement and the subscription did not come"),
        (answers(HELLO, b"\x90\x04\x00\x01\x00\x01\x40\x02\x00\x02"), "the QoS 0 message and the QoS 1 message did not come"),
    ],
)  # fmt: skip
def test_silence(server: Callable[[Serve], int], serve: Serve, said: str) -> None:
    began = time.monotonic()
    with pytest.raises(Silent, match=said):
        ask(server(serve), within_s=0.2)
    assert 0.15 < time.monotonic() - began < 5


def test_answers_in_small_pieces(server: Callable[[Serve], int]) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        for byte in b"\x20\x0b\x00\x00\x08\x21\x00\x14\x27\x00\x00\x13\x88":
            connection.sendall(bytes((byte,)))
        received = bytearray(connection.recv(4096))
        packet = packets.next_packet(received)
        assert packet is not None
        topic = packet[1][5:-1]
        message = b"\x00\x0c" + topic
        back = (
            b"\x90\x04\x00\x01\x00\x01"
            + b"\x30\x0f"
            + message
            + b"\x00"
            + b"\x40\x02\x00\x02"
            + b"\x32\x11"
            + message
            + b"\x00\x09\x00"
        )
        for start in range(0, len(back), 3):
            connection.sendall(back[start : start + 3])
        assert connection.recv(4) == b"\x40\x02\x00\x09"

    assert ask(server(answer)) == Limits(20, 5000)


def test_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NotListening, match=f"nothing listens on port {port}"):
        ask(port)


def test_connected_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel may do with a port from its own range on which nothing listens."""
    itself = socket.socket()
    itself.bind(("127.0.0.1", 0))
    port = itself.getsockname()[1]
    itself.connect(("127.0.0.1", port))
    monkeypatch.setattr(socket, "create_connection", lambda *_args, **_named: itself)
    with pytest.raises(NotListening):
        ask(port)
    assert itself.fileno() == -1


def test_payloads(every_mosquitto: Path, tmp_path: Path) -> None:
    broker = ManagedBroker(every_mosquitto, tmp_path / "broker")
    usual = defaults(broker.version)
    try:
        broker.start(usual | {"message_size_limit": 100, "max_packet_size": 200})
        for size, taken in ((0, True), (100, True), (101, False), (150, False)):
            with Probe(broker.endpoint, time.monotonic() + 20) as probe:
                probe.hello()
                assert probe.takes_payload(size) is taken
        assert Probe.payload_packet_bytes(100) < 200 < Probe.payload_packet_bytes(300)
        with Probe(broker.endpoint, time.monotonic() + 20) as probe:
            probe.hello()
            with pytest.raises(ProbeError):
                probe.takes_payload(300)
    finally:
        broker.stop()
