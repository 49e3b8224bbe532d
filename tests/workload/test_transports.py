"""The built-in load over every transport, on real brokers: all comes, nothing is tried in vain, and it says why."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from brokertuner_tui.broker.find import probe_version
from brokertuner_tui.mqtt.endpoint import Endpoint, Tls
from brokertuner_tui.mqtt.tls import TlsFileError
from brokertuner_tui.workload.builtin import BuiltinLoad
from brokertuner_tui.workload.load import LoadError
from brokertuner_tui.workload.profile import Profile
from tests.broker.secure import HOST, LISTENERS, Authority, start_secured
from tests.waiting import eventually
from tests.workload.conftest import READY_S

STEADY = Profile("steady", publishers=3, subscribers=3, topics=3, qos=1, rate=1000, window=20, slo_ms=5000)
TWO = Profile("two", publishers=1, subscribers=1, rate=10)


@pytest.fixture
def load(tmp_path: Path) -> Iterator[BuiltinLoad]:
    made = BuiltinLoad(tmp_path / "load")
    yield made
    made.stop()


def all_comes(load: BuiltinLoad, seconds: float = 0.15) -> None:
    load.open_window()
    time.sleep(seconds)
    window = load.close_window(10.0)
    assert window.sent > 0
    assert (window.lost, window.missing, window.duplicated) == (0, 0, 0)
    assert window.received >= window.expected


def says(load: BuiltinLoad, words: str) -> bool:
    """Whether the status comes to say that."""
    return eventually(lambda: words in load.status().error)


def refused(load: BuiltinLoad, endpoint: Endpoint, match: str, profile: Profile = TWO) -> None:
    """It says so long before the deadline, and in the status."""
    began = time.monotonic()
    load.start(profile, endpoint)
    with pytest.raises(LoadError, match=f"0 of 2 clients of the load are connected: .*{match}"):
        load.wait_ready(60.0)
    assert time.monotonic() - began < 30
    assert eventually(lambda: load.status().error)


@pytest.mark.parametrize("listener", LISTENERS)
def test_every_qos_on_every_transport_and_a_restart(
    every_mosquitto: Path, tmp_path: Path, load: BuiltinLoad, listener: str
) -> None:
    with start_secured(every_mosquitto, tmp_path, listeners=(listener,)) as broker:
        load.start(replace(STEADY, qos=0), broker.endpoint(listener))
        for profile in (None, replace(STEADY, protocol=5), replace(STEADY, qos=2)):
            if profile is not None:
                load.change(profile)
            load.wait_ready(READY_S)
            all_comes(load)
        load.expect_restart()
        broker.restart()
        load.wait_ready(READY_S)
        all_comes(load)
        assert eventually(lambda: load.status().reconnects == 6)


@pytest.mark.parametrize("listener", ["tls", "ws", "wss"])
def test_more_than_the_sockets_take(every_mosquitto: Path, tmp_path: Path, load: BuiltinLoad, listener: str) -> None:
    """Closed loops of large and of small messages: records, frames and socket buffers are cut where they like."""
    large = Profile("large", qos=1, rate=0, window=10, payload_bytes=300_000, slo_ms=5000)
    small = Profile("small", publishers=20, qos=1, rate=0, window=20, payload_bytes=30, slo_ms=5000)
    if listener != "tls" and probe_version(every_mosquitto) < (2, 0, 12):
        # It loses what it cannot write to a WebSocket at once, from 20 kB, whoever the client (paho-mqtt: 58 of 60).
        large = replace(large, payload_bytes=1000)
    with start_secured(every_mosquitto, tmp_path, listeners=(listener,), conf="max_queued_messages 0") as broker:
        load.start(large, broker.endpoint(listener))
        load.wait_ready(READY_S)
        all_comes(load)
        load.change(small)
        load.wait_ready(READY_S)
        all_comes(load)


@pytest.mark.parametrize(("listener", "protocol"), [("plain", 4), ("wss", 5)])
def test_a_wrong_password(mosquitto: Path, tmp_path: Path, load: BuiltinLoad, listener: str, protocol: int) -> None:
    with start_secured(mosquitto, tmp_path, listeners=(listener,)) as broker:
        refused(load, broker.endpoint(listener, password="wr0ng"), r"not authorised \(CONNACK", replace(TWO, protocol=protocol))
        assert "wr0ng" not in load.status().error
        load.expect_restart()  # eager, but not for that
        time.sleep(0.5)
        assert broker.log.count("not authorised") < 10
        # Somebody lets us in after all.
        known = broker.endpoint()
        load.start(replace(TWO, protocol=protocol), known)
        load.wait_ready(READY_S)


def test_it_comes_back_when_the_broker_was_mended(mosquitto: Path, tmp_path: Path, load: BuiltinLoad) -> None:
    with start_secured(mosquitto, tmp_path, users={"somebody": "else"}) as broker:
        refused(load, broker.endpoint(), "not authorised")
        (tmp_path / "passwords").unlink()
        conf = tmp_path / "mosquitto.conf"
        text = conf.read_text().replace("allow_anonymous false", "allow_anonymous true")
        conf.write_text("\n".join(line for line in text.splitlines() if not line.startswith("password_file")) + "\n")
        broker.restart()
        assert eventually(lambda: load.status().state == "running")
        load.wait_ready(READY_S)
        all_comes(load)


def test_certificates_that_do_not_match(mosquitto: Path, tmp_path: Path, load: BuiltinLoad) -> None:
    authority = Authority(tmp_path)
    server = authority.issue("elsewhere", names=("elsewhere.example",))
    stranger = Authority(tmp_path, "stranger")
    with start_secured(mosquitto, tmp_path, listeners=("tls", "mtls", "wss"), authority=authority, server=server) as broker:
        named = Tls(authority.ca_file, server_name="elsewhere.example")
        refused(load, broker.endpoint("tls"), f"not for {HOST}")
        refused(load, broker.endpoint("wss", tls=replace(named, ca_file=stranger.ca_file)), "nobody that we trust")
        load.start(TWO, broker.endpoint("wss", tls=named))
        load.wait_ready(READY_S)
        refused(load, broker.endpoint("mtls", tls=named), "wants a client certificate")
        alien = stranger.issue("alien")
        tls = replace(named, cert_file=alien.cert_file, key_file=alien.key_file)
        refused(load, broker.endpoint("mtls", tls=tls), "does not accept our certificate")
        load.expect_restart()
        time.sleep(0.5)
        assert broker.log.count("certificate") < 40


def test_certificates_that_cannot_be_read(tmp_path: Path, load: BuiltinLoad) -> None:
    with pytest.raises(TlsFileError, match=r"broker\.ca_file .*gone\.pem: cannot be read"):
        load.start(TWO, Endpoint(HOST, 1, tls=Tls(tmp_path / "gone.pem")))
    assert load.status().state == "stopped"


def test_the_wrong_port(every_mosquitto: Path, tmp_path: Path, load: BuiltinLoad) -> None:
    with start_secured(every_mosquitto, tmp_path, listeners=LISTENERS) as broker:
        for speak, to, words in (
            ("ws", "plain", "closed the connection in the WebSocket handshake"),
            ("tls", "plain", "closed the connection in the TLS handshake"),
            ("plain", "ws", "in answer to CONNECT"),
            ("plain", "tls", "in answer to CONNECT"),
            ("wss", "tls", "closed the connection in the WebSocket handshake"),
            ("tls", "ws", "TLS"),
        ):
            load.start(TWO, replace(broker.endpoint(speak), port=broker.ports[to]))
            assert says(load, words), (speak, to, load.status().error)
            assert load.status().connected == 0


class Fake(threading.Thread):
    """A server that does `serve` with every connection, one at a time."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        super().__init__(daemon=True)
        self._serve = serve
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        self.served = 0

    def run(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with sock:
                self._serve(sock)
                self.served += 1

    def end(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.join(30)


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[socket.socket], None]], Fake]]:
    made: list[Fake] = []

    def start(how: Callable[[socket.socket], None]) -> Fake:
        made.append(Fake(how))
        made[-1].start()
        return made[-1]

    yield start
    for fake in made:
        fake.end()


def test_a_server_that_hangs_in_the_handshake(
    serve: Callable[[Callable[[socket.socket], None]], Fake], load: BuiltinLoad, tmp_path: Path
) -> None:
    ca_file = Authority(tmp_path).ca_file

    def silent(sock: socket.socket) -> None:
        while sock.recv(4096):
            pass

    load.start(TWO, Endpoint(HOST, serve(silent).port, tls=Tls(ca_file)))
    assert says(load, "no end of the TLS or WebSocket handshake within 5 s")
    assert load.status().state == "starting"


def test_a_peer_that_leaves_in_the_middle_of_a_frame(
    serve: Callable[[Callable[[socket.socket], None]], Fake], load: BuiltinLoad
) -> None:
    def half(sock: socket.socket) -> None:
        key = re.search(rb"Sec-WebSocket-Key: (.*)\r\n", sock.recv(4096))
        assert key is not None
        accept = base64.b64encode(hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        sock.sendall(head + b"Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        sock.recv(4096)  # CONNECT
        sock.sendall(b"\x82\x04\x20\x02")  # half of a CONNACK

    fake = serve(half)
    load.start(TWO, Endpoint(HOST, fake.port, transport="websockets"))
    with pytest.raises(LoadError, match=r"0 of 2 clients .* closed by the broker in answer to CONNECT"):
        load.wait_ready(0.7)
    assert 2 < fake.served < 40  # it goes on trying, with back-off
