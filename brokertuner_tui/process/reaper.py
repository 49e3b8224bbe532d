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
_process: subprocess.Popen[bytes] | None = None
_pipe: int | None = None
_watched: dict[int, str] = {}


def watch(pid: int) -> None:
    """From now on, `pid`'s group is ended when this process is gone.

    Raises:
        OSError: the reaper cannot be started.
    """
    with _lock:
        _watched[pid] = ticks = _start_ticks(pid)
        _tell(f"+{pid} {ticks}\n")


def forget(pid: int) -> None:
    """`pid` has ended.

    Raises:
        OSError: the reaper is gone and cannot be started again.
    """
    with _lock:
        if _watched.pop(pid, None) is not None:
            _tell(f"-{pid}\n")


def _tell(line: str) -> None:
    global _pipe
    if _pipe is not None:
        try:
            os.write(_pipe, line.encode())  # shorter than PIPE_BUF: whole or not at all
        except BrokenPipeError:  # somebody killed it
            os.close(_pipe)
            _pipe = None
        else:
            return
    _start()
    assert _pipe is not None
    for pid, ticks in _watched.items():
        os.write(_pipe, f"+{pid} {ticks}\n".encode())


def _start() -> None:
    global _pipe, _process
    read, write = os.pipe()  # neither end is inherited by other programs
    try:
        _process = subprocess.Popen(
            # -I -S: no site-packages, so that it is up in milliseconds and small.
            [sys.executable, "-I", "-S", __file__],
            stdin=read,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            env={name: value for name, value in os.environ.items() if not name.endswith("PASSWORD")},
        )
    except BaseException:
        os.close(write)
        raise
    finally:
        os.close(read)
    _pipe = write


def _forked() -> None:
    """In a child made by fork without exec: with its copy of the pipe, the reaper would wait for it as well."""
    global _lock, _pipe, _process
    if _pipe is not None:
        os.close(_pipe)
    _lock, _pipe, _process = threading.Lock(), None, None
    _watched.clear()


if __name__ != "__main__":
    os.register_at_fork(after_in_child=_forked)


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
