"""The real thing in a terminal: `launch` on a real Mosquitto, and all the ways it can end."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.tui.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
ALT_SCREEN, MAIN_SCREEN, CURSOR = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25h"

Launch = Callable[..., Terminal]


@pytest.fixture
def launch(mosquitto: Path, tmp_path: Path) -> Launch:
    """Starts the app in a terminal, with folders of its own."""

    def start(*arguments: str, columns: int = 100, rows: int = 30, **env: str) -> Terminal:
        config = tmp_path / "brokertuner.toml"
        # The pace of a test: short trials of a light load, no confirmation at the end.
        config.write_text(
            "[tuning]\nstep_interval_sec = 0.3\nsettle_sec = 0.05\n[load]\nworkload = 'light'\n"
            "[workload.light]\npublishers = 1\nsubscribers = 2\nqos = 1\nrate = 100\nslo_ms = 50\n"
        )
        argv = [sys.executable, "-m", "brokertuner_tui", "launch", "--config", str(config)]
        argv += ["--mosquitto", str(mosquitto), "--save-dir", str(tmp_path / "save"), *arguments]
        homes = {name: str(tmp_path / name.lower()) for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")}
        return Terminal(argv, columns=columns, rows=rows, env={"NO_COLOR": "", **homes, **env}, cwd=str(ROOT))

    return start


def family(terminal: Terminal) -> list[psutil.Process]:
    """The app's children: broker, load and reaper."""
    return psutil.Process(terminal.pid).children(recursive=True)


def broker_of(terminal: Terminal) -> int:
    """The broker's PID."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for child in family(terminal):
            with contextlib.suppress(psutil.NoSuchProcess):
                # Not by its name: a private copy may be run by the loader of its own libraries.
                if any(word.endswith("mosquitto.conf") for word in child.cmdline()):
                    return child.pid
        terminal.read(0.005)  # nobody else reads: with the terminal's buffer full, the app would wait for us
    raise AssertionError(f"no broker among {family(terminal)}; the screen ends with:\n{terminal.text()[-3000:]}")


def gone(processes: list[psutil.Process]) -> bool:
    """Whether all of them end soon."""
    _, alive = psutil.wait_procs(processes, timeout=15)
    return not alive


def check_the_terminal(terminal: Terminal, before: list[object]) -> None:
    """The main screen, the cursor and the line discipline are back."""
    assert terminal.output.rindex(MAIN_SCREEN) > terminal.output.rindex(ALT_SCREEN)
    assert terminal.output.rindex(CURSOR) > terminal.output.rindex(b"\x1b[?25l")
    assert b"\x1b[?1000l" in terminal.output[terminal.output.rindex(ALT_SCREEN) :], "mouse reports are off"
    assert termios.tcgetattr(terminal.master)[3] == before[3]


def check_the_store(folder: Path) -> None:
    """Whole, and the run is not left open."""
    with sqlite3.connect(folder / "store.db") as store:
        assert store.execute("pragma integrity_check").fetchone() == ("ok",)
        states = [row[0] for row in store.execute("select state from runs")]
    assert states == ["cancelled"]


def until_it_tunes(terminal: Terminal) -> None:
    """Waits until a trial has been measured."""
    terminal.wait_for("trial 2", 90)


@pytest.mark.parametrize(
    ("end", "code"),
    [("q", 0), ("\x03", 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143), (signal.SIGINT, 130)],
    ids=["q", "ctrl-c", "SIGTERM", "SIGHUP", "SIGINT"],
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
            if end == "q":
                terminal.wait_for("Stop tuning and quit?")
                terminal.send("y")
        assert terminal.wait(40) == code
        assert gone(children)
        check_the_terminal(terminal, before)
        check_the_store(tmp_path / "save")
        assert "cancelled" in terminal.text()[-2000:]


def test_a_closed_terminal_ends_everything(launch: Launch, tmp_path: Path) -> None:
    with launch() as terminal:
        until_it_tunes(terminal)
        children = family(terminal)
        terminal.hang_up()
        assert terminal.wait(60) is not None
        assert gone(children)
        check_the_store(tmp_path / "save")


def test_a_closed_terminal_without_a_signal_is_noticed(launch: Launch, tmp_path: Path) -> None:
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


def test_killed_outright_the_children_end_all_the_same(launch: Launch) -> None:
    with launch() as terminal:
        until_it_tunes(terminal)
        children = family(terminal)
        terminal.signal(signal.SIGKILL)
        assert terminal.wait(10) == -signal.SIGKILL
        assert gone(children)


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


def test_without_a_terminal_it_points_to_train(mosquitto: Path) -> None:
    import subprocess

    done = subprocess.run(
        [sys.executable, "-m", "brokertuner_tui", "launch", "--mosquitto", str(mosquitto)],
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
