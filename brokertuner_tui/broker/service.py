"""How a broker that was there before us is reached: what every way of doing it offers, and running its commands."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from brokertuner_tui.broker.operator_conf import OperatorConf
from brokertuner_tui.errors import TunerError

_LONGEST_OUTPUT = 1024 * 1024
_KILL_S = 2.0


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that keeps the tuner from working with this broker, and the command (or the line) that mends it."""

    what: str
    mend: str
    passes: bool = False
    """Whether it may pass by itself: it is about to start, for example."""

    def __str__(self) -> str:
        return f"{self.what}; mend it with: {self.mend}"


class ServiceFailed(TunerError):
    """A command about the service failed; the message is one line."""


@dataclass(frozen=True, slots=True)
class Look:
    """The service at one moment."""

    active: bool
    pid: int | None
    """None: not running, or not known."""
    ended: str = ""
    """How its process ended (`by signal 9`, `with exit code 3`), where that is known."""
    stopped_on_purpose: bool = False
    """Somebody stopped it in good order: it is not for us to start it."""
    coming_back: bool = False
    """It is about to be started without our doing."""


class Log(Protocol):
    """The broker's log."""

    def end(self) -> int:
        """A mark: now."""

    def since(self, offset: int) -> str:
        """What was written since a mark."""


class Service(Protocol):
    """One broker's keeper. Used by one thread."""

    @property
    def name(self) -> str:
        """For the operator: `mosquitto.service`."""

    def main_config(self) -> Path:
        """The broker's main config file, as this process sees it.

        Raises:
            TunerError: it cannot be told.
        """

    def path_here(self, path: PurePosixPath) -> Path:
        """Where this process finds a path that the config names."""

    def user(self) -> str | None:
        """The user that the service is started as, if it says so."""

    def program(self) -> Path | None:
        """The broker's program, if it can be run here."""

    def problems(self) -> list[Problem]:
        """What stands in the way, found without touching anything."""

    def look(self) -> Look:
        """How it is now.

        Raises:
            ServiceFailed: it cannot be told.
        """

    def reload(self, within_s: float) -> None:
        """Tells it to read its config again.

        Raises:
            ServiceFailed: the command failed.
        """

    def restart(self, within_s: float, tell: Callable[[str], None]) -> None:
        """Restarts it; `tell` is called with why that takes long.

        Raises:
            ServiceFailed: the command failed.
        """

    def can_reload(self) -> bool:
        """Whether it can be told to read its config again."""

    def log(self, conf: OperatorConf) -> Log | None:
        """Where the broker's words can be read; None where they cannot."""

    def last_words(self, mark: int) -> str:
        """What the service's keeper has of the broker's words since a mark (microseconds since the epoch)."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that has ended. `code` is negative for a signal."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """What it said, on one line: its errors, else its output."""
        words = [line.strip() for line in (self.err.strip() or self.out.strip()).splitlines() if line.strip()]
        return " ".join(words)[:500]


def run_command(argv: Sequence[str], within_s: float) -> Ran:
    """Runs a command to its end; no shell, no input, messages in English.

    Its output goes to files: a daemon that it starts and that keeps them open keeps nobody waiting.

    Raises:
        ServiceFailed: it cannot be run, or does not end in time (then it is killed, with what it started).
    """
    shown = " ".join(argv)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, "LC_ALL": "C", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise ServiceFailed(f"{shown}: cannot be run: {getattr(error, 'strerror', None) or error}") from None
        try:
            code = _wait(process, within_s)
        except BaseException:
            _kill(process)
            raise
        if code is None:
            _kill(process)
            raise ServiceFailed(f"{shown}: did not end within {within_s:g} s")
        return Ran(code, _text(out.fileno()), _text(err.fileno()))


def _kill(process: subprocess.Popen[bytes]) -> None:
    # sudo's process is root's: what we may not kill is left, and not waited for.
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    _wait(process, _KILL_S)


def _wait(process: subprocess.Popen[bytes], within_s: float) -> int | None:
    began = time.monotonic()
    while (code := process.poll()) is None:
        waited = time.monotonic() - began
        if waited >= within_s:
            return None
        time.sleep(0.0005 if waited < 0.1 else 0.005)  # Popen.wait() sleeps in steps of up to 50 ms
    return code


def _text(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, _LONGEST_OUTPUT, max(0, size - _LONGEST_OUTPUT)).decode(errors="replace")
