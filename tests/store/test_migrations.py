"""A store of an older version is brought up to date whole, with a copy kept, or stays as it was."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path
from types import MappingProxyType

import pytest
from sqlalchemy import Connection, text

from brokertuner_tui.store import migrations, opening, postgres, schema
from brokertuner_tui.store.errors import StoreError
from brokertuner_tui.store.rows import BrokerIdentity, LoadIdentity
from brokertuner_tui.store.store import Store
from tests.store import made
from tests.store.conftest import Place, server

VERSION_1, VERSION_2, VERSION_3, VERSION_4 = (Path(__file__).with_name(f"version_{number}.sql") for number in (1, 2, 3, 4))


def _add_note(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE runs ADD COLUMN note TEXT"))
    connection.execute(text("UPDATE runs SET note = 'from ' || preset"))


def _fail(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE half_done (id INTEGER)"))
    connection.execute(text("ALTER TABLE no_such_table ADD COLUMN note TEXT"))


@pytest.fixture
def old(place: Place) -> Place:
    """A store with a run, of today's version (4)."""
    with place.open() as store:
        run = store.create_run(made.run_info())
        store.record_trial(run, made.trial(1), broker_restarts=0, workload_restarts=0)
        store.finish_run(run, made.finished(run))
    return place


def _version(monkeypatch: pytest.MonkeyPatch, steps: dict[int, migrations.Step]) -> None:
    monkeypatch.setattr(migrations, "STEPS", MappingProxyType(steps))
    monkeypatch.setattr(schema, "VERSION", max(steps))


def _notes(place: Place) -> list[str]:
    with place.open() as store, store._engine.connect() as connection:
        return list(connection.scalars(text("SELECT note FROM runs")))


def test_every_step_runs_once_and_in_order(old: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def add_more(connection: Connection) -> None:
        connection.execute(text("UPDATE runs SET note = note || ', and more'"))

    with old.open(read_only=True) as store:
        assert store.run("last").trials == 1
    _version(monkeypatch, {5: _add_note, 6: add_more})
    with pytest.raises(StoreError, match="store version 4"):
        old.open(read_only=True)
    assert _notes(old) == ["from slo, and more"]
    assert _notes(old) == ["from slo, and more"]
    with old.open(read_only=True) as store:
        assert store.run("last").trials == 1


@pytest.mark.parametrize("steps", [{5: _add_note, 6: _fail}, {6: _add_note}])
def test_a_step_that_fails_leaves_the_store_as_it_was(
    old: Place, steps: dict[int, migrations.Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as newer:
        _version(newer, steps)
        with pytest.raises(StoreError) as error:
            old.open()
        assert "\n" not in str(error.value)
    with old.open() as store:
        assert store.run("last").trials == 1
        with store._engine.connect() as connection:
            assert connection.scalar(text("SELECT version FROM schema_version")) == 4
    _version(monkeypatch, {5: _add_note})  # its column is not there yet
    assert _notes(old) == ["from slo"]


def test_a_file_is_copied_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "store.db"
    with Store.open(path) as store:
        run = store.create_run(made.run_info())
    _version(monkeypatch, {5: _add_note})
    Store.open(path).close()
    copy = tmp_path / "store.db.v4"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    monkeypatch.setattr(schema, "VERSION", 4)
    with Store.open(copy, read_only=True) as store:
        assert store.run("last").id == run
    assert not (tmp_path / "store.db.v4.part").exists()


def test_a_file_that_version_1_made_can_be_used(tmp_path: Path) -> None:
    """`version_1.sql` is what the first release wrote; every later one has to read it."""
    path = tmp_path / "store.db"
    _make(path, VERSION_1)
    with Store.open(path) as store:
        row = store.run("last")
        assert (row.id, row.state, row.trials, row.best_knobs) == ("20261121-010000-abc", "completed", 1, made.BEST_KNOBS)
        assert row.info.owner.host == ""
        (trial,) = store.trials(row.id)
        assert trial.window == made.trial(1).outcome.window
        assert len(store.confirmations(row.id)) == 1
        assert store.create_run(made.run_info())
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT version FROM schema_version").fetchone() == (schema.VERSION,)
    connection.close()


@pytest.mark.parametrize(
    ("then", "now"),
    [("starting", "created"), ("tuning", "running"), ("stepping", "running"), ("paused", "paused"), ("confirming", "running")],
)
def test_the_words_of_version_1_for_a_run_become_those_of_today(
    then: str, now: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.db"
    _make(path, VERSION_1)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE runs SET state = ?", (then,))
    connection.close()
    monkeypatch.setattr(opening, "_mark_interrupted", lambda *_, **__: None)
    with Store.open(path) as store:
        with store._engine.connect() as connected:
            assert connected.scalar(text("SELECT state FROM runs")) == now
        row = store.run("last")
        assert (row.state, row.resumed, row.info.mode, row.broker, row.load) == ("interrupted", 0, "guarded", None, None)
        assert store.trials(row.id)[0].pinned is None


def test_a_server_is_migrated_as_a_file_is(database: str, tmp_path: Path) -> None:
    place = server(database, tmp_path)
    Store.open(place).close()
    engine = postgres.open_engine(place)
    with engine.begin() as connection:  # what version 1 did not have
        for column in ("broker", "load", "mode", "resumed"):
            connection.execute(text(f"ALTER TABLE runs DROP COLUMN {column}"))
        connection.execute(text("ALTER TABLE trials DROP COLUMN pinned"))
        connection.execute(text("DROP TABLE insights"))
        connection.execute(text("DROP TABLE ablations"))
        connection.execute(text("UPDATE schema_version SET version = 1"))
    engine.dispose()
    with Store.open(place) as store:
        run = store.create_run(made.run_info(mode="autonomous"))
        store.record_trial(run, made.trial(1), broker_restarts=0, workload_restarts=0, pinned={"persistence": True})
        assert (store.run(run).info.mode, store.run(run).resumed) == ("autonomous", 0)
        assert store.trials(run)[0].pinned == {"persistence": True}
        store.record_insight(run, 1, made.LOADS)
        found = store.insight(run)
        assert found is not None
        assert (found.trials, found.loads) == (1, made.LOADS)
        store.record_ablation(run, made.ABLATION)
        assert store.ablations(run) == [made.ABLATION]


def test_a_file_that_version_2_made_can_be_used(tmp_path: Path) -> None:
    """`version_2.sql` is what that version wrote; every later one has to read it."""
    path = tmp_path / "store.db"
    _make(path, VERSION_2)
    with Store.open(path) as store:
        done, dead = store.run("20261121-010000-abc"), store.run("20261121-020000-def")
        assert (done.state, done.trials, done.best_knobs, done.resumed) == ("completed", 1, made.BEST_KNOBS, 0)
        assert (dead.state, dead.info.mode, dead.resumed) == ("interrupted", "recommend", 1)
        assert dead.broker == BrokerIdentity(4242, 1795226400.0, "127.0.0.1", 1883, "runs/20261121-020000-def/broker", True)
        assert dead.load == LoadIdentity(4300, 1795226401.0)
        assert store.trials(dead.id)[0].pinned == {"persistence": False}


def test_a_file_that_version_3_made_can_be_used(tmp_path: Path) -> None:
    """`version_3.sql` is what this version wrote; every later one has to read it."""
    path = tmp_path / "store.db"
    _make(path, VERSION_3)
    with Store.open(path) as store:
        run = store.run("last").id
        row = store.insight(run)
        assert row is not None
        assert (row.number, row.trials, row.loads) == (1, 1, made.LOADS)
        assert store.insight("of no run") is None


def test_a_file_that_version_4_made_can_be_used(tmp_path: Path) -> None:
    """`version_4.sql` is what this version wrote; every later one has to read it."""
    path = tmp_path / "store.db"
    _make(path, VERSION_4)
    with Store.open(path) as store:
        run = store.run("last").id
        assert store.ablations(run) == [made.ABLATION]
        row = store.insight(run)
        assert row is not None
        assert row.loads == made.LOADS
        assert store.ablations("of no run") == []


def test_every_way_to_todays_tables_ends_at_the_same_ones(tmp_path: Path) -> None:
    """A table that changes needs a new version, a step to it, and a fixture of it."""
    assert schema.VERSION == 4
    found = []
    for name, script in (
        ("new.db", None),
        ("one.db", VERSION_1),
        ("two.db", VERSION_2),
        ("three.db", VERSION_3),
        ("four.db", VERSION_4),
    ):
        path = tmp_path / name
        if script is not None:
            _make(path, script)
        Store.open(path).close()
        with sqlite3.connect(path) as connection:
            names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
            found.append(
                {
                    table: {
                        row[1:]
                        for row in connection.execute(
                            f"SELECT 0, name, type, \"notnull\", pk FROM pragma_table_info('{table}')"
                        )
                    }
                    for table in names
                }
            )
        connection.close()
    assert all(one == found[0] for one in found)
    assert ("broker", "JSON", 0, 0) in found[0]["runs"]


def _make(path: Path, script: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.executescript(script.read_text())
    connection.close()
