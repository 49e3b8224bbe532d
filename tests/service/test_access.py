"""Who gets in, and how much of it: token, Host, Origin, the size and time of a body, headers in the answers."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from brokertuner_tui import __version__
from brokertuner_tui.service import server
from brokertuner_tui.service.gate import host_of
from tests.service.client import Client
from tests.service.conftest import Looking, Serve

PATHS = (
    "/state",
    "/knobs",
    "/metrics",
    "/readyz",
    "/telemetry",
    "/telemetry/stream",
    "/runs",
    "/changes/x",
    "/load",
    "/openapi.json",
    "/nix",
)


@pytest.mark.parametrize("path", PATHS)
def test_all_but_healthz_need_the_token(looking: Looking, path: str) -> None:
    for wrong in (
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Basic {looking.client.token}",
        looking.client.token,
        f"Bearer {looking.client.token}x",
    ):
        answer = looking.client.get(path, Authorization=wrong)
        assert (answer.status, answer.error["code"], answer.headers["www-authenticate"]) == (401, "token", "Bearer"), wrong
        assert looking.client.token not in answer.text


def test_healthz_needs_none(looking: Looking) -> None:
    assert looking.client.get("/healthz", Authorization=None).data == {"status": "ok"}


def test_changing_needs_the_token(looking: Looking) -> None:
    for method, path in (("POST", "/apply_knobs"), ("POST", "/restart_broker"), ("POST", "/load"), ("DELETE", "/load")):
        assert looking.client.ask(method, path, headers={"Authorization": "Bearer x"}).status == 401
    assert looking.client.get("/state").data["broker"]["pid"] == looking.pid


@pytest.mark.parametrize(
    "host", ["attacker.example", "attacker.example:8080", "127.0.0.1.attacker.example", "", "a@localhost", "10.0.0.1"]
)
def test_another_host_is_refused(looking: Looking, host: str) -> None:
    """A page whose name was made to point here (DNS rebinding) asks under its own name."""
    for path in ("/healthz", "/state"):
        answer = looking.client.get(path, Host=host)
        assert (answer.status, answer.error["code"]) == (400, "host")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8080", socket.gethostname()])
def test_our_own_names_are_taken(looking: Looking, host: str) -> None:
    assert looking.client.get("/state", Host=host).status == 200


def test_more_names_can_be_allowed(serve: Serve) -> None:
    client = serve(allowed_hosts="broker.example,other.example")
    assert client.get("/state", Host="other.example:99").status == 200
    assert client.get("/state", Host="third.example").status == 400


def test_another_sites_requests_are_refused(looking: Looking) -> None:
    ours = f"http://127.0.0.1:{looking.client.port}"
    for origin in ("http://attacker.example", "null", ours.replace("http", "https"), f"{ours}1", "http://localhost"):
        answer = looking.client.get("/state", Origin=origin)
        assert (answer.status, answer.error["code"]) == (403, "origin"), origin
    assert looking.client.get("/state", Origin=ours).status == 200
    preflight = looking.client.ask("OPTIONS", "/state", headers={"Origin": "http://attacker.example"})
    assert preflight.status == 403
    assert not any(name.startswith("access-control") for name in preflight.headers)


def test_answers_carry_version_and_security_headers(looking: Looking) -> None:
    for answer in (looking.client.get("/state"), looking.client.get("/nix"), looking.client.get("/state", Authorization=None)):
        assert answer.headers["x-brokertuner-version"] == __version__
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "server" not in answer.headers


def test_what_is_not_there(looking: Looking) -> None:
    assert looking.client.get("/nix").error["code"] == "not_found"
    wrong = looking.client.get("/apply_knobs")
    assert (wrong.status, wrong.error["code"], wrong.headers["allow"]) == (405, "method_not_allowed", "POST")
    assert looking.client.get("/docs").status == looking.client.get("/redoc").status == 404


def test_a_large_body_is_refused_however_it_is_sent(looking: Looking) -> None:
    told = looking.client.ask("POST", "/apply_knobs", raw=b" " * 70_000)
    assert (told.status, told.error["code"]) == (413, "too_large")
    chunked = speak(
        looking.client, head("POST", looking.client, "Transfer-Encoding: chunked"), *[b"1000\r\n" + b" " * 4096 + b"\r\n"] * 17
    )
    assert b" 413 " in chunked.partition(b"\r\n")[0]
    fits = looking.client.ask("POST", "/apply_knobs?dry_run=true", raw=b'{"max_packet_size": 9000}' + b" " * 60_000)
    assert fits.status == 200


def test_a_body_must_say_that_it_is_json(looking: Looking) -> None:
    for kind in (None, "text/plain", "application/x-www-form-urlencoded"):
        answer = looking.client.ask("POST", "/apply_knobs", {"max_packet_size": 9000}, headers={"Content-Type": kind})
        assert (answer.status, answer.error["code"]) == (415, "media_type")


def test_a_body_must_come_in_time(serve: Serve) -> None:
    client = serve(request_sec=0.3)
    began = time.monotonic()
    answer = speak(client, head("POST", client, "Content-Length: 10"), b"{")
    assert b" 408 " in answer.partition(b"\r\n")[0]
    assert time.monotonic() - began < 10


def test_headers_must_come_in_time(looking: Looking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_HEADER_S", 0.3)
    began = time.monotonic()
    assert speak(looking.client, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ") == b""
    assert speak(looking.client, b"") == b""
    # Also between two requests of one connection.
    twice = speak(looking.client, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /hea")
    assert twice.startswith(b"HTTP/1.1 200")
    assert time.monotonic() - began < 10


def test_many_that_send_nothing_keep_nobody_out(looking: Looking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_HEADER_S", 0.5)
    idle = [socket.create_connection(("127.0.0.1", looking.client.port)) for _ in range(server._CONNECTIONS)]
    try:
        deadline = time.monotonic() + 20
        while (status := looking.client.get("/healthz").status) != 200:
            assert status == 503
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        for one in idle:
            one.close()


def test_no_http_is_no_accident(looking: Looking) -> None:
    assert speak(looking.client, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert looking.client.get("/healthz").status == 200


def test_many_at_once(looking: Looking) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: looking.client.get("/state").status, range(100)))
    assert set(answers) == {200}


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("a.b:80", "a.b"),
        ("A.B.", "a.b"),
        ("[::1]:8", "::1"),
        ("a:b", None),
        ("a/b", None),
        ("", None),
        ("u@h", None),
        ("[::1", None),
    ],
)
def test_the_host_in_a_header(header: str, host: str | None) -> None:
    assert host_of(header) == host


def head(method: str, client: Client, *more: str) -> bytes:
    """The head of a request to /apply_knobs."""
    lines = (
        f"{method} /apply_knobs HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {client.token}",
        "Content-Type: application/json",
    )
    return "\r\n".join((*lines, *more, "", "")).encode()


def speak(client: Client, *parts: bytes) -> bytes:
    """Sends bytes, and reads until the other side closes."""
    received = b""
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as sock:
        try:
            for part in parts:
                sock.sendall(part)
                time.sleep(0.01)
            while data := sock.recv(65_536):
                received += data
        except ConnectionError:
            pass
    return received
