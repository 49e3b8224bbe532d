"""A disk that is really full: what was acknowledged stays, what was not waits, and is there when there is room again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from brokertuner_tui.store.csv_logs import CsvLogs
from brokertuner_tui.store.errors import StoreError
from brokertuner_tui.store.store import Store
from tests.cli.program import ROOT
from tests.small_disk import on_small_disk
from tests.store import made

_BEGINNING = """
import json, sys
from pathlib import Path
from tests.small_disk import fill
from tests.store import made
from brokertuner_tui.errors import DiskFailed, TunerError
from brokertuner_tui.store.csv_logs import CsvLogs
from brokertuner_tui.store.errors import DiskFull, StoreError
from brokertuner_tui.store.spool import Spool
from brokertuner_tui.store.store import Store
from brokertuner_tui.tuning.events import State
folder = Path(sys.argv[1])

def say(**values):
    print(json.dumps(values), flush=True)
"""
_STORE = """
store = Store.open(folder / "store.db"); run = store.create_run(made.run_info())
store.record_trial(run, made.trial(1), broker_restarts=0, workload_restarts=0)
say(before=store.why_full)
ballast = fill(folder)
for number in range(2, 200):
    try:
        store.record_trial(run, made.trial(number), broker_restarts=0, workload_restarts=0)
    except DiskFull as error:
        say(unkept=number, error=str(error), why=store.why_full, retried=store.retry())
        break
try:
    store.set_state(run, State.PAUSED, "the disk is full")
except DiskFull:
    say(known=store.run(run).trials, state=store.run(run).state)
ballast.unlink()
say(room=store.why_full, retried=store.retry(), kept=[row.number for row in store.trials(run)], state=store.run(run).state)
store.close()
"""
_SPOOL = """
spool = Spool(folder / "spool.db", "somewhere", max_bytes=2**26)
spool.append("first")
ballast = fill(folder)
try:
    for number in range(500):
        spool.append("x" * 900)
except DiskFull as error:
    say(error=str(error), room=spool.room.why_full, waiting=len(spool))
ballast.unlink()
spool.append("last")
say(room=spool.room.why_full, first=spool.first(1)[0][1], waiting=len(spool), last=spool.first(1000)[-1][1])
spool.close()
"""
_CSV = """
logs = CsvLogs(folder, run="r")
logs.trial(made.trial(1))
ballast = fill(folder)
failed = 0
for number in range(2, 60):
    try:
        logs.trial(made.trial(number))
    except StoreError as error:
        failed, said = failed + 1, str(error)
ballast.unlink()
logs.trial(made.trial(60))
logs.close()
say(failed=failed, error=said)
"""


def _ran(script: str, folder: Path, size: str, keep: Path | None = None) -> list[dict[str, Any]]:
    command = on_small_disk(size, folder, sys.executable, "-c", _BEGINNING + script, str(folder), keep=keep)
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_what_finds_no_room_waits_and_is_written_before_anything_else(tmp_path: Path) -> None:
    before, full, known, after = _ran(_STORE, tmp_path / "disk", "2m", tmp_path / "kept")
    assert before == {"before": ""}
    assert full["error"].startswith("the disk is full: ")
    assert full["why"].startswith("the disk is full: ")
    assert full["retried"] is False
    unkept = full["unkept"]
    assert known == {"known": unkept, "state": "paused"}  # what the session knows, though the disk does not
    assert after == {"room": "", "retried": True, "kept": list(range(1, unkept + 1)), "state": "paused"}
    with Store.open(tmp_path / "kept" / "store.db", read_only=True) as store:
        assert store.run("last").trials == unkept


def test_the_same_for_what_waits_for_a_server(tmp_path: Path) -> None:
    full, after = _ran(_SPOOL, tmp_path / "disk", "2m")
    assert full["error"].startswith("the disk is full: the spool ")
    assert full["room"].startswith("the disk is full: ")
    assert after == {"room": "", "first": "first", "waiting": full["waiting"] + 1, "last": "last"}


def test_a_csv_row_is_kept_whole(tmp_path: Path) -> None:
    (said,) = _ran(_CSV, tmp_path / "disk", "1m", tmp_path / "kept")
    assert said["failed"] > 20
    assert "No space left on device" in said["error"]
    for name in ("logs/progress.csv", "action_throughput_log.csv"):
        lines = (tmp_path / "kept" / name).read_text().splitlines()
        assert len(lines) == 61
        assert len({line.count(",") for line in lines}) == 1


def test_rows_that_can_never_be_written_do_not_gather(tmp_path: Path) -> None:
    logs = CsvLogs(tmp_path)
    logs._actions._file.close()
    logs._actions._file = open("/dev/full", "ab", buffering=0)  # noqa: SIM115
    for number in range(3000):
        with pytest.raises(StoreError, match="No space left"):
            logs.trial(made.trial(number))
    assert len(logs._actions._rest) < 2**20 + 1000
    logs.close()
    assert len((tmp_path / "logs" / "progress.csv").read_text().splitlines()) == 3001


def test_a_full_disk_is_told_apart(tmp_path: Path) -> None:
    """Whoever is in our way is no lack of room."""
    path = tmp_path / "store.db"
    with Store.open(path) as store:
        run = store.create_run(made.run_info())
        with store._engine.connect() as connection:
            connection.exec_driver_sql("DROP TABLE trials")
            connection.commit()
        with pytest.raises(StoreError, match="no such table"):
            store.record_trial(run, made.trial(1), broker_restarts=0, workload_restarts=0)
        assert store.why_full == ""
        assert store.retry()
