"""Every run and every trial, durable before it is acknowledged. One writer; any number of readers beside it."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, case, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from brokertuner_tui.store import convert, engine, schema
from brokertuner_tui.store.errors import NoSuchRun, StoreError
from brokertuner_tui.store.lock import WriterLock
from brokertuner_tui.store.rows import ENDED, INTERRUPTED, ConfirmationRow, RunInfo, RunRow, TrialRow, Which
from brokertuner_tui.tuning.events import Confirmed, RunFinished, State, TrialFinished
from brokertuner_tui.workload.window import Window

FILE_NAME = "store.db"


class Store:
    """A store that is open. A method returns when the disk has what it wrote.

    Every method may raise StoreError: the disk is full, the file is damaged, or the server is gone.
    """

    def __init__(self, opened: Engine, where: str, lock: WriterLock | None) -> None:
        self._engine, self._where, self._lock = opened, where, lock

    @classmethod
    def open(cls, where: str | Path, *, read_only: bool = False) -> Store:
        """Opens the store at a path (made with its folder unless `read_only`) or a database's URL.

        A writer holds the folder's lock until `close`, and marks runs whose process died as interrupted.

        Raises:
            StoreError: it cannot be opened, is damaged, is not ours, or another session writes to it; nothing was changed.
        """
        if engine.is_url(where):
            return cls(engine.open_url(str(where)), "the store", None)
        path = Path(where)
        lock = None if read_only else WriterLock(path.with_name(f"{path.name}.lock"))
        try:
            store = cls(engine.open_sqlite(path, read_only=read_only), str(path), lock)
            if not read_only:
                store._mark_interrupted()
        except BaseException:
            if lock is not None:
                lock.release()
            raise
        return store

    def close(self) -> None:
        """Closes the file; may be called again."""
        self._engine.dispose()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def create_run(self, info: RunInfo) -> str:
        """Begins a run; its id is short, readable and sorts by its start (UTC): `20261121-004512-a3f`."""
        columns = convert.run_columns(info)
        prefix = time.strftime("%Y%m%d-%H%M%S", time.gmtime(info.started_at))
        with engine.speaking(self._where):
            for _ in range(20):
                run = f"{prefix}-{secrets.token_hex(2)[:3]}"
                with contextlib.suppress(IntegrityError), self._engine.begin() as connection:  # taken: once more
                    connection.execute(insert(schema.runs).values(id=run, state=str(State.STARTING), **columns))
                    return run
        raise StoreError(f"{self._where}: no free id for a run that began at {prefix}")

    def record_trial(self, run: str, event: TrialFinished, *, broker_restarts: int, workload_restarts: int) -> None:
        """Keeps a trial; restarts are counted since the run began."""
        counters = {"broker_restarts": broker_restarts, "workload_restarts": workload_restarts}
        self._write(
            insert(schema.trials).values(**convert.trial_columns(run, event, **counters)),
            update(schema.runs).where(schema.runs.c.id == run).values(**counters),
        )

    def record_confirmation(self, run: str, event: Confirmed, windows: Sequence[tuple[Which, Window]] = ()) -> None:
        """Keeps a comparison of default and best, with its windows in the order of time."""
        columns = convert.confirmation_columns(event)
        table = schema.confirmations
        with engine.speaking(self._where), self._engine.begin() as connection:
            last = connection.scalar(select(func.max(table.c.number)).where(table.c.run == run)) or 0
            connection.execute(insert(table).values(run=run, number=last + 1, **columns))
            if windows:
                rows: list[dict[str, Any]] = [
                    {
                        "run": run,
                        "confirmation": last + 1,
                        "number": number,
                        "which": which,
                        "measured": window.as_dict(),
                    }
                    for number, (which, window) in enumerate(windows, start=1)
                ]
                connection.execute(insert(schema.confirming_windows), rows)
            summary = {name: value for name, value in columns.items() if name not in ("at", "profile")}
            connection.execute(update(schema.runs).where(schema.runs.c.id == run).values(**summary))

    def set_state(self, run: str, state: State | str, reason: str = "") -> None:
        """Says where the run stands."""
        self._write(update(schema.runs).where(schema.runs.c.id == run).values(state=str(state), reason=reason))

    def finish_run(self, run: str, event: RunFinished) -> None:
        """Ends a run."""
        self._write(update(schema.runs).where(schema.runs.c.id == run).values(**convert.finish_columns(event)))

    def runs(self) -> list[RunRow]:
        """All runs, the newest first."""
        with engine.speaking(self._where), self._engine.connect() as connection:
            query = _runs_query().order_by(schema.runs.c.started_at.desc(), schema.runs.c.id.desc())
            return [convert.run_row(row) for row in _fetch(connection, query)]

    def run(self, key: str) -> RunRow:
        """The run with this id, or whose id alone begins so, or the newest for `last`.

        Raises:
            NoSuchRun: there is none, or several begin so.
        """
        identifier = schema.runs.c.id
        with engine.speaking(self._where), self._engine.connect() as connection:
            if key == "last":
                query = select(identifier).order_by(schema.runs.c.started_at.desc(), identifier.desc()).limit(1)
            else:
                query = select(identifier).where(identifier.startswith(key, autoescape=True)).order_by(identifier)
            found = list(connection.scalars(query))
            if key in found:
                found = [key]
            if len(found) != 1 or not key:
                raise NoSuchRun(self._no_such(key, found))
            return convert.run_row(_fetch(connection, _runs_query().where(identifier == found[0]))[0])

    def trials(self, run: str) -> list[TrialRow]:
        """All trials of the run with this id, in order."""
        table = schema.trials
        with engine.speaking(self._where), self._engine.connect() as connection:
            query = select(table).where(table.c.run == run).order_by(table.c.number)
            return [convert.trial_row(row) for row in _fetch(connection, query)]

    def confirmations(self, run: str) -> list[ConfirmationRow]:
        """All comparisons of default and best in the run with this id, in order."""
        table, windows = schema.confirmations, schema.confirming_windows
        with engine.speaking(self._where), self._engine.connect() as connection:
            found = _fetch(connection, select(table).where(table.c.run == run).order_by(table.c.number))
            query = select(windows).where(windows.c.run == run).order_by(windows.c.number)
            parts = _fetch(connection, query)
        return [
            convert.confirmation_row(
                row, [(part["which"], part["measured"]) for part in parts if part["confirmation"] == row["number"]]
            )
            for row in found
        ]

    def _mark_interrupted(self) -> None:
        # The lock is ours: whatever has not ended has nobody left who could end it.
        self._write(
            update(schema.runs)
            .where(schema.runs.c.state.not_in(ENDED))
            .values(state=INTERRUPTED, reason="the process that ran it is gone")
        )

    def _write(self, *statements: Any) -> None:
        with engine.speaking(self._where), self._engine.begin() as connection:
            for statement in statements:
                connection.execute(statement)

    def _no_such(self, key: str, found: list[str]) -> str:
        if found:
            return f"more than one run begins with {key!r}: {', '.join(found[:8])}{', ...' if len(found) > 8 else ''}"
        return f"no run {key!r} in {self._where}; `brokertuner-tui runs list` shows those there are"


def _fetch(connection: Connection, query: Any) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in connection.execute(query).mappings()]


def _runs_query() -> Any:
    trials = schema.trials
    counted = (
        select(
            trials.c.run,
            func.count().label("trials"),
            func.sum(case((trials.c.verdict == "ok", 1), else_=0)).label("ok_trials"),
        )
        .group_by(trials.c.run)
        .subquery()
    )
    return select(
        schema.runs,
        func.coalesce(counted.c.trials, 0).label("trials"),
        func.coalesce(counted.c.ok_trials, 0).label("ok_trials"),
    ).select_from(schema.runs.outerjoin(counted, schema.runs.c.id == counted.c.run))
