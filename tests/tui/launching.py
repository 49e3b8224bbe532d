"""The app in a terminal on a real Mosquitto, and what has to be so when it has ended."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.tui.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
ALT_SCREEN, MAIN_SCREEN, CURSOR = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25h"

Launch = Callable[..., Terminal]


def launcher(mosquitto: Path, tmp_path: Path) -> Launch:
    """Starts the app in a terminal, with folders of its own."""

    def start(
        *arguments: str, columns: int = 100, rows: int = 30, python: tuple[str, ...] = ("-m", "brokertuner_tui"), **env: str
    ) -> Terminal:
        config = tmp_path / "brokertuner.toml"
        # The pace of a test: short trials of a light load, no confirmation at the end.
        config.write_text(
            "[tuning]\nstep_interval_sec = 0.3\nsettle_sec = 0.05\n[load]\nworkload = 'light'\n"
            "[workload.light]\npublishers = 1\nsubscribers = 2\nqos = 1\nrate = 100\nslo_ms = 50\n"
        )
        argv = [sys.executable, *python, "launch", "--config", str(config)]
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
