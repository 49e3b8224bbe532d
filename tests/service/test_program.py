"""The command as a process: how it ends, what it refuses to start with, and that a kill applies nothing twice."""

from __future__ import annotations

import logging
import os
import signal
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from brokertuner_tui.cli import main
from brokertuner_tui.config.settings import ServiceSettings
from brokertuner_tui.errors import UsageError
from brokertuner_tui.service.run import check
from tests.cli.program import environment, error_of, run
from tests.service.agents import Program, SlowMosquitto, left_of, start_program, until

Start = Callable[..., Program]
Here = Callable[..., str]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Here]:
    """Runs a command line that must fail, in this process; gives its one line. Its logging ends with the test."""
    loggers = [logging.getLogger(name) for name in ("brokertuner_tui", "uvicorn", "py.warnings")]
    before = [(logger.level, logger.propagate, list(logger.handlers)) for logger in loggers]

    def run_here(*arguments: str, code: int) -> str:
        assert main.run(arguments) == code
        told = capfd.readouterr()
        assert told.out == ""
        assert told.err.startswith("brokertuner-tui: error: ")
        assert told.err.count("\n") == 1, told.err
        return told.err

    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    yield run_here
    logging.captureWarnings(False)
    for logger, (level, propagate, handlers) in zip(loggers, before, strict=True):
        logger.level, logger.propagate, logger.handlers = level, propagate, handlers


def starts_in_log(home: Path) -> int:
    """How often the broker has started since its log was begun."""
    logs = (home / "data" / "service" / "broker").rglob("*.log*")
    return sum(path.read_text(errors="replace").count(" starting") for path in logs)


def test_a_kill_in_the_middle_of_a_change_is_resolved_and_applies_nothing_twice(tmp_path: Path, mosquitto: Path) -> None:
    slow = SlowMosquitto(tmp_path, mosquitto)
    program = start_program(tmp_path, slow.program, "--allow-changes")
    kin = program.kin()
    try:
        assert program.client.apply("good", max_inflight_messages=50).status == 200
        time.sleep(1.0)  # at most one a second
        slow.hold()
        asking = threading.Thread(target=lambda: _ask(program))
        asking.start()
        until(lambda: program.client.get("/state").data["broker"]["state"] == "starting")  # the old one is gone by now
        kin += program.kin()
        program.process.kill()
        program.process.wait(30)
        asking.join(30)
        slow.release()
        assert not left_of(kin), "the reaper ends what the agent leaves"
    finally:
        program.process.kill()
    again = start_program(tmp_path, slow.program, "--allow-changes")
    try:
        told = again.client.get("/changes/cut").data
        assert told["state"] == "unknown_after_crash_resolved"
        assert "ended in the middle" in told["error"]["message"]
        in_force = again.client.get("/state").data["broker"]["knobs"]
        assert in_force == told["knobs"]
        assert in_force["max_inflight_messages"] == 50, "the last that was verified"
        started = starts_in_log(tmp_path)
        assert started >= 1
        replayed = again.client.apply("cut", max_inflight_messages=60)
        assert (replayed.status, replayed.error["code"]) == (503, "not_applied")
        assert replayed.error["message"] == told["error"]["message"]
        assert (starts_in_log(tmp_path), again.client.get("/state").data["broker"]["restarts"]) == (started, 0)
        assert again.client.get("/changes/good").data["state"] == "applied"
        assert again.client.apply("new", max_inflight_messages=60).data["knobs"]["max_inflight_messages"] == 60
    finally:
        _end(again)


def _ask(program: Program) -> None:
    try:
        program.client.apply("cut", max_inflight_messages=60)
    except OSError:
        return


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it_in_good_order(program: Start, number: int, code: int) -> None:
    running = program("--allow-changes")
    assert running.client.ask("POST", "/load", {"profile": {"name": "some", "rate": 100}}).status == 200
    stream = running.client.connect()
    stream.request("GET", "/telemetry/stream", headers={"Authorization": f"Bearer {running.client.token}"})
    response = stream.getresponse()
    kin = running.kin()
    assert len(kin) >= 4  # itself, the broker, the load, the reaper
    began = time.monotonic()
    os.kill(running.process.pid, number)
    assert response.read().startswith(b": brokertuner-tui")
    assert running.process.wait(20) == code
    assert time.monotonic() - began < 15
    assert not left_of(kin)
    text = running.errors.read_text()
    assert text.endswith("ended\n")
    assert "Traceback" not in text
    stream.close()


def test_nothing_secret_is_logged(program: Start) -> None:
    running = program()
    running.client.get("/telemetry?password=hidden")
    running.client.get("/state", Authorization="Bearer wrong-but-secret")
    running.client.get("/a%0ab")
    text = running.errors.read_text()
    assert "GET /telemetry 422" in text
    assert "GET /state 401" in text
    for secret in (running.client.token, "hidden", "wrong-but-secret", "Bearer"):
        assert secret not in text
    assert "\nb" not in text


def test_the_token_is_made_once_for_its_owner_alone(here: Here, program: Start, tmp_path: Path) -> None:
    first = program()
    path = tmp_path / "data" / "service" / "token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_text().strip()) >= 43  # 32 random bytes
    assert str(path) in first.errors.read_text()
    assert "another service runs" in here("serve", "--listen", "127.0.0.1:0", "--save-dir", str(tmp_path / "data"), code=2)
    _end(first)
    assert program().client.token == first.client.token


def test_the_address_is_taken(here: Here, mosquitto: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        assert f"cannot listen on {listen}" in here("serve", "--listen", listen, "--mosquitto", str(mosquitto), code=1)


def test_all_interfaces_without_tls_are_refused(here: Here, tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "broker.example", "localhost.example"):
        with pytest.raises(UsageError, match="anything but loopback needs TLS"):
            check(ServiceSettings(host=host))
    for host in ("127.0.0.1", "localhost", "::1", "127.0.0.9"):
        check(ServiceSettings(host=host))
    assert "anything but loopback needs TLS" in here("serve", "--listen", "0.0.0.0:0", code=2)
    assert not list(tmp_path.rglob("token"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--listen", "8080"), "must be HOST:PORT"),
        (("--listen", "::1:8080"), "must be HOST:PORT"),
        (("--listen", "127.0.0.1:99999"), "at most 65535"),
        (("--tls-cert", "missing.pem"), "TLS needs both"),
        (("--tls-cert", "missing.pem", "--tls-key", "missing.pem"), "No such file"),
        (("--broker", "nonsense"), "must be"),
        (("--broker", "remote"), "on the broker's own host"),
    ],
)
def test_bad_flags(here: Here, arguments: tuple[str, ...], words: str) -> None:
    assert words in here("serve", *arguments, code=2)


def test_a_certificate_that_is_none(here: Here, tmp_path: Path, mosquitto: Path) -> None:
    (tmp_path / "cert.pem").write_text("nothing")
    flags = ("--tls-cert", "cert.pem", "--tls-key", "cert.pem", "--mosquitto", str(mosquitto), "--listen", "127.0.0.1:0")
    assert "not a certificate and its key in PEM" in here("serve", *flags, code=2)
    assert not (tmp_path / "data").exists()


def test_without_the_extra_it_names_it(tmp_path: Path) -> None:
    (tmp_path / "fastapi.py").write_text("raise ModuleNotFoundError('No module named fastapi', name='fastapi')\n")
    ended = run(tmp_path, "serve", more={"PYTHONPATH": f"{tmp_path}:{Path(__file__).resolve().parents[2]}"})
    assert ended.returncode == 1
    assert "pip install 'brokertuner-tui[serve]'" in error_of(ended)


def test_a_broker_that_does_not_start(here: Here, tmp_path: Path) -> None:
    broken = tmp_path / "mosquitto"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o700)
    assert str(broken) in here("serve", "--listen", "127.0.0.1:0", "--mosquitto", str(broken), code=1)


def _end(program: Program) -> None:
    program.process.terminate()
    assert program.process.wait(30) == 0
