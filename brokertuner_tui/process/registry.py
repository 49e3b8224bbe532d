"""Who lives because of us: a small file for each child, so that one whose tuner is gone can be found and ended.

The reaper ends the children of a tuner that was killed. Where that fails (both were killed, a child came back too late), the
child is an orphan: it lives, and its owner does not. A process is only ever judged, or ended, by PID and start time.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from brokertuner_tui import paths
from brokertuner_tui.process import reaper
from brokertuner_tui.process.identity import Identity, boot_id

TOO_MANY = 10
"""More orphans than this are an alert."""
HOW_TO_END = "brokertuner-tui runs recover"
_POLL_S = 0.02
_KILL_S = 5.0
_HALF_WRITTEN_S = 60.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A child of some tuner, as its file says."""

    pid: int
    created_at: float
    """Seconds since the epoch."""
    owner_pid: int
    owner_created_at: float
    boot_id: str
    host: str
    program: str
    """The name of what runs; no arguments, which could be somebody's secrets."""
    log: str

    @property
    def child(self) -> Identity:
        """The child itself."""
        return Identity(self.pid, self.created_at)

    @property
    def owner(self) -> Identity:
        """The process that started it."""
        return Identity(self.owner_pid, self.owner_created_at)

    @property
    def is_ours_to_judge(self) -> bool:
        """Whether it is of this boot of this machine: nothing can be said of others (folders may be shared)."""
        return self.host == socket.gethostname() and self.boot_id == boot_id()

    @property
    def is_orphan(self) -> bool:
        """Whether it lives, and its owner does not."""
        return self.is_ours_to_judge and self.child.alive() and not self.owner.alive()


def folder() -> Path:
    """Where the files are."""
    return paths.state_dir() / "children"


def mark() -> str:
    """What a child of this process carries in its environment (`reaper.MARK`): who started it, and whose registry has it."""
    return f"{reaper.mark()}-{_registry()}"


def _registry() -> str:
    return f"{zlib.crc32(os.fsencode(folder())):08x}"


def enter(pid: int, argv: Sequence[str], log: Path) -> Path | None:
    """Keeps a file for a child of this process; None where that is not possible (a child is worth more than its file)."""
    try:
        child, owner = Identity.of(pid), Identity.of(os.getpid())
        entry = Entry(
            child.pid,
            child.created_at,
            owner.pid,
            owner.created_at,
            boot_id(),
            socket.gethostname(),
            Path(argv[0]).name,
            str(log),
        )
        path = paths.private_folder(folder()) / f"{pid}-{int(1000 * child.created_at)}.json"
        part = path.with_suffix(".part")
        # Not made durable: with the machine its children end, too.
        part.write_text(json.dumps(asdict(entry)))
        part.replace(path)
    except Exception:  # whatever it is, the child runs and has its owner
        return None
    return path


def leave(path: Path | None) -> None:
    """The child has ended."""
    if path is not None:
        with contextlib.suppress(OSError):
            path.unlink()


def entries() -> list[Entry]:
    """Every child that has a file, in the order of their PIDs; files that say nothing are left out."""
    found = [entry for path in _files() if (entry := _read(path)) is not None]
    return sorted(found, key=lambda entry: entry.pid)


def orphans() -> list[Entry]:
    """The children that live without their owner; those, too, whose owner was killed before it could make a file."""
    found = [entry for entry in entries() if entry.is_orphan]
    known = {entry.pid for entry in found}
    for pid, (_, told) in reaper.marked().items():
        is_of_here = pid not in known and told.endswith(f"-{_registry()}")
        owner = reaper.dead_owner(told) if is_of_here else None
        if owner is not None and (entry := _of_marked(pid, *owner)) is not None:
            found.append(entry)
    return sorted(found, key=lambda entry: entry.pid)


def _of_marked(pid: int, owner_pid: int, owner_ticks: int) -> Entry | None:
    try:
        child = Identity.of(pid)
        if os.getsid(pid) != pid:  # a part of a child, which ends with it
            return None
        program = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return None
    began = psutil.boot_time() + owner_ticks / os.sysconf("SC_CLK_TCK")
    return Entry(pid, child.created_at, owner_pid, began, boot_id(), socket.gethostname(), program, "")


def tidy() -> None:
    """Removes the files of children that have ended together with their owners, and of earlier boots."""
    for path in _files():
        entry = _read(path)
        with contextlib.suppress(OSError):
            if _is_done_with(entry) if entry is not None else time.time() - path.stat().st_mtime > _HALF_WRITTEN_S:
                path.unlink()


def _is_done_with(entry: Entry) -> bool:
    if entry.host != socket.gethostname():
        return False
    return entry.boot_id != boot_id() or not (entry.child.alive() or entry.owner.alive())


def describe(entry: Entry) -> str:
    """For people."""
    return f"{entry.program} (process {entry.pid}, of tuner {entry.owner_pid})"


def end(child: Identity, *, term_s: float = 5.0) -> bool:
    """Ends that very process with its group: TERM, KILL after `term_s`. False: it did not live, may not be ended, or
    cannot be. One that leads no session of its own is ended alone.
    """
    if not _signal(child, signal.SIGTERM):
        return False
    _signal(child, signal.SIGCONT)  # a stopped process would not see TERM
    if _gone_within(child, term_s):
        return True
    _signal(child, signal.SIGKILL)
    return _gone_within(child, _KILL_S)


def _gone_within(child: Identity, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while child.alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _signal(child: Identity, number: int) -> bool:
    """Signals that very process, with its group if it leads a session of its own."""
    if not child.alive():
        return False
    # Between the look and the signal lies a millisecond at most, and PIDs are given out in turn.
    try:
        if os.getsid(child.pid) == child.pid:
            os.killpg(child.pid, number)
        else:
            os.kill(child.pid, number)
    except OSError:
        return False
    return True


def _files() -> list[Path]:
    try:
        return list(folder().iterdir())
    except OSError:
        return []


def _read(path: Path) -> Entry | None:
    try:
        entry = Entry(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return entry if _is_sound(entry) else None


def _is_sound(entry: Entry) -> bool:
    """Whether the fields are what they should be: what is judged by them may be ended."""
    pids, times = (entry.pid, entry.owner_pid), (entry.created_at, entry.owner_created_at)
    texts = (entry.boot_id, entry.host, entry.program, entry.log)
    return (
        all(type(pid) is int and 0 < pid < 2**31 for pid in pids)
        and all(type(at) in (int, float) and abs(at) < 1e12 for at in times)
        and all(type(text) is str for text in texts)
    )
