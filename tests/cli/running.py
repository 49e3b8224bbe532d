"""The program while it runs: its lines as they come, its children, signals to it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.cli.program import command, environment

SMALL_LOAD = """
[load]
workload = "small"
[workload.small]
publishers = 2
subscribers = 2
topics = 2
qos = 1
rate = 200
slo_ms = 100
"""
CONFIG = f"""
[tuning]
step_interval_sec = 0.2
settle_sec = 0.05
confirm_windows = 2
ablation_windows = 0
{SMALL_LOAD}"""
"""A small load, and trials that are quickly over."""

Wrap = Callable[[Sequence[str]], list[str]]
"""Makes the command that runs a command in some way."""


class Running:
    """A running program whose stdout is JSON lines; stderr goes into a file."""

    def __init__(self, home: Path, arguments: Sequence[str], wrap: Wrap = list) -> None:
        self._errors = home / "stderr.txt"
        with open(self._errors, "w") as errors:
            self.process = subprocess.Popen(
                wrap(command(*arguments)),
                cwd=home,
                env=environment(home),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.lines: list[dict[str, Any]] = []
        self._kin: set[psutil.Process] = set()

    def until(self, event: str) -> dict[str, Any]:
        """The next line of that kind; fails when the program ends before one comes."""
        assert self.process.stdout is not None
        for text in self.process.stdout:
            self.lines.append(json.loads(text))
            if self.lines[-1]["event"] == event:
                self._note_children()
                return self.lines[-1]
        raise AssertionError(f"ended without {event!r}: {self.lines} {self.errors}")

    def child(self, has: Callable[[str], bool]) -> psutil.Process:
        """The child whose command line fits; waits for it, since a trial may be restarting the broker just now."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            self._note_children()
            for child in self._kin:
                with contextlib.suppress(psutil.NoSuchProcess):
                    if _runs(child) and has(" ".join(child.cmdline())):
                        return child
            time.sleep(0.005)
        raise AssertionError(f"no such child: {self.lines[-1:]} {self.errors}")

    def signal(self, number: int) -> None:
        """Sends a signal to the program itself."""
        self._note_children()
        self.process.send_signal(number)

    def wait(self, timeout_s: float = 60.0) -> int:
        """Reads to the end; the exit code."""
        assert self.process.stdout is not None
        self.lines += [json.loads(text) for text in self.process.stdout]
        return self.process.wait(timeout_s)

    @property
    def errors(self) -> str:
        """What it has written to stderr."""
        return self._errors.read_text()

    def left(self, within_s: float = 8.0) -> list[str]:
        """Children that still run after their parent's end, given some time to go."""
        deadline = time.monotonic() + within_s
        while (left := [child for child in self._kin if _runs(child)]) and time.monotonic() < deadline:
            time.sleep(0.05)
        return [" ".join(child.cmdline()) for child in left]

    def _note_children(self) -> None:
        try:
            self._kin |= set(psutil.Process(self.process.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return

    def kill(self) -> None:
        """Whatever is left of it."""
        self._note_children()
        self.process.kill()
        self.process.wait(30)
        if self.process.stdout is not None:
            self.process.stdout.close()


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def running(home: Path, *arguments: str, wrap: Wrap = list) -> Iterator[Running]:
    """The program, ended at the latest with the block."""
    program = Running(home, arguments, wrap)
    try:
        yield program
    finally:
        program.kill()


def is_broker(command_line: str) -> bool:
    """Whether it is Mosquitto's."""
    return "mosquitto -c" in command_line


def is_generator(command_line: str) -> bool:
    """Whether it is the load's."""
    return "workload.generator" in command_line
