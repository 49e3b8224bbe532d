"""A database server that is away, frozen, slow or somebody else's: nothing is delayed, nothing is lost, everything is said."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from brokertuner_tui.errors import ExitCode, UsageError
from brokertuner_tui.process.owner import Owner
from brokertuner_tui.store import postgres as pg
from brokertuner_tui.store.errors import SpoolFull, StoreAway, StoreError
from brokertuner_tui.store.place import Server
from brokertuner_tui.store.store import Store
from brokertuner_tui.tuning.events import State
from tests.postgres import Postgres, until
from tests.store import made
from tests.store.conftest import server

ROOT = Path(__file__).parents[2]
AT_ONCE_S = 2.0
"""Far below every time limit of a connection, far above what a busy disk takes."""


class Told(list[tuple[str, str]]):
    """What the operator hears."""

    def __call__(self, message: str, level: str) -> None:
        self.append((level, message))

    def has(self, part: str) -> bool:
        """Whether something like this was said."""
        return any(part in message for _, message in self)


@pytest.fixture
def restarted(postgres: Postgres) -> Iterator[Postgres]:
    """The server, which is up again after the test whatever the test did."""
    yield postgres
    if not postgres.processes():
        postgres.start()


def _record(store: Store, run: str, numbers: range) -> float:
    """Keeps trials; gives the longest time that one took, in seconds."""
    longest = 0.0
    for number in numbers:
        began = time.monotonic()
        store.record_trial(run, made.trial(number), broker_restarts=number, workload_restarts=0)
        longest = max(longest, time.monotonic() - began)
    return longest


def _numbers(url: str, server_: Postgres, order: str = "number") -> list[int]:
    return [row[0] for row in server_.execute(f"SELECT number FROM trials ORDER BY {order}", url)]


def test_killed_in_mid_run_nothing_is_lost_or_late_and_the_order_is_kept(at_server: Server, restarted: Postgres) -> None:
    told = Told()
    with Store.open(at_server, tell=told) as store:
        run = store.create_run(made.run_info())
        _record(store, run, range(1, 6))
        restarted.kill()
        assert _record(store, run, range(6, 40)) < AT_ONCE_S
        store.record_confirmation(run, made.confirmed(), [("best", made.window())])
        store.set_state(run, State.PAUSED, "while away")
        until(lambda: told.has("is away; results are kept on this machine"), "it is said")
        began = time.monotonic()
        known = store.run(run)  # what the session asks for its config to take away
        assert time.monotonic() - began < AT_ONCE_S
        assert (known.trials, known.best_knobs, known.reason) == (39, made.BEST_KNOBS, "while away")
        assert replace(known.info, profile=made.PROFILE.as_dict()) == made.run_info()
        with pytest.raises(StoreAway):
            store.trials(run)
        restarted.start()
        _record(store, run, range(40, 43))
        until(lambda: told.has("is back after"), "it is back")
        store.finish_run(run, made.finished(run))
    assert _numbers(at_server.url, restarted) == list(range(1, 43))
    assert _numbers(at_server.url, restarted, "ctid") == list(range(1, 43))  # as they were written
    with Store.open(at_server, read_only=True) as reader:
        row = reader.run(run)
        assert (row.state, row.trials, len(reader.confirmations(run))) == ("completed", 42, 1)
    assert not any(level == "error" for level, _ in told)


def test_a_frozen_server_delays_nothing(at_server: Server, postgres: Postgres) -> None:
    with Store.open(at_server) as store:
        run = store.create_run(made.run_info())
        _record(store, run, range(1, 3))
        assert len(store.trials(run)) == 2
        with postgres.frozen():
            assert _record(store, run, range(3, 20)) < AT_ONCE_S
            assert store.run(run).trials == 19
        assert len(store.trials(run)) == 19


def test_what_is_left_at_the_end_is_brought_by_the_next_session(at_server: Server, restarted: Postgres) -> None:
    told = Told()
    store = Store.open(at_server, tell=told)
    run = store.create_run(made.run_info())
    restarted.kill()
    _record(store, run, range(1, 4))
    store.finish_run(run, made.finished(run))
    began = time.monotonic()
    store.close()
    assert time.monotonic() - began < 10
    assert told.has("4 writes wait on this machine")
    restarted.start()
    assert _numbers(at_server.url, restarted) == []
    told.clear()
    with Store.open(at_server, tell=told) as store:
        assert (store.run(run).state, store.run(run).trials) == ("completed", 3)
    assert told.has("4 writes that waited")
    told.clear()
    Store.open(at_server, tell=told).close()
    assert told == []


def test_the_same_writes_again_change_nothing(at_server: Server, restarted: Postgres) -> None:
    """The acknowledgement was lost: the spool has what the database has, too."""
    with Store.open(at_server) as store:
        run = store.create_run(made.run_info())
        restarted.kill()
        _record(store, run, range(1, 4))
        store.record_confirmation(run, made.confirmed(), [("best", made.window())])
    saved = at_server.spool.read_bytes()
    restarted.start()
    for _ in range(2):
        at_server.spool.write_bytes(saved)
        with Store.open(at_server) as store:
            assert store.run(run).trials == 3
            assert len(store.confirmations(run)) == 1


def test_away_at_the_start_is_tried_and_said_and_then_one_line(at_server: Server, restarted: Postgres) -> None:
    restarted.kill()
    told, paused = Told(), list[float]()
    with pytest.raises(StoreAway) as error:
        Store.open(at_server, tell=told, pause=paused.append)
    assert "\n" not in str(error.value)
    assert "5 attempts" in str(error.value)
    assert f"127.0.0.1:{restarted.port}" in str(error.value)
    assert error.value.exit_code is ExitCode.CONNECTION
    assert paused == [0.05] * 4
    assert len(told) == 4
    for number, (level, message) in enumerate(told, start=1):
        assert f"cannot be reached (attempt {number} of 5, the next in 0.05 s)" in message
        assert level == "warning"
    paused.clear()

    def pause(seconds: float) -> None:
        paused.append(seconds)
        if len(paused) == 2:
            restarted.start()

    Store.open(at_server, pause=pause).close()  # it came up meanwhile; the lock and the spool had been let go of
    assert len(paused) == 2


def test_what_waiting_does_not_mend_is_said_at_once(at_server: Server, tmp_path: Path) -> None:
    def never(seconds: float) -> None:
        raise AssertionError("waited")

    for url in (at_server.url + "_missing", at_server.url.replace("tuner@", "nobody@")):
        with pytest.raises(StoreAway, match="does not exist"):
            Store.open(replace(at_server, url=url), pause=never)
        with pytest.raises(StoreAway, match="does not exist"):
            Store.open(replace(at_server, url=url), read_only=True)
    with pytest.raises(StoreError, match="nothing in it yet"):
        Store.open(at_server, read_only=True)


def test_another_session_is_named(at_server: Server, tmp_path: Path) -> None:
    other = server(at_server.url, tmp_path / "other")
    with Store.open(at_server) as store:
        run = store.create_run(made.run_info())
        code = (
            "import sys; from pathlib import Path; from brokertuner_tui.store.place import Server\n"
            "from brokertuner_tui.store.store import Store; from brokertuner_tui.store.errors import WriterElsewhere\n"
            "try: Store.open(Server(sys.argv[1], Path(sys.argv[2])))\nexcept WriterElsewhere as error: print(error)"
        )
        command = [sys.executable, "-c", code, other.url, str(other.spool)]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
        assert f"another session (process {os.getpid()} on " in ended.stdout
        assert ended.stdout.count("\n") == 1
        with pytest.raises(StoreError, match="another session"):
            Store.open(at_server)  # the same folder, too
        assert store.run(run).state == "created"
    Store.open(other).close()


def test_the_lock_is_taken_again_after_a_cut(at_server: Server, postgres: Postgres, tmp_path: Path) -> None:
    told = Told()
    with Store.open(at_server, tell=told) as store:
        run = store.create_run(made.run_info())
        store.set_state(run, State.TUNING)
        assert store.run(run).state == "running"
        postgres.end_connections(at_server.url)
        _record(store, run, range(1, 3))
        until(lambda: told.has("is back after"), "it is back")
        assert len(postgres.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'")) == 1
        until(lambda: _numbers(at_server.url, postgres) == [1, 2], "the trials are there")


def test_a_session_that_took_over_is_waited_for(at_server: Server, postgres: Postgres) -> None:
    """Cut off, and another one has the lock when we are back: it has called our run interrupted, which it is not."""
    told = Told()
    key = "pg_advisory_lock(1112823113, hashtext(current_schema()))"
    with Store.open(at_server, tell=told) as store:
        run = store.create_run(made.run_info())
        store.set_state(run, State.TUNING)
        assert store.run(run).state == "running"
        with postgres.connect(at_server.url) as other:
            waits = threading.Thread(target=other.execute, args=(f"SELECT {key}",))
            waits.start()
            until(lambda: postgres.execute("SELECT 1 FROM pg_locks WHERE locktype='advisory' AND NOT granted"), "it waits")
            (writer,) = postgres.execute("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted")
            postgres.execute(f"SELECT pg_terminate_backend({writer[0]}, 5000)")
            waits.join()
            other.execute("UPDATE runs SET state = 'interrupted', reason = 'gone'")
            assert _record(store, run, range(1, 4)) < AT_ONCE_S
            until(lambda: told.has("kept on this machine for now: another session"), "it is said")
            assert _numbers(at_server.url, postgres) == []
        until(lambda: _numbers(at_server.url, postgres) == [1, 2, 3], "the trials are there")
        assert store.run(run).state == "running"


def test_runs_of_another_host(at_server: Server) -> None:
    elsewhere = replace(Owner.this_process(), host="far-away", boot_id="another", pid=2**22 - 1)
    dead = replace(Owner.this_process(), pid=2**22 - 1)
    with Store.open(at_server) as store:
        far = store.create_run(made.run_info(owner=elsewhere))
        gone = store.create_run(made.run_info(owner=dead))
        mine = store.create_run(made.run_info())
        for run in (far, gone, mine):
            store.set_state(run, State.TUNING)
        with Store.open(at_server, read_only=True) as reader:
            store.runs()
            assert {row.id: row.state for row in reader.runs()} == {far: "running", gone: "interrupted", mine: "running"}
    with Store.open(at_server) as store:  # now nobody else can be writing
        assert "far-away" in store.run(far).reason
        assert {row.id: row.state for row in store.runs()} == {far: "interrupted", gone: "interrupted", mine: "running"}


def test_a_write_that_is_refused_is_kept_aside_and_said(at_server: Server, postgres: Postgres) -> None:
    told = Told()
    with Store.open(at_server, tell=told) as store:
        run = store.create_run(made.run_info())
        store.record_trial(run, made.trial(1), broker_restarts=0, workload_restarts=0)
        store.record_trial("no-such-run", made.trial(1), broker_restarts=0, workload_restarts=0)
        store.record_trial(run, made.trial(2), broker_restarts=0, workload_restarts=0)
        assert [trial.number for trial in store.trials(run)] == [1, 2]
        assert store._opened.spool is not None
        assert store._opened.spool.refused() == 1
    assert told.has("foreign key")


def test_a_full_spool_is_told_before_anything_is_refused(at_server: Server, restarted: Postgres) -> None:
    small = replace(at_server, spool_bytes=2**18)
    with Store.open(small) as store:
        run = store.create_run(made.run_info())
        restarted.kill()
        kept = 0
        while not store.why_full:
            _record(store, run, range(kept + 1, kept + 2))
            kept += 1
        assert kept > 5
        store.set_state(run, State.PAUSED, "full")  # there is a reserve
        with pytest.raises(SpoolFull, match="nothing more can be kept"):
            _record(store, run, range(kept + 1, kept + 1000))
        restarted.start()
        until(lambda: not store.why_full, "there is room again")
    assert _numbers(at_server.url, restarted)[:kept] == list(range(1, kept + 1))


def test_a_statement_that_takes_too_long(at_server: Server, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody holds a lock on our tables: a reader is told, a writer goes on."""
    monkeypatch.setattr("brokertuner_tui.store.postgres.STATEMENT_TIMEOUT_MS", 200)
    told = Told()
    with Store.open(at_server, tell=told) as store:
        run = store.create_run(made.run_info())
        with postgres.connect(at_server.url) as other:
            other.execute("BEGIN; LOCK TABLE trials, runs")
            with pytest.raises(StoreAway, match="statement timeout"), Store.open(at_server, read_only=True) as reader:
                reader.runs()
            assert _record(store, run, range(1, 3)) < AT_ONCE_S
            until(lambda: told.has("statement timeout"), "it is said")
            other.execute("ROLLBACK")
        until(lambda: told.has("is back after"), "it is back")
        assert len(store.trials(run)) == 2


def test_the_pool(at_server: Server) -> None:
    opened = pg.open_engine(at_server, pool_timeout_s=0.2)
    pool: Any = opened.pool
    assert (pool.size(), pool._max_overflow, pool._recycle, pool._pre_ping) == (5, 10, 1800, True)
    assert pg.POOL_TIMEOUT_S == 30
    assert pg.CONNECT_TIMEOUT_S == 10
    held = [opened.connect() for _ in range(15)]
    with pytest.raises(StoreAway, match="QueuePool limit of size 5 overflow 10"), pg.speaking("x"):
        opened.connect()
    shown = [str(held[0].scalar(text(f"SHOW {name}"))) for name in ("statement_timeout", "timezone", "application_name")]
    assert shown[:2] == ["15s", "UTC"]
    assert f":{os.getpid()} " in shown[2]
    for connection in held:
        connection.close()
    opened.dispose()


def test_a_reader_cannot_write(at_server: Server) -> None:
    Store.open(at_server).close()
    with (
        Store.open(at_server, read_only=True) as store,
        pytest.raises(StoreError, match="read-only transaction"),
    ):
        store.create_run(made.run_info())


def test_a_password_comes_from_a_file_that_others_cannot_read(at_server: Server, tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("s3cret-one\n")
    with_file = replace(at_server, password_file=path)
    path.chmod(0o644)
    with pytest.raises(UsageError, match=r"store\.password_file .*chmod 600") as error:
        Store.open(with_file)
    assert "s3cret" not in str(error.value)
    path.chmod(0o600)
    assert with_file.password() == "s3cret-one"
    Store.open(with_file).close()
    assert "s3cret-one" not in repr(with_file)


def test_a_missing_driver_names_the_extra(at_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"pip install 'brokertuner-tui\[postgres\]'"):
        Store.open(at_server)


@pytest.mark.parametrize("table", ["CREATE TABLE schema_version (version INTEGER)", "CREATE TABLE runs (name TEXT)"])
def test_another_programs_tables_stay_as_they_are(at_server: Server, postgres: Postgres, table: str) -> None:
    postgres.execute(table, at_server.url)
    columns = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
    before = postgres.execute(columns, at_server.url)
    with pytest.raises(StoreError) as error:
        Store.open(at_server)
    assert "\n" not in str(error.value)
    assert postgres.execute(columns, at_server.url) == before


def test_a_newer_store_stays_as_it_is(at_server: Server, postgres: Postgres) -> None:
    Store.open(at_server).close()
    postgres.execute("UPDATE schema_version SET version = 99", at_server.url)
    for read_only in (True, False):
        with pytest.raises(StoreError, match="newer brokertuner-tui"):
            Store.open(at_server, read_only=read_only)
