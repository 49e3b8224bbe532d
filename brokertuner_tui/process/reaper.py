"""Ends the children of a tuner that was killed.

SIGKILL leaves no chance to clean up, and Linux's parent-death signal is tied to the thread that forked and is cleared by
setuid. So a small process of its own holds the read end of a pipe: when the tuner is gone, however it went, the pipe closes,
and the reaper ends every child that was not ended yet.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

_TERM_S = 5.0
_lock = threading.Lock()
_pipe: int | None = None
_owner: int | None = None


def watch(pid: int) -> None:
    """From now on, `pid`'s group is ended when this process is gone."""
    _tell(f"+{pid} {_start_ticks(pid)}\n")


def forget(pid: int) -> None:
    """`pid` was ended by its owner."""
    _tell(f"-{pid}\n")


def _tell(line: str) -> None:
    global _pipe, _owner
    with _lock:
        if _pipe is None or _owner != os.getpid():
            read, _pipe = os.pipe()  # neither end is inherited by other children
            _owner = os.getpid()
            subprocess.Popen(
                # -I -S: no site-packages, so that it is up in milliseconds and small.
                [sys.executable, "-I", "-S", __file__],
                stdin=read,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
            os.close(read)
        os.write(_pipe, line.encode())


def _start_ticks(pid: int) -> str:
    """When `pid` was started, in clock ticks since boot: with the PID, an identity (empty when it is gone)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _signal(children: dict[int, str], number: int) -> None:
    for pid, ticks in list(children.items()):
        if not ticks or _start_ticks(pid) != ticks:
            del children[pid]
            continue
        try:
            os.killpg(pid, number)
        except OSError:
            del children[pid]


def _main() -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)  # it ends with the tuner, not before
    children: dict[int, str] = {}
    for line in sys.stdin:
        pid, _, ticks = line[1:].strip().partition(" ")
        if line.startswith("+"):
            children[int(pid)] = ticks
        else:
            children.pop(int(pid), None)
    deadline = time.monotonic() + _TERM_S
    _signal(children, signal.SIGTERM)
    _signal(children, signal.SIGCONT)
    while children and time.monotonic() < deadline:
        time.sleep(0.02)
        _signal(children, 0)
    _signal(children, signal.SIGKILL)


if __name__ == "__main__":
    _main()
