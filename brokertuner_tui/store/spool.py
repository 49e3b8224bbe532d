"""Where writes wait for a database that is away: a file on this machine, durable, bounded, in order."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from brokertuner_tui.errors import DiskFailed
from brokertuner_tui.store import trouble
from brokertuner_tui.store.errors import SpoolFull, StoreError

MAX_RECORDS = 100_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS waiting (id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, change TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS refused (id INTEGER PRIMARY KEY, at REAL NOT NULL, change TEXT NOT NULL, why TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS target (url TEXT NOT NULL);
"""


class Spool:
    """A queue of texts in a SQLite file. Every method may be called from any thread.

    A last part (1 MiB or a quarter, 100 writes or a quarter) is a reserve: a session that pauses because `is_full` can
    still say so.

    Args:
        path: made (0600) where it is missing.
        target: what it is kept for; what waits for another target is never handed out.

    Raises:
        StoreError: the file cannot be used, or what waits in it is for another database (every method: the former).
    """

    def __init__(self, path: Path, target: str, *, max_bytes: int, max_records: int | None = None) -> None:
        self._path, self._max_bytes, self._max_records = path, max_bytes, max_records or MAX_RECORDS
        self._lock = threading.Lock()
        self._full = False
        self._connection: sqlite3.Connection | None = None
        self._failed: DiskFailed | None = None
        """After this nothing is written any more."""
        self.room = trouble.Room(path.parent)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise StoreError(f"the spool cannot be written: {path}: {error.strerror}") from error
        with self._speaking():
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")  # what is acknowledged must outlast a power cut
            self._connection.executescript(_SCHEMA)
            self._count, self._bytes = _size(self._connection, "id > ?", 0)
            self._belong_to(self._connection, target)

    def _belong_to(self, connection: sqlite3.Connection, target: str) -> None:
        row = connection.execute("SELECT url FROM target").fetchone()
        if row is not None and row[0] != target and self._count:
            connection.close()
            raise StoreError(
                f"{self._path} holds {self._count} writes that wait for {row[0]}: start once with that [store] url, "
                "or move the file away"
            )
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM target")
        connection.execute("INSERT INTO target VALUES (?)", (target,))
        connection.execute("COMMIT")

    def __len__(self) -> int:
        return self._count

    @property
    def is_full(self) -> bool:
        """Whether only the reserve is left; stays true until half of the space is free again."""
        reserve = min(2**20, self._max_bytes // 4)
        few = min(100, self._max_records // 4)
        share = max((self._bytes + reserve) / self._max_bytes, (self._count + few) / self._max_records)
        self._full = share >= 1.0 or (self._full and share > 0.5)
        return self._full

    def append(self, text: str) -> None:
        """Keeps `text`; the disk has it when this returns.

        Raises:
            SpoolFull: there is no space left; it was not kept.
        """
        with self._lock:
            size = len(text.encode())
            if self._count >= self._max_records or self._bytes + size > self._max_bytes:
                raise SpoolFull(f"{self._path} is full ({self._count} writes wait for the database): nothing more can be kept")
            with self._speaking():
                self._open().execute("INSERT INTO waiting (at, change) VALUES (?, ?)", (time.time(), text))
            self._count += 1
            self._bytes += size

    def first(self, count: int) -> list[tuple[int, str]]:
        """The oldest, with their keys."""
        with self._lock, self._speaking():
            return list(self._open().execute("SELECT id, change FROM waiting ORDER BY id LIMIT ?", (count,)))

    def done(self, upto: int) -> None:
        """Removes what the database has: everything up to this key."""
        with self._lock, self._speaking():
            self._forget("id <= ?", upto)

    def refuse(self, key: int, why: str) -> None:
        """Puts one aside that the database will never take. It stays in the file."""
        with self._lock, self._speaking():
            connection = self._open()
            connection.execute(
                "INSERT OR REPLACE INTO refused SELECT id, at, change, ? FROM waiting WHERE id = ?",
                (why, key),
            )
            self._forget("id = ?", key)

    def refused(self) -> int:
        """How many were put aside, ever."""
        with self._lock, self._speaking():
            return int(self._open().execute("SELECT count(*) FROM refused").fetchone()[0])

    def close(self) -> None:
        """Closes the file; may be called again."""
        with self._lock, suppress(sqlite3.Error):
            connection, self._connection = self._connection, None
            if connection is not None:
                with trouble.no_checkpoint(self._path) if self._failed is not None else nullcontext():
                    connection.close()

    def _forget(self, which: str, key: int) -> None:
        connection = self._open()
        gone, size = _size(connection, which, key)
        connection.execute(f"DELETE FROM waiting WHERE {which}", (key,))
        self._count -= gone
        self._bytes -= size

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError(f"{self._path} is closed")
        return self._connection

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        if self._failed is not None:
            raise self._failed
        try:
            with trouble.speaking(f"the spool cannot be used: {self._path}"):
                yield
        except DiskFailed as error:
            self._failed = error
            raise


def _size(connection: sqlite3.Connection, which: str, key: int) -> tuple[int, int]:
    query = f"SELECT count(*), coalesce(sum(length(CAST(change AS BLOB))), 0) FROM waiting WHERE {which}"
    count, size = connection.execute(query, (key,)).fetchone()
    return int(count), int(size)
