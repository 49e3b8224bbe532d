"""Ends the children of a tuner that was killed.

SIGKILL leaves no chance to clean up, and Linux's parent-death signal is tied to the thread that forked and is cleared by
setuid. So a small process of its own holds the read end of a pipe: when the tuner is gone, however it went, the pipe closes,
and the reaper ends every child that was not ended yet.

A tuner can be killed between starting a child and telling the reaper, too. So each child carries its owner's identity in its
environment (`mark`), and the reaper, at the end, looks for those that it was never told of.
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
MARK = "BTT_OWNER"
_UNBORN_S = 0.5
"""A child that had not begun to run its program yet gets its environment within this time."""
_lock = threading.Lock()
_process: subprocess.Popen[bytes] | None = None
_pipe: int | None = None
_watched: dict[int, str] = {}


def mark() -> str:
    """The identity of this process, and where PIDs mean that; what its children have in their environment begins so."""
    return f"{os.getpid()}-{_start_ticks(os.getpid())}-{_pid_namespace()}"


def _pid_namespace() -> int:
    """Of this process: in a container the same number is another process."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def marked(wanted: str = "") -> dict[int, tuple[str, str]]:
    """Living processes that carry a mark (of this owner, or of any): by PID, their start in ticks and the mark."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            environ = Path(f"/proc/{name}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        told = [part[len(MARK) + 1 :].decode(errors="replace") for part in environ if part.startswith(f"{MARK}=".encode())]
        if told and told[0].startswith(wanted) and (ticks := _start_ticks(int(name))):
            found[int(name)] = (ticks, told[0])
    return found


def dead_owner(told: str) -> tuple[int, int] | None:
    """PID and start in ticks of the process that a mark names, if it runs no more; None: it does, or nobody here can tell."""
    parts = told.split("-")[:3]
    if len(parts) < 3 or not all(part.isdecimal() and part.isascii() for part in parts) or int(parts[2]) != _pid_namespace():
        return None
    return None if _start_ticks(int(parts[0])) == parts[1] else (int(parts[0]), int(parts[1]))


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
            [sys.executable, "-I", "-S", __file__, mark()],
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
    _end(children)
    time.sleep(_UNBORN_S)
    _end({pid: ticks for pid, (ticks, _) in marked(f"{sys.argv[1]}-").items()})


def _end(children: dict[int, str]) -> None:
    deadline = time.monotonic() + _TERM_S
    _signal(children, signal.SIGTERM)
    _signal(children, signal.SIGCONT)
    while children and time.monotonic() < deadline:
        time.sleep(0.02)
        _signal(children, 0)
    _signal(children, signal.SIGKILL)


if __name__ == "__main__":
    _main()
