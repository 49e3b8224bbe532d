"""One tuner for one broker, one writer for one store: a lock that says who has it, and that is free when that process is gone.

The lock is the system's (`flock`): it goes with its holder, however that ends, and is not inherited by children. What it says
is only for people: who finds it taken is told by whom, since when, and for which run.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
import weakref
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from brokertuner_tui.errors import TunerError

_AGAIN_S = 0.05


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a lock; empty and 0: not known."""

    pid: int = 0
    since: float = 0.0
    """Seconds since the epoch."""
    run: str = ""
    save_dir: str = ""
    host: str = ""

    def told(self) -> str:
        """`process 4242 since 2026-11-21 07:12:03, run 20261121-071203-a3f`; for a message."""
        if not self.pid:
            return "a process that cannot be seen from here"
        day = "%H:%M:%S" if time.time() - self.since < 43_200 else "%Y-%m-%d %H:%M:%S"
        parts = [f"process {self.pid}"]
        if self.host not in ("", socket.gethostname()):
            parts[0] += f" on {self.host}"
        if self.since:
            parts[0] += f" since {time.strftime(day, time.localtime(self.since))}"
        if self.run:
            parts.append(f"run {self.run}")
        return ", ".join(parts)


class Taken(TunerError):
    """Another process has the lock."""

    def __init__(self, holder: Holder) -> None:
        self.holder = holder
        super().__init__(f"in use by {holder.told()}")


class TunerLock:
    """Held from construction to `release`.

    Args:
        path: what is locked: a file, which is made (0600), or a folder that is there.
        note: where it is written who has it; None: in the file itself.

    Raises:
        Taken: somebody else (or another lock of this process) has it.
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path, *, note: Path | None = None) -> None:
        self._path, self._note = path, note or path
        flags = os.O_RDONLY | os.O_DIRECTORY if note is not None else os.O_RDWR | os.O_CREAT
        self._descriptor: int | None = os.open(path, flags | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = _holder(self._note, self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
            raise Taken(holder) from None
        self._since = time.time()
        self.say()
        _held.add(self)

    def say(self) -> None:
        """Writes down who has it, as far as that is possible: the lock holds without."""
        if self._descriptor is None:
            return
        told = json.dumps(asdict(replace(_at_work, pid=os.getpid(), since=self._since, host=socket.gethostname()))).encode()
        with contextlib.suppress(OSError):
            if self._note == self._path:
                # Longer first, then shorter: a reader in between sees JSON with something behind it at worst.
                os.pwrite(self._descriptor, told, 0)
                os.ftruncate(self._descriptor, len(told))
            else:
                self._note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                part = self._note.with_name(f"{self._note.name}.{os.getpid()}")
                part.write_bytes(told)
                part.replace(self._note)

    def release(self) -> None:
        """Frees it; may be called again. The file stays: removing it would race with the next holder."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


_at_work = Holder()
_held: weakref.WeakSet[TunerLock] = weakref.WeakSet()


def at_work(*, run: str, save_dir: Path) -> None:
    """Says what this process is at; its locks say so from now on, those that it has by now, too."""
    global _at_work
    _at_work = Holder(run=run, save_dir=str(save_dir))
    for lock in list(_held):
        lock.say()


def this_process() -> Holder:
    """What this process would say of itself."""
    return replace(_at_work, pid=os.getpid(), since=_started_at, host=socket.gethostname())


_started_at = time.time()


def holder_of(path: Path, *, note: Path | None = None) -> Holder | None:
    """Who has the lock at this moment; None: nobody, or that cannot be seen. Touches nothing, and keeps nobody from taking it.

    Args:
        path, note: see `TunerLock`.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _holder(note or path, descriptor) if _locked_by(descriptor) else None
    finally:
        os.close(descriptor)


def _holder(note: Path, descriptor: int) -> Holder:
    """Who has the lock: what is written, if it is of the process that the kernel names."""
    pid = _locked_by(descriptor)
    for _ in range(2):
        try:
            holder = Holder(**json.loads(note.read_bytes()))
            if _is_sound(holder) and pid in (0, holder.pid):
                return holder
        except (OSError, ValueError, TypeError, RecursionError):
            pass
        time.sleep(_AGAIN_S)  # whoever has just taken it is about to write
    return Holder(pid=pid)


def _is_sound(holder: Holder) -> bool:
    """Whether the fields are what they should be."""
    texts = (holder.run, holder.save_dir, holder.host)
    # The year 5138 is the last that every platform can write as a local time.
    return (
        type(holder.pid) is int
        and type(holder.since) in (int, float)
        and 0 <= holder.since < 1e11
        and all(type(text) is str and (text.isprintable() or not text) for text in texts)
    )


def _locked_by(descriptor: int) -> int:
    """The PID that the kernel names for the lock; 0 where it does not."""
    told = os.fstat(descriptor)
    inode = f"{os.major(told.st_dev):02x}:{os.minor(told.st_dev):02x}:{told.st_ino}"
    try:
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if words[1:4] == ["FLOCK", "ADVISORY", "WRITE"] and words[5] == inode:
                return max(0, int(words[4]))
    except (OSError, ValueError, IndexError):
        pass
    return 0
