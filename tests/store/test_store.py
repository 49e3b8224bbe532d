"""What goes into the store comes out of it, for another process too, and nothing that is not ours is touched."""

from __future__ import annotations

import math
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from brokertuner_tui.env.outcome import Verdict
from brokertuner_tui.process.owner import Owner
from brokertuner_tui.store import schema
from brokertuner_tui.store.errors import NoSuchRun, StoreError, WriterElsewhere
from brokertuner_tui.store.place import Server
from brokertuner_tui.store.store import Store
from brokertuner_tui.tuning.events import State
from brokertuner_tui.workload.profile import Profile
from tests.postgres import until
from tests.store import made
from tests.store.conftest import Place

ROOT = Path(__file__).parents[2]


def test_a_whole_run_comes_back(place: Place) -> None:
    with place.open() as store:
        run = store.create_run(made.run_info())
        store.set_state(run, State.TUNING)
        store.record_trial(run, made.trial(1), broker_restarts=1, workload_restarts=0)
        store.record_trial(run, made.trial(2, verdict=Verdict.FAILED), broker_restarts=2, workload_restarts=1)
        store.record_confirmation(run, made.confirmed(), [("default", made.window(on_time=0)), ("best", made.window())])
        store.finish_run(run, made.finished(run))
    assert re.fullmatch(r"20261121-010000-[0-9a-f]{3}", run)
    with place.open(read_only=True) as store:
        row = store.run(run)
        first, second = store.trials(run)
        (confirmation,) = store.confirmations(run)
        assert [str(listed) for listed in store.runs()] == [str(row)]  # NaN is not equal to itself
    assert Profile.from_dict(row.info.profile) == made.PROFILE
    assert replace(row.info, profile=made.PROFILE.as_dict()) == made.run_info()
    assert (row.state, row.trials, row.ok_trials, row.seconds) == ("completed", 2, 1, 109.5)
    assert (row.broker_restarts, row.workload_restarts, row.left, row.better) == (3, 1, "best", True)
    assert row.best == made.BEST_MEASURED
    assert row.best_knobs == made.BEST_KNOBS
    assert row.ratio_low == math.inf
    assert row.default is not None
    assert math.isnan(row.default.p99_ms)
    event = made.trial(1)
    assert first.window == event.outcome.window
    assert first.applied == event.outcome.applied
    assert first.timings == event.outcome.timings
    assert first.usage == event.outcome.usage
    assert first.agent == event.agent
    assert first.knobs == event.outcome.knobs
    assert first.action == event.action
    assert first.observation[:2] == (0.1, 0.2)
    assert math.isnan(first.observation[2])
    assert (first.pid, first.broker_restarts, first.kind, first.reward) == (4242, 1, "agent", 0.75)
    assert first.sample is not None
    assert first.sample["process"]["rss_bytes"] == 5_000_000
    assert "raw" not in first.sample["sys"]
    assert (second.verdict, second.window, second.applied, second.reward, second.pid) == ("failed", None, None, None, None)
    assert second.reason == "the broker exited with 3: Invalid value"
    assert [which for which, _ in confirmation.windows] == ["default", "best"]
    assert confirmation.windows[1][1] == made.window()
    assert confirmation.profile == "fanout"


def test_file_and_folder_are_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "store.db"
    Store.open(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_an_end_without_figures_keeps_what_was_confirmed(place: Place) -> None:
    with place.open() as store:
        run = store.create_run(made.run_info())
        store.record_confirmation(run, made.confirmed())
        store.finish_run(run, made.finished(run, state=State.FAILED, default=None, best=None, best_knobs=None))
        row = store.run(run)
    assert row.state == "failed"
    assert row.best == made.BEST_MEASURED
    assert row.best_knobs == made.BEST_KNOBS


def test_a_run_is_found_by_id_prefix_and_last(place: Place) -> None:
    with place.open() as store:
        with pytest.raises(NoSuchRun, match="runs list"):
            store.run("last")
        old = store.create_run(made.run_info(started_at=1_700_000_000.0))
        new = store.create_run(made.run_info())
        assert store.run("last").id == new
        assert store.run(old[:10]).id == old
        assert [row.id for row in store.runs()] == [new, old]
        with pytest.raises(NoSuchRun, match="more than one run begins with '20'"):
            store.run("20")
        for wrong in ("", "%", "2026_", "nonsense"):
            with pytest.raises(NoSuchRun):
                store.run(wrong)


def test_two_runs_in_one_second(place: Place) -> None:
    with place.open() as store:
        assert len({store.create_run(made.run_info()) for _ in range(20)}) == 20


def test_a_second_writer_is_told_who_writes(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store.db"), pytest.raises(StoreError, match=f"process {os.getpid()}.*--save-dir"):
        Store.open(tmp_path / "store.db")
    Store.open(tmp_path / "store.db").close()


_PLACE = """
import sys
from pathlib import Path
from brokertuner_tui.store.place import Server
from brokertuner_tui.store.store import Store
def where():
    return Server(sys.argv[1], Path(sys.argv[2])) if "://" in sys.argv[1] else Path(sys.argv[1])
"""
_READER = """
with Store.open(where(), read_only=True) as store:
    print(*[f"{row.state} {row.trials}" for row in store.runs()])
"""


def _script(code: str, place: Place) -> list[str]:
    where = place.where
    words = [where.url, str(where.spool)] if isinstance(where, Server) else [str(where)]
    return [sys.executable, "-c", _PLACE + code, *words]


def test_another_process_reads_while_we_write(place: Place) -> None:
    with place.open() as store:
        run = store.create_run(made.run_info())
        store.set_state(run, State.TUNING)
        for number in range(1, 4):
            store.record_trial(run, made.trial(number), broker_restarts=0, workload_restarts=0)
        assert len(store.trials(run)) == 3
        command = _script(_READER, place)
        read = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
        assert read.stdout.strip() == "running 3"
        store.record_trial(run, made.trial(4), broker_restarts=0, workload_restarts=0)


_WRITER = """
from tests.store import made
store = Store.open(where())
run = store.create_run(made.run_info())
for number in range(1, 10_000):
    store.record_trial(run, made.trial(number), broker_restarts=0, workload_restarts=0)
    print(number, flush=True)
"""


def test_what_was_acknowledged_survives_kill_9(place: Place) -> None:
    writer = subprocess.Popen(_script(_WRITER, place), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    while writer.stdout.readline().strip() != "20":
        assert writer.poll() is None
    writer.send_signal(signal.SIGKILL)
    acknowledged = int(["20", *writer.stdout.read().split()][-1])
    writer.wait(timeout=30)
    with place.open(read_only=True) as store:
        (row,) = store.runs()
        assert row.state == "interrupted"
    if isinstance(place.where, Server):  # until the server has noticed that its client is gone, the lock is not free
        until(lambda: _can_be_opened(place), "the lock is free")
    with place.open() as store:  # its lock is free, and the run is ended for good
        row = store.run("last")
        assert acknowledged <= row.trials <= acknowledged + 1
        assert [trial.number for trial in store.trials(row.id)] == list(range(1, row.trials + 1))
        assert row.reason == "the process that ran it is gone"


def _can_be_opened(place: Place) -> bool:
    try:
        place.open().close()
    except WriterElsewhere:
        return False
    return True


def test_a_file_is_whole_after_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    writer = subprocess.Popen(_script(_WRITER, Place(path)), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline()
    writer.kill()
    writer.communicate()
    Store.open(path).close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT state FROM runs").fetchone() == ("interrupted",)
    connection.close()


def test_who_is_alive() -> None:
    owner = Owner.this_process()
    assert owner.alive()
    assert not replace(owner, created_at=owner.created_at - 100).alive()
    assert not replace(owner, boot_id="another").alive()
    assert not replace(owner, boot_id="another", host="").alive()  # an older record
    elsewhere = replace(owner, boot_id="another", host="another-host", pid=2**22 - 1)
    assert elsewhere.is_elsewhere
    assert elsewhere.alive()  # as far as can be seen from here


def _foreign(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()


def _garbage(path: Path) -> None:
    path.write_bytes(b"not a database at all\n" * 400)


def _newer(path: Path) -> None:
    Store.open(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE schema_version SET version = 99")
    connection.close()


def _another_programs_version_table(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE schema_version (version INTEGER)")
    connection.close()


@pytest.mark.parametrize("spoil", [_foreign, _garbage, _newer, _another_programs_version_table])
@pytest.mark.parametrize("read_only", [True, False])
def test_what_is_not_ours_stays_as_it_is(tmp_path: Path, spoil: object, read_only: bool) -> None:
    path = tmp_path / "store.db"
    assert callable(spoil)
    spoil(path)
    before = path.read_bytes()
    with pytest.raises(StoreError) as told:
        Store.open(path, read_only=read_only).close()
    assert "\n" not in str(told.value)
    assert str(path) in str(told.value)
    assert path.read_bytes() == before


def test_an_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot be written: .*file/below.*Not a directory"):
        Store.open(tmp_path / "file" / "below" / "store.db")
    with pytest.raises(StoreError, match="there is no store at"):
        Store.open(tmp_path / "store.db", read_only=True)
    assert not (tmp_path / "store.db").exists()


def test_a_crash_while_the_tables_are_made_leaves_an_empty_file(tmp_path: Path) -> None:
    """A file without tables is a new one, whatever made it."""
    path = tmp_path / "store.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    with pytest.raises(StoreError, match="nothing in it yet"):
        Store.open(path, read_only=True)
    with Store.open(path) as store:
        assert store.runs() == []


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    """RLIMIT_FSIZE stands for the full disk."""
    path = tmp_path / "store.db"
    script = (
        "import resource, signal, sys; from tests.store import made; from brokertuner_tui.store.store import Store\n"
        "from brokertuner_tui.store.errors import StoreError\n"
        "store = Store.open(sys.argv[1]); run = store.create_run(made.run_info())\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n"
        "for number in range(1, 1000):\n"
        "    try: store.record_trial(run, made.trial(number), broker_restarts=0, workload_restarts=0)\n"
        "    except StoreError as error: print(error); sys.exit(7)\n"
        "    print(number)\n"
    )
    command = [sys.executable, "-c", script, str(path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 7, ended.stderr
    *acknowledged, told = ended.stdout.splitlines()
    assert str(path) in told
    with Store.open(path, read_only=True) as store:
        assert len(store.trials(store.run("last").id)) == len(acknowledged) > 0


def test_a_read_only_medium_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "store.db"
    with Store.open(path) as store:
        store.create_run(made.run_info())
    monkeypatch.setattr(os, "access", lambda *_: False)  # we may be root, whom no mode stops
    with Store.open(path, read_only=True) as store:
        assert len(store.runs()) == 1
    assert sorted(os.listdir(tmp_path)) == ["store.db", "store.db.lock"]


def test_a_commit_is_synchronous(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store.db") as store, store._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 10_000


def test_postgresql_understands_the_tables(tmp_path: Path) -> None:
    for table in schema.metadata.sorted_tables:
        made_sql = str(CreateTable(table).compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
        assert f"CREATE TABLE {table.name}" in made_sql
        assert "AUTOINCREMENT" not in made_sql
    with pytest.raises(StoreError) as told:
        Store.open(Server("nosuchdatabase://user:secret@host/db", tmp_path / "spool.db"))
    assert "secret" not in str(told.value)


def test_a_trial_is_kept_in_little_time(place: Place) -> None:
    with place.open() as store:
        run = store.create_run(made.run_info())
        start = time.monotonic()
        for number in range(1, 51):
            store.record_trial(run, made.trial(number), broker_restarts=0, workload_restarts=0)
        assert (time.monotonic() - start) / 50 < 0.1  # a few ms as a rule: the disk decides


ODD = "\x00 nul, \udc80 half a character, ünïcödé 💡 " + "x" * 5000


def test_odd_text_and_odd_numbers_are_kept_alike(place: Place) -> None:
    """PostgreSQL takes no NUL in text, SQLite makes NULL of NaN, neither takes half a character."""
    outcome = made.trial(1).outcome
    odd_window = made.window(p50_ms=5e-324, p99_ms=math.nan, max_ms=math.inf, histogram=((math.inf, 2**53 + 1),))
    event = made.trial(
        1,
        outcome=replace(outcome, reason=ODD, window=odd_window),
        reward=math.nan,
        reward_terms={"tiny": 5e-324, "huge": 1.7976931348623157e308, "none": math.nan, "low": -math.inf},
        observation=(-0.0, 5e-324, math.inf),
    )
    with place.open() as store:
        run = store.create_run(made.run_info(seed=2**32 - 1, workload=ODD, config={"text": ODD, "\x00": [2**63 - 1, 1e-320]}))
        store.record_trial(run, event, broker_restarts=2**31 - 1, workload_restarts=0)
        store.record_trial(run, made.trial(2, reward=math.inf), broker_restarts=0, workload_restarts=0)
        store.set_state(run, State.TUNING, ODD)
    with place.open(read_only=True) as store:
        row = store.run(run)
        first, second = store.trials(run)
    clean = ODD.replace("\x00", "\ufffd").replace("\udc80", "?")
    assert (row.info.workload, row.reason, row.info.seed) == (clean, clean, 2**32 - 1)
    assert row.info.config == {"text": clean, "\ufffd": [2**63 - 1, 1e-320]}
    assert first.reason == clean
    assert first.reward is None
    assert second.reward == math.inf
    assert first.window is not None
    assert (first.window.p50_ms, first.window.max_ms) == (5e-324, math.inf)
    assert math.isnan(first.window.p99_ms)
    assert first.window.histogram == ((math.inf, 2**53 + 1),)
    assert first.observation == (-0.0, 5e-324, math.inf)
    assert math.copysign(1, first.observation[0]) == -1
    assert (first.reward_terms["tiny"], first.reward_terms["huge"]) == (5e-324, 1.7976931348623157e308)
    assert first.reward_terms["low"] == -math.inf
    assert math.isnan(first.reward_terms["none"])
    assert first.at == event.at
