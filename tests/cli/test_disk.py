"""A run whose disk is full pauses and goes on; one whose disk fails ends as failed. Real file systems, real errors."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from brokertuner_tui.agent.ddpg import DDPG
from brokertuner_tui.store.store import Store
from tests.cli.running import CONFIG, Running, running
from tests.failing_disk import syncs, with_failing_fsync
from tests.small_disk import fill, on_small_disk


@pytest.fixture
def words(tmp_path: Path, mosquitto: Path) -> list[str]:
    """A run of 8 trials, with a checkpoint after each."""
    (tmp_path / "brokertuner.toml").write_text(CONFIG)
    more = ["--save-freq", "1", "--seed", "3", "--save-dir", "s", "--mosquitto", str(mosquitto)]
    return ["train", "--total-timesteps", "8", "--json", *more]


def _until(program: Running, event: str, **fields: Any) -> dict[str, Any]:
    while True:
        line = program.until(event)
        if all(part in str(line.get(name)) for name, part in fields.items()):
            return line


def test_a_full_disk_pauses_the_run_which_goes_on_by_itself(tmp_path: Path, words: list[str]) -> None:
    kept = tmp_path / "kept"
    disk = tmp_path / "s"
    with running(tmp_path, *words, wrap=lambda command: on_small_disk("24m", disk, *command, keep=kept)) as program:
        _until(program, "trial", trial="3")
        ballast = fill(Path(f"/proc/{program.process.pid}/root") / disk.relative_to("/"))
        paused = _until(program, "state", state="paused")
        assert paused["reason"].startswith("the disk is full: ")
        known = [line["trial"] for line in program.lines if line["event"] == "trial"]
        time.sleep(0.5)  # it stays so
        ballast.unlink()
        _until(program, "state", state="tuning")
        assert program.wait() == 0, program.errors
        assert program.left() == []
    trials = [line for line in program.lines if line["event"] == "trial"]
    assert [line["trial"] for line in trials] == list(range(1, 9))
    assert len(known) < 8
    assert all(line["verdict"] != "failed" for line in trials)
    with Store.open(kept / "store.db", read_only=True) as store:
        row = store.run("last")
        assert (row.state, row.trials) == ("completed", 8)
        assert [(trial.number, trial.verdict) for trial in store.trials(row.id)] == [
            (line["trial"], line["verdict"]) for line in trials
        ]
    assert DDPG.load(kept / "checkpoints" / row.id).notice == ""
    assert len((kept / "logs" / "progress.csv").read_text().splitlines()) == 9


@pytest.mark.parametrize("file", ["store.db-wal", "checkpoints"])
def test_an_fsync_that_failed_ends_the_run_as_failed(tmp_path: Path, words: list[str], file: str) -> None:
    log = tmp_path / "strace.txt"
    where = tmp_path / "s" / file
    at = 11 if file == "store.db-wal" else 3  # of its names: the tensors' and manifest's folders are others
    with running(tmp_path, *words, wrap=lambda command: with_failing_fsync(log, at, *command, only=where)) as program:
        assert program.wait(120) == 1
        assert program.left() == []
    synced = syncs(log)
    assert [ok for _, ok in synced] == [True] * (at - 1) + [False], "it was tried again"
    acknowledged = [line["trial"] for line in program.lines if line["event"] == "trial"]
    assert 0 < len(acknowledged) < 8
    (finished,) = [line for line in program.lines if line["event"] == "ended"]
    assert finished["state"] == "failed"
    assert finished["reason"].startswith("the disk failed: ")
    assert "the disk failed: " in program.errors
    assert "Traceback" not in program.errors
    with Store.open(tmp_path / "s" / "store.db") as store:
        row = store.run("last")
        assert row.trials in (len(acknowledged), len(acknowledged) + 1)
        assert row.state == ("interrupted" if file == "store.db-wal" else "failed")
