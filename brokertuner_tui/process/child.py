"""A child process in a session of its own: stdin closed, output in a file, ended as a group."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from brokertuner_tui.process import reaper, registry
from brokertuner_tui.process.identity import Identity
from brokertuner_tui.process.python import without_secrets

ENDED_BY_OTHERS = (-signal.SIGKILL, -signal.SIGTERM)
"""Exit codes of a process that somebody ended: that says nothing about the process."""


class Child:
    """A running child. Whoever made it ends it; if this process is killed, the reaper does. Any thread may ask and signal.

    Args:
        argv: program and arguments; no shell.
        env: its environment; None: ours. Passwords are left out.
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
                env={**without_secrets(os.environ if env is None else env), reaper.MARK: registry.mark()},
                cwd=cwd,
                pass_fds=pass_fds,
                # Its own session: the terminal's hang-up must not reach it, SIGHUP would make Mosquitto reload.
                start_new_session=True,
            )
        self._lock = threading.Lock()
        self._entry: Path | None = None
        try:
            reaper.watch(self._popen.pid)
            self.identity = Identity.of(self._popen.pid)
            self._entry = registry.enter(self._popen.pid, [str(part) for part in argv], log_path)
        except BaseException:
            self.stop(0.0)
            raise

    @property
    def pid(self) -> int:
        """The process's PID, also its group's and its session's."""
        return self._popen.pid

    def exit_code(self) -> int | None:
        """None while it runs; what it left behind in its group is killed with it. Negative: the signal that ended it."""
        with self._lock:
            if self._popen.returncode is None and _may_be_reaped(self._popen.pid):
                if _CAN_LOOK_FIRST:
                    # Until it is reaped nobody else can be given its PID: the group is still its own.
                    self._kill_group(signal.SIGKILL)
                if self._popen.poll() is not None:
                    with contextlib.suppress(OSError):
                        reaper.forget(self._popen.pid)
                    registry.leave(self._entry)
            return self._popen.returncode

    def ended(self) -> str | None:
        """How it ended, in words (`by signal 9`, `with exit code 3`); None while it runs."""
        code = self.exit_code()
        if code is None:
            return None
        return f"by signal {-code}" if code < 0 else f"with exit code {code}"

    def signal(self, number: int) -> None:
        """Sends a signal to the child alone, if it still runs."""
        with self._lock:
            if self._popen.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._popen.pid, number)

    def wait(self, timeout_s: float) -> int | None:
        """Waits for the end; None when it still runs after `timeout_s`."""
        # Mosquitto ends within a millisecond of TERM; Popen.wait() would sleep in steps of up to 50 ms.
        began = time.monotonic()
        while (code := self.exit_code()) is None:
            waited = time.monotonic() - began
            if waited >= timeout_s:
                return None
            time.sleep(0.0003 if waited < 0.1 else 0.005)
        return code

    def stop(self, term_s: float = 10.0) -> int:
        """TERM, up to `term_s` seconds, then KILL, for the whole group. Gives the exit code; may be called again.

        A process that the kernel cannot end (a dead disk) is given up after 10 s; the reaper still has it.
        """
        code = self.exit_code()
        if code is None:
            self._signal_group(signal.SIGTERM)
            self._signal_group(signal.SIGCONT)  # a stopped process would not see TERM
            code = self.wait(term_s)
        if code is None:
            self._signal_group(signal.SIGKILL)
            code = self.wait(10.0)
        return -signal.SIGKILL if code is None else code

    def _signal_group(self, number: int) -> None:
        with self._lock:
            if self._popen.returncode is None:
                self._kill_group(number)

    def _kill_group(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, number)


_CAN_LOOK_FIRST = hasattr(os, "waitid")  # macOS only since Python 3.13


def _may_be_reaped(pid: int) -> bool:
    """Whether our child `pid` has ended (or that cannot be known without reaping it)."""
    if not _CAN_LOOK_FIRST:
        return True
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
