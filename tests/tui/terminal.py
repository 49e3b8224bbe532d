"""A terminal for a program under test: a pseudo-terminal of its own, in a session of its own, with a known size."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence

_ESCAPES = re.compile(rb"\x1b(\[[0-?]*[ -/]*[@-~]|[PX^_].*?\x1b\\|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])", re.S)


class Terminal:
    """Runs `argv` with the terminal as its controlling one. Used as a context manager: leaves no process behind."""

    def __init__(
        self, argv: Sequence[str], *, columns: int = 100, rows: int = 30, env: Mapping[str, str] | None = None, cwd: str = "."
    ) -> None:
        self.output = b""
        self.code: int | None = None
        self.started = time.perf_counter()
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(cwd)
                # The size is there before the program asks for it.
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
                os.execvpe(
                    argv[0], list(argv), {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", **(env or {})}
                )
            finally:
                os._exit(127)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.code is None and self.wait(0.0) is None:
            self.signal(signal.SIGTERM)
            if self.wait(20.0) is None:
                self.signal(signal.SIGKILL)
                self.wait(10.0)
        self.hang_up()

    def read(self, seconds: float) -> bytes:
        """What comes within `seconds`; added to `output`."""
        deadline = time.perf_counter() + seconds
        new = b""
        while (left := deadline - time.perf_counter()) > 0 and self.master >= 0:
            if not select.select([self.master], [], [], left)[0]:
                break
            try:
                chunk = os.read(self.master, 65536)
            except OSError:  # EIO: nobody has the other end any more
                break
            if not chunk:
                break
            new += chunk
            self.output += chunk
            break
        return new

    def wait_for(self, text: str, seconds: float = 30.0) -> float:
        """Waits until `text` was shown; gives the seconds since the start. Fails with what there is instead."""
        deadline = time.perf_counter() + seconds
        while text.encode() not in self.output:
            if time.perf_counter() > deadline or (not self.read(0.5) and self.wait(0.0) is not None):
                raise AssertionError(f"{text!r} was not shown; there is: {self.text()[-3000:]}")
        return time.perf_counter() - self.started

    def text(self) -> str:
        """All output without escape sequences."""
        return _ESCAPES.sub(b"", self.output).decode(errors="replace")

    def send(self, keys: str) -> None:
        """Types."""
        os.write(self.master, keys.encode())

    def signal(self, number: int) -> None:
        """Signals the program."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def hang_up(self) -> None:
        """Closes the terminal's other end."""
        if self.master >= 0:
            os.close(self.master)
            self.master = -1

    def wait(self, seconds: float) -> int | None:
        """Waits for the end, reading meanwhile; gives the exit code (negative: the signal), None if it still runs."""
        deadline = time.perf_counter() + seconds
        while self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
                self.read(0.05)
            elif time.perf_counter() >= deadline:
                return None
            elif self.master < 0 or not self.read(0.05):
                time.sleep(0.01)
        return self.code
