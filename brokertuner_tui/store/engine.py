"""Opens a SQLite database with the settings that make a commit durable (PostgreSQL: `postgres.py`).

A SQLite file is looked at through a read-only connection first: a file that is damaged or not ours stays as it is, byte for
byte.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Engine, create_engine, event, insert
from sqlalchemy.engine import Connection
from sqlalchemy.pool import QueuePool

from brokertuner_tui.files import sync_folder
from brokertuner_tui.store import damage, migrations, plain, schema, wal
from brokertuner_tui.store.errors import Damaged, NothingYet, StoreError
from brokertuner_tui.store.trouble import is_damage, speaking

BUSY_MS = 10_000
_CHECK_UP_TO_BYTES = 256 * 2**20


def open_sqlite(path: Path, *, read_only: bool, warn: Callable[[str], None] = lambda message: None) -> Engine:
    """An engine for the file at `path`, which is made (0600) unless `read_only`.

    A damaged file is set aside by who writes (`warn` hears what became of it), and a new one is begun.

    Raises:
        Damaged: so it is, and this is a reader; it was not changed.
        DiskFull: there is no room to begin or to migrate it.
        StoreError: it cannot be opened, or is not ours; it was not changed.
    """
    with speaking(str(path)):
        have = _look_at(path) if read_only else _prepare(path, warn)
        if read_only and not have:
            raise NothingYet(f"{path}: there is nothing in it yet")
        if read_only and have < schema.VERSION:
            raise StoreError(
                f"{path} is of an older brokertuner-tui (store version {have}): the next session brings it up to date"
            )
        engine = create_engine(
            "sqlite://",
            creator=lambda: _connect(path, read_only=read_only),
            poolclass=QueuePool,
            pool_size=1,
            json_serializer=plain.dumps,
        )
        # The driver's own idea of transactions would leave CREATE TABLE outside of them.
        event.listen(engine, "connect", lambda raw, _: setattr(raw, "isolation_level", None))
        begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
        if have == schema.VERSION:
            return engine
        try:
            if have:
                _back_up(path, have)
            with engine.begin() as connection:
                if have:
                    migrations.migrate(connection, have, str(path))
                else:
                    _create(connection)
        except BaseException:
            engine.dispose()
            raise
        return engine


def _prepare(path: Path, warn: Callable[[str], None]) -> int:
    """What a writer does first; gives the version of the file, 0 for a new one."""
    _make_file(path)
    try:
        have = _look_at(path)
    except Damaged as error:
        aside = damage.set_aside(path)
        _make_file(path)
        read = damage.readable(aside)
        warn(f"{error.why}: it was set aside as {aside.name} ({read} can still be read in it), and a new store is begun")
        return 0
    if lost := wal.lost_writes(path):
        copy = damage.copy_aside(path)
        with closing(_connect(path, read_only=False)) as connection:  # or the same would be found at the next start, too
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        warn(
            f"the end of {path.name}-wal is damaged: the last {lost} writes are lost; a copy of how it was found "
            f"is kept as {copy.name}, and the store goes on with what is whole"
        )
    return have


def _back_up(path: Path, version: int) -> None:
    """A copy as it was before a migration, `store.db.v1`; made whole or not at all."""
    copy, part = path.with_name(f"{path.name}.v{version}"), path.with_name(f"{path.name}.v{version}.part")
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
        with closing(_connect(path, read_only=True)) as old, closing(sqlite3.connect(part)) as new:
            old.backup(new)
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, copy)
        sync_folder(path.parent)
    except OSError as error:
        raise StoreError(f"{path} could not be copied before it is brought up to date: {error.strerror}") from error


def _create(connection: Connection) -> None:
    schema.metadata.create_all(connection)
    connection.execute(insert(schema.schema_version), {"application": schema.APPLICATION, "version": schema.VERSION})


def _make_file(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Made here because SQLite would give it 0644; its -wal and -shm inherit the mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(f"the store cannot be written: {path}: {error.strerror}") from error


def _connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(_uri(path, read_only=read_only), uri=True, check_same_thread=False, timeout=BUSY_MS / 1000)
    try:
        if not read_only:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # NORMAL may lose the last commits on power loss
            connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _uri(path: Path, *, read_only: bool) -> str:
    mode = "ro" if read_only else "rw"
    # On a read-only medium there is no place for the shared index; without a WAL nothing can change either.
    folder_is_fixed = read_only and not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
    return f"file:{quote(str(path.absolute()))}?mode={mode}{'&immutable=1' if folder_is_fixed else ''}"


def _look_at(path: Path) -> int:
    """The version of the database, which is ours; 0 where it is empty."""
    if not path.exists():
        raise StoreError(f"there is no store at {path}")
    try:
        with closing(_connect(path, read_only=True)) as connection:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not tables:
                return 0
            if "schema_version" not in tables:
                raise StoreError(f"{path} is not a store of brokertuner-tui (another program's database); it was left as it is")
            row: Any = connection.execute("SELECT application, version FROM schema_version").fetchone()
            check_version(str(path), *(row or ("", 0)))
            if path.stat().st_size <= _CHECK_UP_TO_BYTES:
                (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
                if verdict != "ok":
                    raise _CheckFailed(verdict)
            return int(row[1])
    except sqlite3.DatabaseError as error:
        if not (is_damage(error) or isinstance(error, _CheckFailed)):  # locked, unreadable: nothing is known to be broken
            raise StoreError(f"the store cannot be read: {path}: {error}") from error
        why = " ".join(str(error).split())
        if not damage.is_ours(path, schema.APPLICATION):
            raise StoreError(
                f"{path} is not a store of brokertuner-tui ({why}); it was left as it is: "
                "move it away, or give another --save-dir"
            ) from error
        raise Damaged(f"{path} is damaged ({why})") from error


class _CheckFailed(sqlite3.DatabaseError):
    """`quick_check` has found something."""


def check_version(where: str, application: str, version: int) -> None:
    """Raises StoreError unless the tables are ours, and not of a newer version."""
    if application != schema.APPLICATION or not isinstance(version, int) or version < 1:
        raise StoreError(f"{where} is not a store of brokertuner-tui; it was left as it is")
    if version > schema.VERSION:
        raise StoreError(
            f"{where} was written by a newer brokertuner-tui (store version {version}, this one knows {schema.VERSION}); "
            "it was left as it is"
        )
