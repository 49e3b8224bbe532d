"""Rows 39 and 40: values that are none, and clients of the service that mean no good."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from brokertuner_tui.errors import TunerError
from tests.cli.program import error_of, run
from tests.faults.catalogue import row
from tests.faults.sessions import ask, paused
from tests.service.agents import Program, left_of, start_program
from tests.tuning.conftest import Bench

BAD = ("-1", "65536", "1e309", "NaN", "true", '"20\\nplugin /tmp/x.so"')
"""As JSON, for max_inflight_messages."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, mosquitto: Path) -> Iterator[Program]:
    """`serve --allow-changes` in a process of its own; whoever dawdles is cut off after 0.5 s."""
    home = tmp_path_factory.mktemp("service")
    (home / "brokertuner.toml").write_text("[service]\nrequest_sec = 0.5\n")
    made = start_program(home, mosquitto, "--allow-changes")
    try:
        yield made
    finally:
        kin = made.kin()
        made.process.terminate()
        made.process.wait(30)
        for left in left_of(kin):
            with contextlib.suppress(psutil.NoSuchProcess):
                left.kill()


def config_of(service: Program) -> dict[Path, bytes]:
    """Every file of its broker's config."""
    return {path: path.read_bytes() for path in service.errors.parent.rglob("*.conf")}


@row(39)
@pytest.mark.parametrize("value", BAD)
def test_by_http(service: Program, value: str) -> None:
    files, pid = config_of(service), service.broker.pid
    assert files
    answer = service.client.ask("POST", "/apply_knobs", raw=f'{{"max_inflight_messages": {value}}}'.encode())
    assert (answer.status, answer.error["field"]) == (422, "max_inflight_messages")
    assert config_of(service) == files
    assert service.broker.pid == pid


@row(39)
def test_by_the_command_line(tmp_path: Path, mosquitto: Path) -> None:
    for value in ("-1", "1e309", "20\nplugin /tmp/x.so"):
        words = ["train", "--save-dir", "s", "--mosquitto", str(mosquitto), "--pin", f"max_inflight_messages={value}"]
        ended = run(tmp_path, *words)
        assert ended.returncode == 2
        assert "max_inflight_messages" in error_of(ended)
        assert not (tmp_path / "s").exists()


@row(39)
def test_by_an_operator(bench: Bench) -> None:
    session, _ = paused(bench, bench.settings(total_timesteps=1000))
    (folder,) = (bench.folder / "runs").iterdir()
    files = {path: path.read_bytes() for path in folder.rglob("*.conf")}
    assert files
    for value in (-1, 65_536, float("inf"), float("nan"), True, "20\nplugin /tmp/x.so", None):
        refused = ask(session, max_inflight_messages=value)
        assert isinstance(refused, TunerError)
        assert "max_inflight_messages" in str(refused)
    assert {path: path.read_bytes() for path in folder.rglob("*.conf")} == files


def speak(service: Program, *parts: bytes) -> bytes:
    """Sends bytes; the first line of what comes until the other side closes."""
    received = b""
    with socket.create_connection(("127.0.0.1", service.client.port), 30) as sock, contextlib.suppress(ConnectionError):
        for part in parts:
            sock.sendall(part)
        while data := sock.recv(65_536):
            received += data
    return received.partition(b"\r\n")[0]


def head(service: Program, target: str, *more: str) -> bytes:
    """Of a request with everything that it needs."""
    lines = (f"POST {target} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {service.client.token}")
    return "\r\n".join((*lines, "Content-Type: application/json", *more, "", "")).encode()


@row(40)
def test_a_wrong_token(service: Program) -> None:
    for wrong in (None, "", "Bearer x", f"Bearer {service.client.token}x", f"Basic {service.client.token}"):
        assert service.client.get("/state", Authorization=wrong).status == 401


@row(40)
def test_a_foreign_page(service: Program) -> None:
    assert service.client.get("/state", Host="attacker.example").status in (400, 403)
    assert service.client.get("/state", Origin="http://attacker.example").status == 403


@row(40)
def test_ten_megabytes(service: Program) -> None:
    said = speak(service, head(service, "/apply_knobs", "Content-Length: 10000000"), b" " * 10_000_000)
    assert b" 413 " in said or said == b"", "refused, or cut off while it was still sending"
    assert service.client.ask("POST", "/apply_knobs", raw=b" " * 100_000).status == 413


@row(40)
def test_one_that_dawdles(service: Program) -> None:
    began = time.monotonic()
    assert b" 408 " in speak(service, head(service, "/apply_knobs", "Content-Length: 10"), b"{")
    assert time.monotonic() - began < 10
    assert service.client.get("/healthz").status == 200


@row(40)
@pytest.mark.parametrize("target", ["/../../etc/passwd", "/..%2f..%2fetc/passwd", "/runs/../../token", "/changes/..%2ftoken"])
def test_a_way_out(service: Program, target: str) -> None:
    request = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {service.client.token}\r\n"
    assert speak(service, f"{request}Connection: close\r\n\r\n".encode()).split(b" ")[1] in (b"404", b"422")


@row(40)
def test_a_flood_of_changes(service: Program) -> None:
    answers = [service.client.apply(message_size_limit=number).status for number in range(30, 40)]
    assert set(answers) == {200, 429}
    assert answers.count(429) >= 5, answers
    assert service.client.get("/state").status == 200


@row(40)
def test_a_token_that_others_may_read(tmp_path: Path, mosquitto: Path) -> None:
    token = tmp_path / "token"
    token.write_text("x" * 43 + "\n")
    token.chmod(0o644)
    listen = ["serve", "--listen", "127.0.0.1:0", "--mosquitto", str(mosquitto), "--save-dir", "s", "--token-file", str(token)]
    ended = run(tmp_path, *listen)
    assert ended.returncode == 2
    assert f"chmod 600 {token}" in error_of(ended)
    assert os.stat(token).st_mode & 0o777 == 0o644
