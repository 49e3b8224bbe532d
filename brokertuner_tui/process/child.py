"""A child process in a session of its own: stdin closed, output in a file, ended as a group."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from brokertuner_tui.process import reaper
from brokertuner_tui.process.identity import Identity


class Child:
    """A running child. Whoever made it ends it; if this process is killed, the reaper does.

    Args:
        argv: program and arguments; no shell.
        log_path: where its standard output and error are appended.
        pass_fds: descriptors that it inherits.

    Raises:
        OSError: the program cannot be run, or the log cannot be opened.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        log_path: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        with open(log_path, "ab") as log:
            self._popen = subprocess.Popen(
                [str(part) for part in argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(env) if env is not None else None,
                cwd=cwd,
                pass_fds=pass_fds,
                # Its own session: the terminal's hang-up must not reach it, SIGHUP would make Mosquitto reload.
                start_new_session=True,
            )
        reaper.watch(self._popen.pid)
        self.identity = Identity.of(self._popen.pid)

    @property
    def pid(self) -> int:
        """The process's PID, also its group's and its session's."""
        return self._popen.pid

    def exit_code(self) -> int | None:
        """None while it runs; reaps it otherwise. Negative: the signal that ended it."""
        return self._popen.poll()

    def signal(self, number: int) -> None:
        """Sends a signal to the child alone, if it still runs."""
        if self._popen.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self._popen.send_signal(number)

    def wait(self, timeout_s: float) -> int | None:
        """Waits for the end; None when it still runs after `timeout_s`."""
        # Mosquitto ends within a millisecond of TERM; Popen.wait() would sleep in steps of up to 50 ms.
        deadline = time.monotonic() + timeout_s
        while (code := self._popen.poll()) is None:
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.0003)
        return code

    def stop(self, term_s: float = 10.0) -> int:
        """TERM, up to `term_s` seconds, then KILL, for the whole group. Gives the exit code; may be called again."""
        if self._popen.poll() is None:
            self._signal_group(signal.SIGTERM)
            self._signal_group(signal.SIGCONT)  # a stopped process would not see TERM
        code = self.wait(term_s)
        if code is None:
            self._signal_group(signal.SIGKILL)
            code = self._popen.wait(timeout=10)
        else:
            self._signal_group(signal.SIGKILL)  # what it may have left behind in its group
        reaper.forget(self.pid)
        return code

    def _signal_group(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
