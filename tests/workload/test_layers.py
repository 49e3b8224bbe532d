"""TLS and WebSocket in the socket's place, against a peer made here: cut anywhere, full sockets, ends."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from brokertuner_tui.mqtt.endpoint import Endpoint, Tls
from brokertuner_tui.mqtt.packets import ProtocolError
from brokertuner_tui.mqtt.websocket import masked
from brokertuner_tui.workload.generator.layers import FinalError, Layer, Stack
from tests.broker.secure import Authority

DATA = bytes(range(256)) * 2000  # more than the sockets hold


class Pair:
    """Both ends of a connection; ours does not wait, the other does for a while."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.theirs.settimeout(20)
        self.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.congested = 0

    def note(self) -> None:
        self.congested += 1

    def layer(self, stack: Stack) -> Layer:
        made = stack.on(self.ours, self.note)
        assert made is not None
        return made


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.ours.close()
    made.theirs.close()


class Server:
    """A TLS server, byte by byte."""

    def __init__(self, pair: Pair, context: ssl.SSLContext) -> None:
        self.sock, self.incoming, self.outgoing = pair.theirs, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)

    def shake(self, layer: Layer) -> None:
        """Both sides' handshakes; what the server says comes in pieces of 100 bytes."""
        done = ours = False
        while not (done and ours):
            ours = ours or layer.handshake()
            if not done:
                try:
                    self.tls.do_handshake()
                    done = True
                except ssl.SSLWantReadError:
                    pass
            out = self.outgoing.read()
            for at in range(0, len(out), 100):
                self.sock.sendall(out[at : at + 100])
                ours = ours or layer.handshake()
            if not done:
                self.incoming.write(self.sock.recv(65536))

    def write(self, data: bytes) -> bytes:
        self.tls.write(data)
        return self.outgoing.read()

    def read(self, layer: Layer | None = None) -> bytes:
        while True:
            if layer is not None:
                layer.flush()
            try:
                return self.tls.read(65536)
            except ssl.SSLWantReadError:
                self.incoming.write(self.sock.recv(65536))


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(Endpoint("localhost", 1, tls=Tls(Authority(tmp_path).ca_file)))


@pytest.fixture
def context(tmp_path: Path) -> tuple[ssl.SSLContext, Stack]:
    authority = Authority(tmp_path)
    server = authority.issue("server", names=("localhost",))
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(server.cert_file, server.key_file)
    return made, Stack(Endpoint("localhost", 1, tls=Tls(authority.ca_file)))


def received(layer: Layer) -> bytes:
    try:
        return layer.recv(65536)
    except BlockingIOError:
        return b""


def test_tls_records_in_pieces_and_many_at_once(pair: Pair, context: tuple[ssl.SSLContext, Stack]) -> None:
    layer, server = pair.layer(context[1]), Server(pair, context[0])
    server.shake(layer)
    assert received(layer) == b""  # session tickets at most
    records = b"".join(server.write(bytes((number,)) * 10) for number in range(100))
    came = b""
    for at in range(0, 700, 7):
        pair.theirs.sendall(records[at : at + 7])
        came += received(layer)
    pair.theirs.sendall(records[700:])
    first = layer.recv(65536)  # all that has come, in one go: nobody would tell that there is more
    assert came + first == b"".join(bytes((number,)) * 10 for number in range(100))
    with pytest.raises(BlockingIOError):
        layer.recv(65536)
    pair.theirs.sendall(server.write(b"the last words"))
    pair.theirs.close()
    buffer = memoryview(bytearray(1 << 18))
    assert bytes(buffer[: layer.recv_into(buffer)]) == b"the last words"
    assert layer.recv(65536) == b""


def test_tls_on_a_full_socket(pair: Pair, context: tuple[ssl.SSLContext, Stack]) -> None:
    layer, server = pair.layer(context[1]), Server(pair, context[0])
    server.shake(layer)
    assert layer.send(memoryview(DATA)) == len(DATA)
    assert pair.congested
    assert layer.backlog
    with pytest.raises(BlockingIOError):
        layer.send(b"more")
    came = b""
    while len(came) < len(DATA):
        came += server.read(layer)
    assert came == DATA
    assert layer.flush()
    layer.send(b"more")
    assert server.read() == b"more"


def test_the_second_connection_resumes_the_first_ones_session(context: tuple[ssl.SSLContext, Stack]) -> None:
    reused = []
    for _ in range(3):
        pair = Pair()
        layer, server = pair.layer(context[1]), Server(pair, context[0])
        server.shake(layer)
        reused.append(server.tls.session_reused)
        pair.theirs.sendall(server.write(b"CONNACK"))
        assert layer.recv(100) == b"CONNACK"
        layer.close()
        pair.theirs.close()
    assert reused == [False, True, True]


def test_tls_says_goodbye_and_hears_it(pair: Pair, context: tuple[ssl.SSLContext, Stack]) -> None:
    layer, server = pair.layer(context[1]), Server(pair, context[0])
    server.shake(layer)
    layer.close()
    assert server.read() == b""
    other = Pair()
    layer, server = other.layer(context[1]), Server(other, context[0])
    server.shake(layer)
    with pytest.raises(ssl.SSLWantReadError):
        server.tls.unwrap()
    other.theirs.sendall(server.outgoing.read())
    assert layer.recv(100) == b""
    other.theirs.close()
    layer.close()


def test_what_is_no_tls_is_final_and_a_closed_connection_is_not(stack: Stack) -> None:
    for words, error in ((b"HTTP/1.1 400 Bad Request\r\n\r\n", FinalError), (b"", ConnectionError)):
        pair = Pair()
        layer = pair.layer(stack)
        assert not layer.handshake()
        pair.theirs.sendall(words)
        pair.theirs.close()
        with pytest.raises(error, match="TLS"):
            layer.handshake()
        layer.close()


def test_a_broken_record_in_mid_traffic_is_not_final(pair: Pair, context: tuple[ssl.SSLContext, Stack]) -> None:
    layer, server = pair.layer(context[1]), Server(pair, context[0])
    server.shake(layer)
    pair.theirs.sendall(server.write(b"fine"))
    assert layer.recv(100) == b"fine"
    pair.theirs.sendall(server.write(b"broken")[:-1] + b"\0")
    with pytest.raises(ConnectionError, match="TLS failed"):
        layer.recv(100)


def upgraded(pair: Pair) -> Layer:
    layer = pair.layer(Stack(Endpoint("localhost", 1, transport="websockets")))
    assert not layer.handshake()
    # The key of RFC 6455, 1.3 is not ours: what has to come back is worked out by the layer itself.
    accept = layer._opening._accept  # type: ignore[attr-defined]
    assert b"Sec-WebSocket-Protocol: mqtt" in pair.theirs.recv(4096)
    answer = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    for at in range(len(answer) - 1):
        pair.theirs.sendall(answer[at : at + 1])
        assert not layer.handshake()
    pair.theirs.sendall(answer[-1:])
    assert layer.handshake()
    return layer


def test_websocket_frames_in_pieces_with_a_ping_between(pair: Pair) -> None:
    layer = upgraded(pair)
    came = b""
    for byte in b"\x82\x03abc" + b"\x89\x02hi" + b"\x82\x7e\x00\x80" + bytes(128):
        pair.theirs.sendall(bytes((byte,)))
        came += received(layer)
    assert came == b"abc" + bytes(128)
    pong = pair.theirs.recv(100)
    assert pong[:2] == b"\x8a\x82"
    assert masked(pong[6:], pong[2:6]) == b"hi"


def test_websocket_on_a_full_socket(pair: Pair) -> None:
    layer = upgraded(pair)
    assert layer.send(memoryview(DATA)) == len(DATA)
    assert pair.congested
    with pytest.raises(BlockingIOError):
        layer.send(b"more")
    came = b""
    while len(came) < len(DATA) + 14:
        came += pair.theirs.recv(65536)
        layer.flush()
    assert came[:10] == b"\x82\xff" + len(DATA).to_bytes(8, "big")
    assert masked(came[14:], came[10:14]) == DATA
    assert not layer.backlog


def test_websocket_ends_are_told(pair: Pair) -> None:
    layer = upgraded(pair)
    pair.theirs.sendall(b"\x82\x03abc" + b"\x88\x02\x03\xe9")
    assert layer.recv(100) == b"abc"
    with pytest.raises(ConnectionError, match="status 1001"):
        layer.recv(100)
    other = Pair()
    layer = upgraded(other)
    other.theirs.sendall(b"\x82\x05ab")
    assert layer.recv(100) == b"ab"
    other.theirs.close()
    assert layer.recv(100) == b""
    layer.close()
    last = Pair()
    layer = upgraded(last)
    last.theirs.sendall(b"\xf2\x05ab")
    with pytest.raises(ProtocolError, match="must not be here"):
        layer.recv(100)
    last.theirs.close()
    layer.close()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", FinalError),
        (b"\x20\x02\x00\x01\r\n\r\n\r\n", FinalError),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", ConnectionError),
        (b"", ConnectionError),
    ],
)
def test_no_websocket(pair: Pair, answer: bytes, error: type[Exception]) -> None:
    layer = pair.layer(Stack(Endpoint("localhost", 1, transport="websockets")))
    assert not layer.handshake()
    pair.theirs.recv(4096)
    pair.theirs.sendall(answer)
    pair.theirs.close()
    with pytest.raises(error):
        layer.handshake()


def test_plain_mqtt_has_no_layer(pair: Pair) -> None:
    assert Stack(Endpoint("localhost", 1)).on(pair.ours, pair.note) is None
