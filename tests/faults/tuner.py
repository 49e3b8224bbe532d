"""A headless tuner in a process of its own, on a real Mosquitto, that a test can break in any way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.cli.program import command, environment
from tests.cli.running import SMALL_LOAD

DEADLINE_S = 90.0
CONFIG = f"""
[tuning]
step_interval_sec = 0.2
settle_sec = 0.02
confirm_windows = 2
ablation_windows = 0
{SMALL_LOAD}"""

Line = dict[str, Any]


class Tuner:
    """`train --json` in the folder `home`; its lines are read by a thread, so that it never waits for the test.

    Args:
        words: more arguments of `train`.
        before: a command that runs it (`strace ...`, `unshare -m ...`); it has to keep the PID.
        config: the whole `brokertuner.toml`.
    """

    def __init__(
        self,
        home: Path,
        mosquitto: Path | None,
        *words: str,
        before: Sequence[str] = (),
        config: str = CONFIG,
        more: Mapping[str, str] | None = None,
        verb: Sequence[str] = ("train", "--total-timesteps", "1000", "--json", "--save-dir", "s"),
    ) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        (home / "brokertuner.toml").write_text(config)
        self._errors = home / f"stderr-{time.monotonic_ns()}.txt"
        self.lines: list[Line] = []
        self._news = threading.Condition()
        self._seen = 0
        broker = () if mosquitto is None else ("--mosquitto", str(mosquitto))
        self.began = time.monotonic()
        with open(self._errors, "w") as errors:
            self.process = subprocess.Popen(
                [*before, *command(*verb, *broker, *words)],
                cwd=home,
                env=environment(home, more),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._kin: dict[int, psutil.Process] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def save_dir(self) -> Path:
        """Where its results are."""
        return self.home / "s"

    @property
    def errors(self) -> str:
        """What it has written to stderr."""
        return self._errors.read_text()

    def wait_for(self, event: str, fits: Callable[[Line], object] = lambda _: True, within_s: float = DEADLINE_S) -> Line:
        """The next line of that kind that fits, after those that were waited for before."""
        deadline = time.monotonic() + within_s
        while True:
            with self._news:
                while self._seen < len(self.lines):
                    line = self.lines[self._seen]
                    self._seen += 1
                    if line["event"] == event and fits(line):
                        self.kin()
                        return line
                self._news.wait(0.1)
                new = self._seen < len(self.lines)
            if not new and not self._reader.is_alive() and self._seen == len(self.lines):
                raise AssertionError(f"ended without {event!r}: {self.lines[-4:]} {self.errors}")
            assert time.monotonic() < deadline, f"no {event!r} in {within_s} s: {self.lines[-4:]} {self.errors}"

    def of(self, event: str) -> list[Line]:
        """All lines of that kind so far."""
        return [line for line in self.lines if line["event"] == event]

    def signal(self, number: int) -> None:
        """To the tuner itself."""
        self.kin()
        self.process.send_signal(number)

    def kill(self) -> None:
        """With -9; waits for it."""
        self.signal(signal.SIGKILL)
        self.process.wait(30)

    def wait(self, within_s: float = DEADLINE_S) -> int:
        """Its exit code, when all that it said was read."""
        code = self.process.wait(within_s)
        self._reader.join(30)
        return code

    def kin(self) -> list[psutil.Process]:
        """All processes that it has started and that were seen."""
        try:
            for child in psutil.Process(self.process.pid).children(recursive=True):
                self._kin.setdefault(child.pid, child)
        except psutil.NoSuchProcess:
            pass
        return list(self._kin.values())

    def child(self, has: Callable[[str], bool], within_s: float = DEADLINE_S) -> psutil.Process:
        """The living child whose command line fits; waits for it."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            for child in self.kin():
                if runs(child) and has(command_line(child)):
                    return child
            time.sleep(0.005)
        raise AssertionError(f"no such child: {self.lines[-2:]} {self.errors}")

    def left(self, within_s: float = 10.0) -> list[str]:
        """Its children that still run some time later."""
        deadline = time.monotonic() + within_s
        while (left := [child for child in self._kin.values() if runs(child)]) and time.monotonic() < deadline:
            time.sleep(0.01)
        return [command_line(child) for child in left]

    def close(self) -> None:
        """Ends whatever is left of it."""
        self.kin()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        self.left(5.0)
        for child in self._kin.values():
            if runs(child):
                child.kill()
        self._reader.join(10)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for text in self.process.stdout:
            with self._news:
                self.lines.append(json.loads(text))
                self._news.notify_all()


def runs(process: psutil.Process) -> bool:
    """Whether it does; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def command_line(process: psutil.Process) -> str:
    """Its own, empty when it is gone."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def is_broker(line: str) -> bool:
    """Whether a command line is Mosquitto's. Not by its name: a private copy may be run by its own loader."""
    return line.endswith("mosquitto.conf") and " -c " in line


def is_generator(line: str) -> bool:
    """Whether a command line is the load's."""
    return "workload.generator" in line


def needs(program: str, package: str) -> str:
    """The path of a program that .ci/run installs; without it, and without a way to get it, the test is skipped."""
    found = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"no {program} here: apt-get install {package} (.ci/run does)")
    return found


def in_a_mount_namespace(script: str) -> list[str]:
    """Runs what follows it after `script`, whose mounts nobody else sees; as root only."""
    unshare = needs("unshare", "util-linux")
    if os.geteuid() != 0:
        pytest.skip("mounts need root (.ci/run is run as root)")
    return [unshare, "-m", "sh", "-c", f'set -e; {script}; exec "$@"', "sh"]
