"""What has to happen before a store can be used: lock, connection, tables, leftovers, runs that died."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, Engine, select, update
from sqlalchemy.exc import SQLAlchemyError

from brokertuner_tui.store import convert, engine, postgres, schema, trouble
from brokertuner_tui.store.errors import StoreAway
from brokertuner_tui.store.keeper import Keeper
from brokertuner_tui.store.lock import WriterLock
from brokertuner_tui.store.place import Server
from brokertuner_tui.store.postgres import Link
from brokertuner_tui.store.rows import ENDED, RunRow, RunState
from brokertuner_tui.store.spool import Spool
from brokertuner_tui.store.writer import DirectWriter, SpoolingWriter, Tell, deliver

Pause = Callable[[float], None]
"""Waits that many seconds."""
OnDead = Callable[[RunRow], str]
"""Releases what a run has left whose process is gone, and says what was done; called again if that was interrupted."""


@dataclass(slots=True)
class Opened:
    """A database that can be used, and what is held for it."""

    engine: Engine
    where: str
    speaking: Callable[[], AbstractContextManager[None]]
    """Turns the database's errors into ours."""
    writer: Keeper
    held: ExitStack = field(default_factory=ExitStack)
    """Let go of in `close`: the last first."""
    link: Link | None = None
    spool: Spool | None = None

    def close(self) -> None:
        """Lets go of everything; may be called again."""
        self.writer.close()
        self.held.close()


def nothing_to_release(_run: RunRow) -> str:
    """For who only marks."""
    return ""


def open_file(
    path: Path,
    *,
    read_only: bool,
    tell: Tell = lambda message, level: None,
    on_dead: OnDead = nothing_to_release,
) -> Opened:
    """A SQLite file. Raises StoreError."""
    with ExitStack() as held:
        if not read_only:
            held.callback(WriterLock(path.with_name(f"{path.name}.lock")).release)
        made = engine.open_sqlite(path, read_only=read_only, warn=lambda message: tell(message, "warning"))
        held.callback(made.dispose)
        opened = Opened(made, str(path), lambda: trouble.speaking(str(path)), Keeper(DirectWriter(made, str(path), path)))
        if not read_only:
            with opened.speaking(), made.connect() as connection:
                # The lock is ours: whatever has not ended has nobody left who could end it.
                _mark_interrupted(connection, on_dead, mine=True)
        opened.held = held.pop_all()
        return opened


def open_to_read(server: Server) -> Opened:
    """A server's store, which cannot be written by this. Raises StoreError."""
    where = postgres.shown(server)
    made = postgres.open_reader(server)
    opened = Opened(made, where, lambda: postgres.speaking(where), Keeper(DirectWriter(made, where)))
    opened.held.callback(made.dispose)
    return opened


def open_server(server: Server, tell: Tell, pause: Pause, on_dead: OnDead = nothing_to_release) -> Opened:
    """A server's store, up to date and locked, with what was left over in the spool; `start_writer` completes it.

    Raises:
        StoreError: see `Store.open`.
    """
    where = postgres.shown(server)
    with ExitStack() as held:
        held.callback(WriterLock(server.spool.with_name(f"{server.spool.name}.lock")).release)
        made = postgres.open_engine(server)
        held.callback(made.dispose)
        link = Link(made, where)
        held.callback(link.drop)
        spool = Spool(server.spool, where, max_bytes=server.spool_bytes)
        held.callback(spool.close)
        _reach(link, server, tell, pause)
        with postgres.speaking(where):
            connection = link.open()
            with connection.begin():
                postgres.prepare(connection, where)
            if left := len(spool):
                tell(f"{left} writes that waited for {where} are brought there now", "info")
            deliver(
                connection, spool, lambda why: tell(f"{where} refused a write, kept aside in {server.spool}: {why}", "error")
            )
            _mark_interrupted(connection, on_dead)
        # The writer is put in by start_writer; until then nobody has the store.
        opened = Opened(
            made, where, lambda: postgres.speaking(where), Keeper(DirectWriter(made, where)), link=link, spool=spool
        )
        opened.held = held.pop_all()
        return opened


def start_writer(opened: Opened, tell: Tell, *, on_link: Callable[[Connection], None]) -> None:
    """Begins to bring changes to the server."""
    assert opened.link is not None
    assert opened.spool is not None
    opened.writer = Keeper(SpoolingWriter(opened.link, opened.spool, tell, on_link=on_link))


def _reach(link: Link, server: Server, tell: Tell, pause: Pause) -> None:
    for attempt in range(1, server.connect_attempts + 1):
        try:
            link.open()
            return
        except SQLAlchemyError as error:
            said = f"{link.where}: {trouble.words(error)}"
            if not postgres.will_pass(error):
                raise StoreAway(said) from error
            if attempt == server.connect_attempts:
                raise StoreAway(f"the database cannot be reached, {attempt} attempts: {said}") from error
        tell(
            f"the database cannot be reached (attempt {attempt} of {server.connect_attempts}, the next in "
            f"{server.connect_wait_s:g} s): {said}",
            "warning",
        )
        pause(server.connect_wait_s)


def _mark_interrupted(connection: Connection, on_dead: OnDead, *, mine: bool = False) -> None:
    """Of the runs that have not ended, those whose session is gone or cannot reach the store (the lock is ours).

    What such a run has left is released before it is marked: whoever dies in between leaves that to the next one.

    Args:
        mine: nobody else can be at any of them.
    """
    with connection.begin():
        rows = connection.execute(select(schema.runs).where(schema.runs.c.state.not_in(ENDED))).mappings().all()
        found = [convert.run_row({**row, "trials": 0, "ok_trials": 0}) for row in rows]
    for run in found:
        owner, done = run.info.owner, ""
        if owner.is_elsewhere:
            reason = f"its session on {owner.host} is gone, or cannot reach the store"
        elif not owner.alive():
            reason, done = "the process that ran it is gone", on_dead(run)
        elif mine:
            reason = "the process that ran it has let go of it"
        else:
            continue
        values = {"state": str(RunState.INTERRUPTED), "reason": f"{reason}; {done}" if done else reason}
        with connection.begin():
            connection.execute(update(schema.runs).where(schema.runs.c.id == run.id).values(**values))
