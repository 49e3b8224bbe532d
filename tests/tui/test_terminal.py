"""The real thing in a terminal: `launch` on a real Mosquitto, and the ways it can end (more of them: tests/faults)."""

from __future__ import annotations

import os
import signal
import sys
import termios
from pathlib import Path

import pytest

from tests.tui.launching import (
    ALT_SCREEN,
    MAIN_SCREEN,
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
from tests.tui.terminal import Terminal


@pytest.fixture
def launch(mosquitto: Path, tmp_path: Path) -> Launch:
    """Starts the app in a terminal, with folders of its own."""
    return launcher(mosquitto, tmp_path)


@pytest.mark.parametrize(
    ("end", "code"),
    [("\x03", 130), (signal.SIGHUP, 143), (signal.SIGINT, 130)],
    ids=["ctrl-c", "SIGHUP", "SIGINT"],
)
def test_every_end_restores_the_terminal_and_leaves_nothing_running(
    launch: Launch, tmp_path: Path, end: str | signal.Signals, code: int
) -> None:
    with launch() as terminal:
        before = termios.tcgetattr(terminal.master)
        until_it_tunes(terminal)
        children = family(terminal)
        assert len(children) >= 2, "broker and load"
        if isinstance(end, signal.Signals):
            terminal.signal(end)
        else:
            terminal.send(end)
        assert terminal.wait(40) == code
        assert gone(children)
        check_the_terminal(terminal, before)
        check_the_store(tmp_path / "save")
        assert "cancelled" in terminal.text()[-2000:]


def test_leaving_while_it_still_starts(launch: Launch) -> None:
    with launch() as terminal:
        terminal.wait_for("STARTING", 60)
        terminal.send("q")
        assert terminal.wait(60) == 0
        assert terminal.output.rindex(MAIN_SCREEN) > terminal.output.rindex(ALT_SCREEN)


def test_a_broker_that_is_killed_comes_back(launch: Launch) -> None:
    with launch(columns=150, rows=40) as terminal:
        until_it_tunes(terminal)
        terminal.send(" ")  # else a trial may be about to end the very same process
        terminal.wait_for("PAUSED")
        os.kill(broker_of(terminal), signal.SIGKILL)
        terminal.wait_for("it is back", 60)
        terminal.send("\x03")
        assert terminal.wait(60) == 130


def test_no_mosquitto_is_one_line_and_exit_2(launch: Launch, tmp_path: Path) -> None:
    with launch("--mosquitto", str(tmp_path / "nothing")) as terminal:
        assert terminal.wait(60) == 2
        last = terminal.text().strip().splitlines()[-1]
        assert "nothing" in last
        assert "Traceback" not in terminal.text()


def test_a_theme_that_does_not_exist_is_told_on_the_screen(launch: Launch) -> None:
    with launch(BROKERTUNER_TUI_THEME="none-such") as terminal:
        terminal.wait_for("none-such", 60)
        terminal.send("\x03")
        assert terminal.wait(60) == 130


CRASH = """
import sys, tempfile
from pathlib import Path
from brokertuner_tui import paths
from brokertuner_tui.tui.app import TunerApp
from brokertuner_tui.tui.lifecycle import run
from brokertuner_tui.tui.options import Options
from tests.tui.fake_session import FakeSession

class Crashing(TunerApp):
    def ask_to_leave(self):
        secret = "do not print me"
        raise ZeroDivisionError("a bug")

session = FakeSession(speed=10)
code = run(Crashing(lambda: session, Options(theme_folders=(paths.themes_dir(),), log_file=Path(sys.argv[1]))))
print("session ended:", session.join(5), "asked to stop:", bool(session.sent))
sys.exit(code)
"""


def test_a_crash_restores_the_terminal_says_one_line_and_stops_the_session(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "tui.log"
    with Terminal([sys.executable, "-c", CRASH, str(log)], cwd=str(ROOT)) as terminal:
        before = termios.tcgetattr(terminal.master)
        terminal.wait_for("trial 2", 30)
        terminal.send("q")
        assert terminal.wait(30) == 1
        check_the_terminal(terminal, before)
    text = terminal.text()
    assert "the screen crashed: ZeroDivisionError: a bug" in text
    assert str(log) in text.replace("\r\n", "")
    assert "crash report: " in text.replace("\r\n", "")
    assert "session ended: True asked to stop: True" in text
    assert "Traceback" not in text
    assert "do not print me" not in text
    assert "Traceback" in log.read_text()


STUCK = """
import sys
from brokertuner_tui import paths
from brokertuner_tui.tui.app import TunerApp
from brokertuner_tui.tui.lifecycle import run
from brokertuner_tui.tui.options import Options
from tests.tui.fake_session import StillSession, history

session = StillSession(history(3)[1], ends=False)
sys.exit(run(TunerApp(lambda: session, Options(theme_folders=(paths.themes_dir(),)))))
"""


def test_a_session_that_does_not_stop_cannot_keep_the_operator() -> None:
    with Terminal([sys.executable, "-c", STUCK], cwd=str(ROOT)) as terminal:
        before = termios.tcgetattr(terminal.master)
        terminal.wait_for("trial 3", 30)
        terminal.send("\x03")
        terminal.wait_for("LEAVING", 10)
        assert terminal.wait(1.0) is None, "it waits for the session"
        terminal.send("\x03")
        assert terminal.wait(10) == 130
        check_the_terminal(terminal, before)
    assert "did not stop in time" in terminal.text()
