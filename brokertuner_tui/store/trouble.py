"""What a disk says when it cannot go on, told apart: full (that passes), failed (that does not), damaged."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from sqlalchemy.exc import SQLAlchemyError

from brokertuner_tui.errors import DiskFailed
from brokertuner_tui.store.errors import DiskFull, StoreBusy, StoreError

_ROOM_BYTES = 256 * 2**10
_FULL_NAMES = ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE")
"""The second: the index of the write-ahead log could not grow."""
_FAILED_NAMES = ("SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC")
_BUSY_NAMES = ("SQLITE_BUSY", "SQLITE_LOCKED")
_DAMAGED_NAMES = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


@contextmanager
def speaking(where: str) -> Iterator[None]:
    """Turns the database's errors into one line that names `where`.

    Raises:
        DiskFull: there is no room; nothing was changed.
        DiskFailed: an fsync failed.
        StoreError: anything else.
    """
    try:
        yield
    except SQLAlchemyError as error:
        original = getattr(error, "orig", None)
        raise _ours(where, original if isinstance(original, sqlite3.Error) else None, words(error)) from error
    except sqlite3.Error as error:
        raise _ours(where, error, str(error)) from error


def words(error: SQLAlchemyError) -> str:
    """What the database says, on one line."""
    original = getattr(error, "orig", None)
    return " ".join(str(original or error).split())


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is not what SQLite wrote."""
    return _name(error).startswith(_DAMAGED_NAMES)


def _ours(where: str, error: sqlite3.Error | None, text: str) -> StoreError | DiskFailed:
    name = _name(error) if error is not None else ""
    if name in _FULL_NAMES:
        return DiskFull(f"the disk is full: {where}: {text}")
    if name in _FAILED_NAMES:
        return DiskFailed(f"the disk failed: {where}: {text} ({name}): what was not acknowledged by then may be lost")
    if name.startswith(_BUSY_NAMES):
        return StoreBusy(f"{where}: {text}")
    return StoreError(f"{where}: {text}")


def _name(error: sqlite3.Error) -> str:
    return str(getattr(error, "sqlite_errorname", None) or "")


class Room:
    """Whether the file system of `folder` has room for what a trial leaves: asked before one begins.

    Not only for the store: a broker's config, logs and checkpoints lie there as well, and a broker that could not be given its
    config looks like one that refuses it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._full = False

    @property
    def why_full(self) -> str:
        """One sentence, from when little is left until there is twice as much; empty: there is room."""
        try:
            free = shutil.disk_usage(self._folder).free
        except OSError:
            return ""  # whoever writes there will say it better
        self._full = free < _ROOM_BYTES * (2 if self._full else 1)
        return f"the disk is full: {free // 1024} KiB are free at {self._folder}" if self._full else ""


@contextmanager
def no_checkpoint(path: Path) -> Iterator[None]:
    """Connections to `path` that are closed meanwhile leave its write-ahead log alone.

    The last one would copy it into the file, and sync it again, which must not be done once that has failed: the copy could be
    taken for whole. A reader that is still there prevents it, and may not do so itself.
    """
    with ExitStack() as held:
        with suppress(sqlite3.Error):
            reader = held.enter_context(closing(sqlite3.connect(read_only_uri(path), uri=True)))
            reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
        yield


def read_only_uri(path: Path) -> str:
    """For `sqlite3.connect(..., uri=True)`."""
    return f"file:{quote(str(path.absolute()))}?mode=ro"
