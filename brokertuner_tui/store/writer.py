"""Who brings changes into the database: at once into a file, by way of the spool to a server."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import (
    ArgumentError,
    CompileError,
    DataError,
    DBAPIError,
    IntegrityError,
    SQLAlchemyError,
    StatementError,
)

from brokertuner_tui.errors import DiskFailed
from brokertuner_tui.store import change as changes
from brokertuner_tui.store.change import Change
from brokertuner_tui.store.errors import StoreError, WriterElsewhere
from brokertuner_tui.store.postgres import Link
from brokertuner_tui.store.spool import Spool
from brokertuner_tui.store.trouble import Room, no_checkpoint, speaking, words

log = logging.getLogger(__name__)

Level = Literal["info", "warning", "error"]
Tell = Callable[[str, Level], None]
"""How the operator is told: the message, and how bad it is."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 10.0
"""Between two attempts to reach a server that is away; doubled each time."""
FLUSH_S = 5.0
"""How long the end of a session waits for a server."""
_BATCH = 50


def deliver(connection: Connection, spool: Spool, refused: Callable[[str], None]) -> None:
    """Brings everything that waits to the database, in order; what it will never take is put aside and told.

    Raises:
        SQLAlchemyError, StoreError: the database is away, or the spool cannot be used; what is left is still in the spool.
    """
    while waiting := spool.first(_BATCH):
        try:
            parsed = [Change.loads(text) for _, text in waiting]
            with connection.begin():
                for change in parsed:
                    changes.make(connection, change, again=True)
            spool.done(waiting[-1][0])
        except (SQLAlchemyError, LookupError, ValueError, TypeError) as error:
            if not _is_refusal(error):
                raise
            _one_by_one(connection, spool, waiting, refused)


def _one_by_one(connection: Connection, spool: Spool, waiting: list[tuple[int, str]], refused: Callable[[str], None]) -> None:
    for key, text in waiting:
        try:
            change = Change.loads(text)
            with connection.begin():
                changes.make(connection, change, again=True)
            spool.done(key)
        except (SQLAlchemyError, LookupError, ValueError, TypeError) as error:
            if not _is_refusal(error):
                raise
            why = words(error) if isinstance(error, SQLAlchemyError) else f"{type(error).__name__}: {error}"
            spool.refuse(key, why)
            refused(why)


def _is_refusal(error: Exception) -> bool:
    """Whether trying again does not help: the change itself is what the database does not take."""
    if isinstance(error, DBAPIError):
        return isinstance(error, IntegrityError | DataError) and not error.connection_invalidated
    return not isinstance(error, SQLAlchemyError) or isinstance(error, StatementError | CompileError | ArgumentError)


class Writer(Protocol):
    """Takes changes, in order."""

    def put(self, change: Change) -> None:
        """Keeps a change; durable when this returns.

        Raises:
            StoreError: it was not kept.
        """

    def settle(self, timeout_s: float) -> bool:
        """Waits until the database has everything; whether it has."""

    @property
    def why_full(self) -> str:
        """Why no more should be begun before there is room again; empty: there is."""

    def close(self) -> None:
        """Lets go; may be called again."""


class DirectWriter:
    """Into a SQLite file. After a failure of the disk it writes no more, and does not even tidy up (see `DiskFailed`)."""

    def __init__(self, engine: Engine, where: str, file: Path | None = None) -> None:
        self._engine, self._where, self._file = engine, where, file
        self._room = Room(file.parent) if file is not None else None
        self._failed: DiskFailed | None = None

    def put(self, change: Change) -> None:
        """See Writer."""
        if self._failed is not None:
            raise self._failed
        try:
            with speaking(self._where), self._engine.begin() as connection:
                changes.make(connection, change)
        except DiskFailed as error:
            self._failed = error
            raise

    def settle(self, timeout_s: float) -> bool:
        """See Writer."""
        return True

    @property
    def why_full(self) -> str:
        """See Writer."""
        return self._room.why_full if self._room is not None else ""

    def close(self) -> None:
        """See Writer."""
        if self._failed is not None and self._file is not None:
            with no_checkpoint(self._file):
                self._engine.dispose()


class SpoolingWriter:
    """To a server: `put` returns when the spool has a change, and a thread of ours brings it to the database.

    So the caller never waits for the network, and whatever the server does (gone, restarting, frozen, or slow), nothing
    is lost: a change leaves the spool when it is committed.
    """

    def __init__(self, link: Link, spool: Spool, tell: Tell, *, on_link: Callable[[Connection], None]) -> None:
        """`on_link` is called in a transaction whenever the lock was taken again."""
        self._link, self._spool, self._tell, self._on_link = link, spool, tell, on_link
        self._news = threading.Condition()
        self._stopping = False
        self._away_since: float | None = None
        self._taken = False
        """Away since another session writes there."""
        self._thread = threading.Thread(target=self._main, name="store", daemon=True)
        self._thread.start()

    def put(self, change: Change) -> None:
        """See Writer."""
        self._spool.append(change.dumps())
        with self._news:
            self._news.notify_all()

    def settle(self, timeout_s: float) -> bool:
        """See Writer; does not wait for a server that is known to be away."""
        deadline = time.monotonic() + timeout_s
        with self._news:
            while len(self._spool) and self._away_since is None:
                left = deadline - time.monotonic()
                if left <= 0 or not self._thread.is_alive():
                    break
                self._news.wait(left)
            return not len(self._spool)

    @property
    def why_full(self) -> str:
        """See Writer."""
        return "the database is away, and no more fits into the spool" if self._spool.is_full else self._spool.room.why_full

    def close(self) -> None:
        """See Writer; what the server does not take now stays in the spool, for the next session."""
        with self._news:
            if self._stopping:
                return
            self._stopping = True
            self._news.notify_all()
        self._thread.join(FLUSH_S)
        if self._thread.is_alive():  # frozen
            self._link.hang_up()
            self._thread.join(1.0)
        left = len(self._spool)
        if left:
            self._say(
                f"{self._link.where} is away: {left} writes wait on this machine, and the next session with these settings "
                "brings them there",
                "warning",
            )
        self._spool.close()

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _main(self) -> None:
        wait = FIRST_WAIT_S
        while True:
            with self._news:
                while not len(self._spool) and not self._stopping and self._link.is_open:
                    self._news.wait()
                last = self._stopping
            try:
                self._deliver()
                wait = FIRST_WAIT_S
            except (SQLAlchemyError, StoreError, DiskFailed, sqlite3.Error, OSError) as error:
                self._lost(error)
                with self._news:
                    if not self._stopping:
                        self._news.wait_for(lambda: self._stopping, wait)
                wait = min(2 * wait, LONGEST_WAIT_S)
            except Exception as error:  # the thread's boundary: a mistake of ours must not end it unseen
                log.exception("bringing results to the database")
                self._lost(error)
                time.sleep(wait)
            if last:
                break
        self._link.drop()

    def _deliver(self) -> None:
        was_open = self._link.is_open
        connection = self._link.open()
        if not was_open:
            with connection.begin():
                self._on_link(connection)
        deliver(connection, self._spool, self._refused)
        self._back()

    def _refused(self, why: str) -> None:
        self._say(f"{self._link.where} refused a write, which is kept aside in the spool: {why}", "error")

    def _lost(self, error: Exception) -> None:
        self._link.drop()
        taken = isinstance(error, WriterElsewhere)
        with self._news:
            known, self._taken = self._away_since is not None and taken is self._taken, taken
            self._away_since = self._away_since or time.monotonic()
            self._news.notify_all()
            if self._stopping or known:
                log.debug("the database is still away: %s", error)
                return
        if taken:
            self._say(f"results are kept on this machine for now: {error}", "warning")
            return
        why = words(error) if isinstance(error, SQLAlchemyError) else str(error)
        self._say(f"{self._link.where} is away; results are kept on this machine until it is back: {why}", "warning")

    def _back(self) -> None:
        with self._news:
            since, self._away_since = self._away_since, None
            self._news.notify_all()
        if since is not None:
            self._say(f"{self._link.where} is back after {time.monotonic() - since:.1f} s; nothing was lost", "info")

    def _say(self, message: str, level: Level) -> None:
        with contextlib.suppress(Exception):
            self._tell(message, level)
