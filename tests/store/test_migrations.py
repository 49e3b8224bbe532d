"""A store of an older version is brought up to date whole, with a copy kept, or stays as it was."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path
from types import MappingProxyType

import pytest
from sqlalchemy import Connection, text

from brokertuner_tui.store import migrations, schema
from brokertuner_tui.store.errors import StoreError
from brokertuner_tui.store.store import Store
from tests.store import made
from tests.store.conftest import Place

VERSION_1 = Path(__file__).with_name("version_1.sql")


def _add_note(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE runs ADD COLUMN note TEXT"))
    connection.execute(text("UPDATE runs SET note = 'from ' || preset"))


def _fail(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE half_done (id INTEGER)"))
    connection.execute(text("ALTER TABLE no_such_table ADD COLUMN note TEXT"))


@pytest.fixture
def old(place: Place) -> Place:
    """A store with a run."""
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
    _version(monkeypatch, {2: _add_note, 3: add_more})
    with pytest.raises(StoreError, match="store version 1"):
        old.open(read_only=True)
    assert _notes(old) == ["from slo, and more"]
    assert _notes(old) == ["from slo, and more"]
    with old.open(read_only=True) as store:
        assert store.run("last").trials == 1


@pytest.mark.parametrize("steps", [{2: _add_note, 3: _fail}, {3: _add_note}])
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
            assert connection.scalar(text("SELECT version FROM schema_version")) == 1
    _version(monkeypatch, {2: _add_note})  # its column is not there yet
    assert _notes(old) == ["from slo"]


def test_a_file_is_copied_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "store.db"
    with Store.open(path) as store:
        run = store.create_run(made.run_info())
    _version(monkeypatch, {2: _add_note})
    Store.open(path).close()
    copy = tmp_path / "store.db.v1"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    monkeypatch.setattr(schema, "VERSION", 1)
    with Store.open(copy, read_only=True) as store:
        assert store.run("last").id == run
    assert not (tmp_path / "store.db.v1.part").exists()


def test_a_file_that_version_1_made_can_be_used(tmp_path: Path) -> None:
    """`version_1.sql` is what the first release wrote; every later one has to read it."""
    path = tmp_path / "store.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(VERSION_1.read_text())
    connection.close()
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


def test_version_1_is_what_the_tables_were(tmp_path: Path) -> None:
    """A table that changes needs a new version; with that, this test goes."""
    assert schema.VERSION == 1
    found = []
    for name, script in (("old.db", VERSION_1.read_text()), ("new.db", "")):
        path = tmp_path / name
        with sqlite3.connect(path) as connection:
            connection.executescript(script)
        connection.close()
        Store.open(path).close()
        with sqlite3.connect(path) as connection:
            found.append(
                [
                    " ".join(row[0].split())
                    for row in connection.execute("SELECT sql FROM sqlite_master ORDER BY name")
                    if row[0]
                ]
            )
        connection.close()
    assert found[0] == found[1]
