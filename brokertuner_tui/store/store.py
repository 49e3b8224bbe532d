"""Every run and every trial, durable before it is acknowledged. One writer; any number of readers beside it."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, case, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from brokertuner_tui import insight
from brokertuner_tui.errors import UsageError
from brokertuner_tui.insight.ablation import Ablation
from brokertuner_tui.insight.results import LoadInsight
from brokertuner_tui.knobs.catalogue import Value
from brokertuner_tui.process.owner import Owner
from brokertuner_tui.store import change as changes
from brokertuner_tui.store import convert, earlier, opening, plain, schema
from brokertuner_tui.store.change import Change
from brokertuner_tui.store.earlier import EarlierRun, EarlierTrial
from brokertuner_tui.store.errors import NoSuchRun, StoreAway, StoreError
from brokertuner_tui.store.opening import OnDead, Opened, Pause
from brokertuner_tui.store.place import FILE_NAME, Server
from brokertuner_tui.store.rows import (
    ENDED,
    BrokerIdentity,
    ConfirmationRow,
    InsightRow,
    LoadIdentity,
    RunInfo,
    RunRow,
    RunState,
    TrialRow,
    Which,
)
from brokertuner_tui.store.writer import Tell
from brokertuner_tui.tuning.events import Confirmed, RunFinished, State, TrialFinished
from brokertuner_tui.workload.window import Window

__all__ = ["FILE_NAME", "Store"]

_SETTLE_S, _OWN_SETTLE_S = 10.0, 1.0
"""How long a reader that writes as well waits for what it wrote; less where it knows the answer itself."""
_NUMBERED = (schema.confirmations, schema.ablations, schema.insights)
"""Tables whose rows are numbered within a run by the store."""


class Store:
    """A store that is open. A method returns when the disk has what it wrote (of a server: this machine's disk, see `writer`).

    Every method may raise StoreError: the file is damaged, or the server is gone (reading only). One that writes may raise
    NoRoom (what it was given is kept, and written before anything else when there is room: ask `why_full`), and DiskFailed:
    nothing can be written any more.
    """

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._known: dict[str, dict[str, Any]] = {}
        """The rows of runs that were begun here, for when the server is away."""
        self._numbers: dict[tuple[str, str], int] = {}
        """How many rows a run has in a table that numbers them itself, by (table, run)."""

    @classmethod
    def open(
        cls,
        where: str | Path | Server,
        *,
        read_only: bool = False,
        tell: Tell = lambda message, level: None,
        pause: Pause = time.sleep,
        on_dead: OnDead = opening.nothing_to_release,
    ) -> Store:
        """Opens the store at a path (made with its folder unless `read_only`) or on a server.

        A writer holds the store's lock until `close`, brings the tables up to date, and marks runs whose process died as
        interrupted.

        Args:
            tell: hears what happens to the server, from any thread, and of a damaged file that was set aside.
            pause: waits between two attempts to reach a server; may raise to give up.
            on_dead: releases what a run has left whose process is gone; what it says is kept in the run's reason.

        Raises:
            StoreAway: the server cannot be reached, or does not let us in.
            WriterElsewhere: another session writes to it.
            StoreError: it cannot be opened, is damaged, or is not ours; nothing was changed.
        """
        if not isinstance(where, Server):
            return cls(opening.open_file(Path(where), read_only=read_only, tell=tell, on_dead=on_dead))
        if read_only:
            return cls(opening.open_to_read(where))
        opened = opening.open_server(where, tell, pause, on_dead)
        store = cls(opened)
        opening.start_writer(opened, tell, on_link=store._claim)
        return store

    @property
    def _engine(self) -> Engine:
        return self._opened.engine

    @property
    def why_full(self) -> str:
        """Why no trial should be begun before there is room again; empty: there is.

        What found no room (a method raised NoRoom) is tried again by this.

        Raises:
            TunerError: it can never be written.
        """
        return self._opened.writer.why_full

    def retry(self) -> bool:
        """Tries again what found no room; whether all that was given is durable.

        Raises:
            TunerError: it can never be written.
        """
        return self._opened.writer.retry()

    def close(self) -> None:
        """Closes the file; may be called again. A server that is away is waited for a few seconds."""
        self._opened.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def create_run(self, info: RunInfo) -> str:
        """Begins a run; its id is short, readable and sorts by its start (UTC): `20261121-004512-a3f`."""
        columns = convert.run_columns(info)
        prefix = time.strftime("%Y%m%d-%H%M%S", time.gmtime(info.started_at))
        with self._opened.speaking():
            for _ in range(20):
                run = f"{prefix}-{secrets.token_hex(2)[:3]}"
                with contextlib.suppress(IntegrityError), self._engine.begin() as connection:  # taken: once more
                    connection.execute(insert(schema.runs).values(id=run, state=str(RunState.CREATED), **columns))
                    self._remember(run, columns)
                    return run
        raise StoreError(f"{self._opened.where}: no free id for a run that began at {prefix}")

    def resume_run(self, run: str, *, mode: str = "guarded") -> RunRow:
        """Makes this process the owner of an ended run, which goes on; gives the run as it was.

        Raises:
            UsageError: it has not ended, and its process is at it.
        """
        before = self._read_run(run)
        if before.running:
            owner = before.info.owner
            raise UsageError(f"run {before.id} is being run by process {owner.pid}{f' on {owner.host}' * owner.is_elsewhere}")
        columns: dict[str, Any] = {
            "state": str(RunState.CREATED),
            "reason": "",
            "ended_at": None,
            "owner": plain.to_plain(Owner.this_process()),
            "broker": None,
            "load": None,
            "mode": mode,
            "resumed": before.resumed + 1,
        }
        with self._opened.speaking(), self._engine.begin() as connection:
            connection.execute(update(schema.runs).where(schema.runs.c.id == before.id).values(**columns))
            self._known[before.id] = _fetch(connection, _runs_query().where(schema.runs.c.id == before.id))[0]
        return before

    def identify(self, run: str, broker: BrokerIdentity, load: LoadIdentity) -> None:
        """Says which processes belong to the run now."""
        self._put(run, changes.of_run(run, {"broker": broker, "load": load}))

    def record_trial(
        self,
        run: str,
        event: TrialFinished,
        *,
        broker_restarts: int,
        workload_restarts: int,
        pinned: Mapping[str, Value] | None = None,
        processes: tuple[BrokerIdentity, LoadIdentity] | None = None,
    ) -> None:
        """Keeps a trial; restarts are counted since the run began.

        Args:
            pinned: what the agent had to leave alone.
            processes: which ones belong to the run now.
        """
        counters: dict[str, Any] = {"broker_restarts": broker_restarts, "workload_restarts": workload_restarts}
        columns = convert.trial_columns(run, event, **counters, pinned=pinned)
        if processes is not None:
            counters |= {"broker": processes[0], "load": processes[1]}
        if known := self._known.get(run):
            known["trials"] += 1
            known["ok_trials"] += columns["verdict"] == "ok"
        self._put(run, changes.insertion(schema.trials, columns), changes.of_run(run, counters))

    def record_confirmation(self, run: str, event: Confirmed, windows: Sequence[tuple[Which, Window]] = ()) -> None:
        """Keeps a comparison of default and best, with its windows in the order of time."""
        columns = convert.confirmation_columns(event)
        number = self._next_number(schema.confirmations, run)
        measured = [
            changes.insertion(
                schema.confirming_windows,
                {"run": run, "confirmation": number, "number": at, "which": which, "measured": window.as_dict()},
            )
            for at, (which, window) in enumerate(windows, start=1)
        ]
        summary = {name: value for name, value in columns.items() if name not in ("at", "profile")}
        self._put(
            run,
            changes.insertion(schema.confirmations, {"run": run, "number": number, **columns}),
            *measured,
            changes.of_run(run, summary),
        )

    def record_ablation(self, run: str, found: Ablation) -> None:
        """Keeps what the best of a run was without each of its knobs, with its windows."""
        number = self._next_number(schema.ablations, run)
        self._put(run, changes.insertion(schema.ablations, {"run": run, "number": number, **convert.ablation_columns(found)}))

    def record_insight(self, run: str, trials: int, loads: Sequence[LoadInsight]) -> None:
        """Keeps what the first `trials` trials of a run taught."""
        number = self._next_number(schema.insights, run)
        columns = {"run": run, "number": number, "at": time.time(), "trials": trials, "loads": insight.to_json(loads)}
        self._put(run, changes.insertion(schema.insights, columns))

    def set_state(self, run: str, state: State | str, reason: str = "") -> None:
        """Says where the run stands."""
        self._put(run, changes.of_run(run, {"state": str(RunState.of(state)), "reason": reason}))

    def finish_run(self, run: str, event: RunFinished) -> None:
        """Ends a run."""
        self._put(run, changes.of_run(run, convert.finish_columns(event)))

    def remove_run(self, run: str) -> None:
        """Removes a run that has ended, with its trials and comparisons; nothing happens if it is not there."""
        with self._opened.speaking(), self._engine.begin() as connection:
            for table in (schema.insights, schema.ablations, schema.confirming_windows, schema.confirmations, schema.trials):
                connection.execute(delete(table).where(table.c.run == run))
            connection.execute(delete(schema.runs).where(schema.runs.c.id == run))
        self._known.pop(run, None)

    def runs(self) -> list[RunRow]:
        """All runs, the newest first."""
        self._opened.writer.settle(_SETTLE_S)
        with self._opened.speaking(), self._engine.connect() as connection:
            query = _runs_query().order_by(schema.runs.c.started_at.desc(), schema.runs.c.id.desc())
            return [convert.run_row(row) for row in _fetch(connection, query)]

    def run(self, key: str) -> RunRow:
        """The run with this id, or whose id alone begins so, or the newest for `last`.

        Raises:
            NoSuchRun: there is none, or several begin so.
        """
        known = self._known.get(key)
        if known is None:
            self._opened.writer.settle(_SETTLE_S)
            return self._read_run(key)
        if self._opened.writer.settle(_OWN_SETTLE_S):
            with contextlib.suppress(StoreAway):
                return self._read_run(key)
        return convert.run_row(known)

    def _read_run(self, key: str) -> RunRow:
        identifier = schema.runs.c.id
        with self._opened.speaking(), self._engine.connect() as connection:
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
        self._opened.writer.settle(_SETTLE_S)
        with self._opened.speaking(), self._engine.connect() as connection:
            query = select(table).where(table.c.run == run).order_by(table.c.number)
            return [convert.trial_row(row) for row in _fetch(connection, query)]

    def earlier_runs(self, preset: str, before: float) -> list[EarlierRun]:
        """See `store/earlier.py`; what still waits for a server is not waited for."""
        with self._opened.speaking(), self._engine.connect() as connection:
            return earlier.read_runs(connection, preset, before)

    def earlier_trials(self, runs: Sequence[str], before: float) -> list[EarlierTrial]:
        """See `store/earlier.py`."""
        with self._opened.speaking(), self._engine.connect() as connection:
            return earlier.read_trials(connection, runs, before)

    def confirmations(self, run: str) -> list[ConfirmationRow]:
        """All comparisons of default and best in the run with this id, in order."""
        table, windows = schema.confirmations, schema.confirming_windows
        self._opened.writer.settle(_SETTLE_S)
        with self._opened.speaking(), self._engine.connect() as connection:
            found = _fetch(connection, select(table).where(table.c.run == run).order_by(table.c.number))
            query = select(windows).where(windows.c.run == run).order_by(windows.c.number)
            parts = _fetch(connection, query)
        return [
            convert.confirmation_row(
                row, [(part["which"], part["measured"]) for part in parts if part["confirmation"] == row["number"]]
            )
            for row in found
        ]

    def ablations(self, run: str) -> list[Ablation]:
        """What the best of the run with this id was without each of its knobs, in order."""
        table = schema.ablations
        self._opened.writer.settle(_SETTLE_S)
        with self._opened.speaking(), self._engine.connect() as connection:
            found = _fetch(connection, select(table).where(table.c.run == run).order_by(table.c.number))
        return [convert.ablation(row) for row in found]

    def insight(self, run: str) -> InsightRow | None:
        """What the run with this id taught, as it was explained last; None: it was not, or not in a way that is known here."""
        table = schema.insights
        self._opened.writer.settle(_SETTLE_S)
        with self._opened.speaking(), self._engine.connect() as connection:
            found = _fetch(connection, select(table).where(table.c.run == run).order_by(table.c.number.desc()).limit(1))
        with contextlib.suppress(LookupError, TypeError, AttributeError):  # a later version's: it is explained anew
            return convert.insight_row(found[0]) if found else None
        return None

    def _put(self, run: str, *steps: changes.Step) -> None:
        change = Change(steps)
        if run in self._known:
            self._known[run] |= change.run_columns(run)
        self._opened.writer.put(change)

    def _remember(self, run: str, columns: dict[str, Any]) -> None:
        unknown = dict.fromkeys(schema.runs.columns.keys())
        counters = dict.fromkeys(("broker_restarts", "workload_restarts", "trials", "ok_trials"), 0)
        self._known[run] = unknown | counters | {"id": run, "state": str(RunState.CREATED), "reason": ""} | columns
        self._numbers |= {(table.name, run): 0 for table in _NUMBERED}

    def _claim(self, connection: Connection) -> None:
        """The lock was lost and is ours again: another writer may have said meanwhile that our runs are dead."""
        for run, known in list(self._known.items()):
            if known["state"] not in ENDED:
                changes.make(connection, Change((changes.of_run(run, {name: known[name] for name in ("state", "reason")}),)))

    def _next_number(self, table: Table, run: str) -> int:
        key = (table.name, run)
        if key not in self._numbers:
            self._opened.writer.settle(_SETTLE_S)
            with self._opened.speaking(), self._engine.connect() as connection:
                self._numbers[key] = connection.scalar(select(func.max(table.c.number)).where(table.c.run == run)) or 0
        self._numbers[key] += 1
        return self._numbers[key]

    def _no_such(self, key: str, found: list[str]) -> str:
        if found:
            return f"more than one run begins with {key!r}: {', '.join(found[:8])}{', ...' if len(found) > 8 else ''}"
        return f"no run {key!r} in {self._opened.where}; `brokertuner-tui runs list` shows those there are"


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
