"""A lock says who has it, and is free at once when that process is gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from brokertuner_tui.process import lock
from brokertuner_tui.process.lock import Holder, Taken, TunerLock

_HOLD = """
import sys, time
from pathlib import Path
from brokertuner_tui.process import lock
note = Path(sys.argv[2]) if len(sys.argv) > 2 else None
held = lock.TunerLock(Path(sys.argv[1]), note=note)
lock.at_work(run="20261121-010000-abc", save_dir=Path("/results"))
child = __import__("subprocess").Popen(["sleep", "600"])
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("of_a_folder", [False, True])
def test_a_dead_ones_lock_is_free_at_once_and_a_living_ones_names_it(of_a_folder: bool, tmp_path: Path) -> None:
    folder, note = tmp_path / "conf.d", tmp_path / "kept" / "note.lock"
    folder.mkdir()
    paths = [str(folder), str(note)] if of_a_folder else [str(tmp_path / "lock")]
    began = time.time()
    first = subprocess.Popen([sys.executable, "-c", _HOLD, *paths], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    child = int(first.stdout.readline())
    try:
        started = time.perf_counter()
        with pytest.raises(Taken, match=f"process {first.pid} since .*, run 20261121-010000-abc") as taken:
            _take(paths)
        assert time.perf_counter() - started < 1.0
        assert taken.value.holder.save_dir == "/results"
        assert began - 1 <= taken.value.holder.since <= time.time()
        first.kill()
        first.wait()
        _take(paths).release()  # although its child lives
        os.kill(child, 0)
    finally:
        first.kill()
        first.stdout.close()
        os.kill(child, 9)
    assert not list(folder.iterdir())  # it is the operator's


def _take(paths: list[str]) -> TunerLock:
    return TunerLock(Path(paths[0]), note=Path(paths[1]) if len(paths) > 1 else None)


def test_without_its_note_the_kernel_names_the_process(tmp_path: Path) -> None:
    held = TunerLock(tmp_path / "lock")
    (tmp_path / "lock").write_text("")
    with pytest.raises(Taken) as taken:
        TunerLock(tmp_path / "lock")
    assert taken.value.holder == Holder(pid=os.getpid())
    (tmp_path / "lock").write_text(json.dumps({"pid": 1, "since": 5.0, "run": "another's", "save_dir": "", "host": ""}))
    with pytest.raises(Taken, match=f"process {os.getpid()}$"):
        TunerLock(tmp_path / "lock")
    held.release()
    held.release()
    TunerLock(tmp_path / "lock").release()


def test_what_a_process_is_at_is_said_by_the_locks_that_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_at_work", Holder())
    held = TunerLock(tmp_path / "lock")
    for run in ("a-long-name-of-a-run", "short"):
        lock.at_work(run=run, save_dir=tmp_path)
        with pytest.raises(Taken) as taken:
            TunerLock(tmp_path / "lock")
        assert (taken.value.holder.run, taken.value.holder.pid) == (run, os.getpid())
    held.release()
    assert lock.this_process().run == "short"


def test_what_is_not_known_is_said_so() -> None:
    assert Holder().told() == "a process that cannot be seen from here"
    assert Holder(pid=7, host="far-away").told() == "process 7 on far-away"
    assert Holder(pid=7, since=1_000_000_000.0).told().startswith("process 7 since 2001-09-0")
