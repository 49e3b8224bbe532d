"""After an fsync that failed nothing is acknowledged, and nothing is synced a second time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from brokertuner_tui.store.store import Store
from tests.cli.program import ROOT
from tests.failing_disk import syncs, with_failing_fsync

_STORE = """
import json, sys
from pathlib import Path
from tests.store import made
from brokertuner_tui.errors import DiskFailed
from brokertuner_tui.store.spool import Spool
from brokertuner_tui.store.store import Store
from brokertuner_tui.tuning.events import State
path, said = Path(sys.argv[1]), {"acknowledged": 0, "refused": []}
store = Store.open(path)
run = store.create_run(made.run_info())
for number in range(1, 30):
    try:
        store.record_trial(run, made.trial(number), broker_restarts=0, workload_restarts=0)
        said["acknowledged"] += 1
    except DiskFailed as error:
        said["refused"].append(str(error))
for action in (lambda: store.finish_run(run, made.finished(run)), store.retry, lambda: store.set_state(run, State.FAILED)):
    try:
        action()
    except DiskFailed as error:
        said["refused"].append(str(error))
store.close()
print(json.dumps(said))
"""
_SPOOL = """
import json, sys
from pathlib import Path
from brokertuner_tui.errors import DiskFailed
from brokertuner_tui.store.spool import Spool
said = {"acknowledged": 0, "refused": []}
spool = Spool(Path(sys.argv[1]), "somewhere", max_bytes=2**26)
for number in range(30):
    try:
        spool.append(str(number))
        said["acknowledged"] += 1
    except DiskFailed as error:
        said["refused"].append(str(error))
spool.close()
print(json.dumps(said))
"""


def _ran(script: str, path: Path, tmp_path: Path) -> tuple[int, list[str], list[tuple[str, bool]]]:
    log = tmp_path / "strace.txt"
    command = with_failing_fsync(log, 12, sys.executable, "-c", script, str(path), only=path.with_name(f"{path.name}-wal"))
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout)
    return said["acknowledged"], said["refused"], syncs(log)


def test_the_store_writes_no_more(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    acknowledged, refused, synced = _ran(_STORE, path, tmp_path)
    assert 0 < acknowledged < 20
    assert len(refused) == 29 - acknowledged + 2
    assert len(set(refused)) == 1
    assert refused[0].startswith(f"the disk failed: {path}: disk I/O error")
    assert [ok for _, ok in synced] == [True] * 11 + [False]  # the last thing that was asked of the log
    told: list[str] = []
    with Store.open(path, tell=lambda message, level: told.append(message)) as store:
        row = store.run("last")
        assert acknowledged <= row.trials <= acknowledged + 1  # the one that failed may be there, or not
        assert row.state == "interrupted"
    assert told == []


def test_nor_does_the_spool(tmp_path: Path) -> None:
    acknowledged, refused, synced = _ran(_SPOOL, tmp_path / "spool.db", tmp_path)
    assert 0 < acknowledged < 20
    assert len(refused) == 30 - acknowledged
    assert "the disk failed: the spool " in refused[0]
    assert [ok for _, ok in synced] == [True] * 11 + [False]
