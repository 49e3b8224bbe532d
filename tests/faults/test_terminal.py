"""Rows 34 to 38: the terminal goes away, signals and keys end the app, the trainer fails under it."""

from __future__ import annotations

import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import psutil
import pytest

from tests.faults.catalogue import row
from tests.tui.launching import (
    ROOT,
    Launch,
    broker_of,
    check_the_store,
    check_the_terminal,
    family,
    gone,
    launcher,
    until_it_tunes,
)


@pytest.fixture
def launch(mosquitto: Path, tmp_path: Path) -> Launch:
    """Starts the app in a terminal, with folders of its own."""
    return launcher(mosquitto, tmp_path)


@row(34)
def test_closed(launch: Launch, tmp_path: Path) -> None:
    with launch(BROKERTUNER_TUNING_ON_STOP="current") as terminal:
        until_it_tunes(terminal)
        terminal.send(" ")  # else a trial may be making the broker reload just now
        terminal.wait_for("PAUSED")
        broker_of(terminal)
        children = family(terminal)
        (log,) = (tmp_path / "save").glob("runs/*/broker/mosquitto.log")
        before = log.stat().st_size
        closed_at = time.monotonic()
        terminal.hang_up()
        assert terminal.wait(30) is not None
        assert time.monotonic() - closed_at <= 5.0 + 3.0, "within 5 s, on a machine that does nothing else"
        assert gone(children)
    check_the_store(tmp_path / "save")
    assert "Reloading config" not in log.read_bytes()[before:].decode(), "the terminal's hang-up does not reach the broker"


@row(34)
def test_closed_without_a_signal(launch: Launch) -> None:
    """As after `nohup`, or with a shell in between that keeps the signal."""
    with launch() as terminal:
        until_it_tunes(terminal)
        children = family(terminal)
        psutil.Process(terminal.pid).suspend()
        terminal.hang_up()  # the kernel's SIGHUP waits while it is stopped ...
        time.sleep(0.1)
        psutil.Process(terminal.pid).resume()
        assert terminal.wait(60) is not None
        assert gone(children)


@row(35)
def test_sigterm(launch: Launch, tmp_path: Path) -> None:
    with launch() as terminal:
        before = termios.tcgetattr(terminal.master)
        until_it_tunes(terminal)
        children = family(terminal)
        assert len(children) >= 2, "broker and load"
        terminal.signal(signal.SIGTERM)
        assert terminal.wait(40) == 143
        assert gone(children)
        check_the_terminal(terminal, before)
        for mode in (b"1003", b"2004"):  # mouse reports, bracketed paste
            if b"\x1b[?" + mode + b"h" in terminal.output:
                assert terminal.output.rindex(b"\x1b[?" + mode + b"l") > terminal.output.rindex(b"\x1b[?" + mode + b"h")
        check_the_store(tmp_path / "save")
        assert "cancelled" in terminal.text()[-2000:]


@row(36)
def test_killed_outright(launch: Launch) -> None:
    with launch() as terminal:
        until_it_tunes(terminal)
        children = family(terminal)
        terminal.signal(signal.SIGKILL)
        assert terminal.wait(10) == -signal.SIGKILL
        assert gone(children)


@row(36)
def test_an_input_that_has_ended(mosquitto: Path, tmp_path: Path) -> None:
    """It does not even begin, and says what to use instead; nothing spins."""
    used = _children_cpu_s()
    done = subprocess.run(
        [sys.executable, "-m", "brokertuner_tui", "launch", "--mosquitto", str(mosquitto), "--save-dir", str(tmp_path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 2
    assert "brokertuner-tui train" in done.stderr
    assert done.stdout == ""
    assert _children_cpu_s() - used < 5.0


def _children_cpu_s() -> float:
    times = psutil.Process().cpu_times()
    return times.children_user + times.children_system


@row(37)
def test_quit_while_it_tunes(launch: Launch, tmp_path: Path) -> None:
    with launch() as terminal:
        before = termios.tcgetattr(terminal.master)
        until_it_tunes(terminal)
        children = family(terminal)
        terminal.send("q")
        terminal.wait_for("Stop tuning and quit?")
        asked_at = time.monotonic()
        terminal.send("y")
        assert terminal.wait(40) == 0
        assert time.monotonic() - asked_at <= 5.0 + 3.0, "within 5 s, on a machine that does nothing else"
        assert gone(children)
        check_the_terminal(terminal, before)
        check_the_store(tmp_path / "save")


FAILING = """
import sys
from brokertuner_tui.tuning.learner import Learner

choose, calls = Learner.choose, 0

def fails_in_the_end(self, *words, **named):
    global calls
    calls += 1
    if calls > 3:
        raise ZeroDivisionError("a bug in the trainer")
    return choose(self, *words, **named)

Learner.choose = fails_in_the_end
sys.argv[0] = "brokertuner-tui"
from brokertuner_tui.cli.main import main
main()
"""


@row(38)
def test_the_trainer_raises(launch: Launch) -> None:
    with launch(python=("-c", FAILING), columns=140, rows=40) as terminal:
        until_it_tunes(terminal)
        children = family(terminal)
        terminal.wait_for("FAILED", 60)
        assert "a bug in the trainer" in terminal.text()
        assert gone([child for child in children if "reaper" not in " ".join(_words(child))]), "nothing runs under it any more"
        seen = len(terminal.output)
        terminal.send("?")
        while b"Pause" not in terminal.output[seen:]:  # the help lists what every key does
            assert terminal.read(20), "the screen does not answer any more"
        terminal.send("\x1b")
        terminal.send("\x03")
        assert terminal.wait(30) in (1, 130)


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []
