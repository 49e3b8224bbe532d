"""Where the lines of a command's log go: a file always, stderr what an operator has to know, JSON if asked for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import command, environment, lines_of, run
from tests.cli.running import CONFIG, is_broker, running

PASSWORD = "correct-horse"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "brokertuner.toml").write_text(CONFIG)
    return tmp_path


def _log(home: Path) -> str:
    (path,) = home.rglob("brokertuner-tui.log")
    return path.read_text()


def test_the_log_tells_the_story_of_a_run(home: Path, mosquitto: Path) -> None:
    words = ["train", "--total-timesteps", "4", "--json", "--save-dir", "s", "--mosquitto", str(mosquitto)]
    with running(home, "--log-json", *words) as program:
        program.until("trial")
        program.child(is_broker).send_signal(signal.SIGKILL)
        assert program.wait() == 0, program.errors
        run_id = program.lines[-1]["run"]
        stderr = lines_of(program.errors)  # nothing but JSON
    lines = lines_of(_log(home))
    for line in (*lines, *stderr):
        assert {"time", "level", "logger", "process", "message"} <= line.keys()
    told = [line["message"] for line in lines if line.get("run") == run_id]
    assert any(message.startswith(f"run {run_id}: preset slo, workload small, mode ") for message in told)
    assert "state tuning" in told
    assert any(message.startswith("broker: ") and "(it is back)" in message for message in told)
    assert any(message.startswith(f"run {run_id} completed after 4 trials") for message in told)
    assert {line["message"] for line in stderr} >= set(told)


def _errors(home: Path, *words: str, more: dict[str, str] | None = None) -> tuple[int, list[dict[str, Any]]]:
    ended = run(home, *words, more=more)
    return ended.returncode, lines_of(ended.stderr)


def test_an_error_is_a_json_line_too(home: Path) -> None:
    code, (line,) = _errors(home, "--log-json", "runs", "show", "nosuch", "--save-dir", "s")
    assert code == 2
    assert line["level"] == "error"
    assert "nosuch" in line["message"]
    assert line["process"] != os.getpid()


def test_people_see_no_line_twice(home: Path, mosquitto: Path) -> None:
    ended = run(home, "train", "--total-timesteps", "2", "--save-dir", "s", "--mosquitto", str(mosquitto))
    assert ended.returncode == 0, ended.stderr
    assert "brokertuner_tui." not in ended.stderr
    assert "state tuning" in _log(home)
    assert "state tuning" not in ended.stderr
    ended = run(home, "--debug", "train", "--total-timesteps", "2", "--json", "--save-dir", "s", "--mosquitto", str(mosquitto))
    assert "DEBUG brokertuner_tui.tuning.story" in ended.stderr
    assert "trial 1 (default): ok" in ended.stderr
    lines_of(ended.stdout)


def test_no_secret_is_in_a_log(home: Path, mosquitto: Path) -> None:
    """A broker that wants a password, and one that is wrong: whatever is said of it."""
    (home / "password").write_text(PASSWORD)
    (home / "password").chmod(0o600)
    (home / "brokertuner.toml").write_text(
        f'{CONFIG}\n[store]\nurl = "postgresql://me@127.0.0.1:1/none"\nconnect_attempts = 1\n'
        f'password_file = "{home / "password"}"\n'
    )
    words = ["train", "--save-dir", "s", "--mosquitto", str(mosquitto)]
    ended = run(home, "--debug", *words)
    assert ended.returncode != 0
    assert "127.0.0.1" in ended.stderr
    assert PASSWORD not in ended.stderr + ended.stdout
    for path in home.rglob("*"):
        if path.is_file() and path != home / "password":
            assert PASSWORD.encode() not in path.read_bytes(), path


def test_a_service_logs_to_both(home: Path, mosquitto: Path) -> None:
    words = ["serve", "--listen", "127.0.0.1:0", "--tune", "--save-dir", "s", "--mosquitto", str(mosquitto)]
    errors = home / "errors.txt"
    with errors.open("w") as file:
        program = subprocess.Popen(
            command("--log-json", *words), cwd=home, env=environment(home), stdin=subprocess.DEVNULL, stderr=file
        )
    try:
        deadline = time.monotonic() + 60
        while "state tuning" not in errors.read_text() and time.monotonic() < deadline and program.poll() is None:
            time.sleep(0.05)
        program.send_signal(signal.SIGTERM)
        assert program.wait(60) == 0, errors.read_text()
    finally:
        program.kill()
    lines = lines_of(errors.read_text())
    assert "state tuning" in [line["message"] for line in lines]
    assert any(line["message"].startswith("serving ") for line in lines)
    assert "state tuning" in [json.loads(line)["message"] for line in _log(home).splitlines()]
