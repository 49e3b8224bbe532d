"""A migration that is killed with -9, wherever it is: the store is as it was, and the next start brings it up to date."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from brokertuner_tui.store import schema
from brokertuner_tui.store.store import Store
from tests.cli.program import ROOT
from tests.store import made

_NEWER = """
import os, signal, sys
from pathlib import Path
from types import MappingProxyType
from sqlalchemy import text
from brokertuner_tui.store import engine, migrations, schema
from brokertuner_tui.store.store import Store

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def step(connection):
    connection.execute(text("ALTER TABLE runs ADD COLUMN note TEXT"))
    connection.execute(text("UPDATE runs SET note = 'new', state = 'cancelled'"))
    if sys.argv[2] == "in the step":
        die()

replace = os.replace
def replaces(source, target):
    if sys.argv[2] == "before the copy has its name":
        die()
    replace(source, target)
    if sys.argv[2] == "after the copy":
        die()

os.replace = replaces
schema.VERSION += 1
migrations.STEPS = MappingProxyType({**migrations.STEPS, schema.VERSION: step})
Store.open(Path(sys.argv[1])).close()
"""


def _state(path: Path) -> tuple[int, list[str], str]:
    with closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("SELECT version FROM schema_version").fetchone()
        columns = [row[1] for row in connection.execute("PRAGMA table_info(runs)")]
        (state,) = connection.execute("SELECT state FROM runs").fetchone()
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return version, columns, state


@pytest.mark.parametrize("where", ["before the copy has its name", "after the copy", "in the step"])
def test_killed_in_the_middle(tmp_path: Path, where: str) -> None:
    path = tmp_path / "store.db"
    with Store.open(path) as store:
        run = store.create_run(made.run_info())
        store.record_trial(run, made.trial(1), broker_restarts=0, workload_restarts=0)
        store.finish_run(run, made.finished(run))
    before = _state(path)

    def migrate(at: str) -> int:
        command = [sys.executable, "-c", _NEWER, str(path), at]
        return subprocess.run(command, cwd=ROOT, timeout=60, check=False).returncode

    assert migrate(where) == -signal.SIGKILL
    with Store.open(path, read_only=True) as store:  # this version's: nothing was brought up to date
        assert store.run("last").trials == 1
    assert _state(path) == before
    assert migrate("nowhere") == 0
    version, columns, state = _state(path)
    assert (version, "note" in columns, state) == (schema.VERSION + 1, True, "cancelled")
    assert _state(tmp_path / f"store.db.v{schema.VERSION}") == before
    assert not [each.name for each in tmp_path.iterdir() if ".part" in each.name]
