"""A store that is damaged: set aside whole, and what can still be read of it is counted.

Nothing is repaired: what a repair would make of a damaged database may look whole and be wrong. The files stay together
under their new name, for `sqlite3 FILE .recover` and the like.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from brokertuner_tui.files import sync_folder
from brokertuner_tui.store.errors import StoreError
from brokertuner_tui.store.trouble import read_only_uri

_ATTACHED = ("", "-wal", "-shm", "-journal")
_MAGIC = b"SQLite format 3\0"
_BLOCK_BYTES = 2**20
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def is_ours(path: Path, mark: str) -> bool:
    """Whether a damaged file can be a store: it begins as SQLite's do, or has our `mark` somewhere, or its log has.

    Another program's file (a text, an archive) is neither.
    """
    with open(path, "rb") as file:
        head = file.read(len(_MAGIC))
    return head == _MAGIC or any(_holds(path.with_name(path.name + end), mark.encode()) for end in ("", "-wal"))


def set_aside(path: Path) -> Path:
    """Gives `path` and the files that belong to it new names, `store.db.damaged-20261121-070000` (UTC); the first of them.

    Nothing is ever overwritten. Each has both names before it loses the old one, so that a process which is killed here
    leaves nothing half done: the next one does it again.

    Raises:
        StoreError: that was not possible; everything still has its old name.
    """
    aside = _free_name(path)
    pairs = [(path.with_name(path.name + end), aside.with_name(aside.name + end)) for end in _ATTACHED]
    linked: list[tuple[Path, Path]] = []
    try:
        for old, new in pairs:
            if old.exists():
                os.link(old, new)
                linked.append((old, new))
        sync_folder(path.parent)
    except OSError as error:
        for _, new in linked:
            with suppress(OSError):
                new.unlink()
        raise StoreError(f"{path} is damaged and cannot be set aside: {error.strerror or error}") from error
    # The database first: a log without its database is never applied to a new one (SQLite removes it).
    for old, _ in linked:
        old.unlink(missing_ok=True)
    sync_folder(path.parent)
    return aside


def copy_aside(path: Path) -> Path:
    """Copies `path` and its log under new names, as `set_aside` would have called them; the first of them.

    Raises:
        StoreError: there is no room for them, or they cannot be read.
    """
    aside = _free_name(path)
    try:
        for end in ("", "-wal"):
            new = aside.with_name(aside.name + end)
            with open(path.with_name(path.name + end), "rb") as old, open(os.open(new, _NEW, 0o600), "wb") as copy:
                shutil.copyfileobj(old, copy)
                copy.flush()
                os.fsync(copy.fileno())
        sync_folder(path.parent)
    except OSError as error:
        raise StoreError(f"{path} is damaged and cannot be copied: {error.strerror or error}") from error
    return aside


def readable(path: Path) -> str:
    """What can be read of a damaged store, in a few words, without changing it."""
    counts = []
    for table in ("runs", "trials"):
        count = _rows(path, table)
        counts.append(f"{'no' if count is None else count} {table}")
    return " and ".join(counts)


def _rows(path: Path, table: str) -> int | None:
    """How many rows come out before the first error; None: not even one can be asked for."""
    count = None
    # Where there is no log, none is made for reading either.
    uri = read_only_uri(path) + ("" if path.with_name(f"{path.name}-wal").exists() else "&immutable=1")
    with suppress(sqlite3.Error), closing(sqlite3.connect(uri, uri=True)) as connection:
        rows = connection.execute(f"SELECT * FROM {table}")
        count = 0
        for _ in rows:
            count += 1
    return count


def _free_name(path: Path) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    for number in range(1, 1000):
        name = f"{path.name}.damaged-{stamp}" + (f"-{number}" if number > 1 else "")
        if not any(path.with_name(name + end).exists() for end in _ATTACHED):
            return path.with_name(name)
    raise StoreError(f"{path} is damaged and cannot be set aside: too many of this second")


def _holds(path: Path, mark: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            before = b""
            while block := file.read(_BLOCK_BYTES):
                if mark in before + block:
                    return True
                before = block[-len(mark) :]
    except FileNotFoundError:
        return False
    return False
