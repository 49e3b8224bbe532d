"""Runs that were killed: released, gone on with, given up, removed. Real processes, real kills."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from brokertuner_tui.errors import UsageError
from brokertuner_tui.process.owner import Owner
from brokertuner_tui.store.rows import BrokerIdentity, LoadIdentity
from brokertuner_tui.store.store import Store
from brokertuner_tui.tuning.events import State
from tests.cli.program import error_of, lines_of, run
from tests.cli.running import CONFIG, is_broker, running
from tests.store import made

GONE = replace(Owner.this_process(), pid=2**22 - 1)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "brokertuner.toml").write_text(CONFIG)
    return tmp_path


def _trials(lines: list[dict[str, Any]]) -> list[int]:
    return [line["trial"] for line in lines if line["event"] == "trial"]


def _started(lines: list[dict[str, Any]]) -> dict[str, Any]:
    return next(line for line in lines if line["event"] == "run")


def test_a_killed_run_goes_on_where_it_ended(home: Path, mosquitto: Path) -> None:
    words = ["train", "--total-timesteps", "500", "--json", "--save-dir", "s", "--mosquitto", str(mosquitto), "--seed", "3"]
    with running(home, *words, "--pin", "max_queued_bytes=1000000") as program:
        program.until("trial")
        program.until("trial")
        program.until("trial")
        broker = program.child(is_broker)
        pid = program.process.pid
        again = run(home, "runs", "resume", "last", "--save-dir", "s")
        assert (again.returncode, error_of(again)) == (2, f"run {_started(program.lines)['run']} is being run by process {pid}")
        program.signal(signal.SIGKILL)
        program.process.wait()
        assert program.process.stdout is not None
        program.lines += [json.loads(line) for line in program.process.stdout]
    acknowledged = _trials(program.lines)
    number = _started(program.lines)["run"]
    recovered = run(home, "runs", "recover", "--save-dir", "s", "--json")
    assert recovered.returncode == 0, recovered.stderr
    (told,) = json.loads(recovered.stdout)["interrupted"]
    assert told["run"] == number
    assert told["reason"].startswith("the process that ran it is gone")
    assert not broker.is_running() or broker.status() == psutil.STATUS_ZOMBIE
    assert json.loads(run(home, "runs", "recover", "--save-dir", "s", "--json").stdout)["interrupted"] == []

    total = len(acknowledged) + 4
    resumed = run(home, "runs", "resume", number[:-1], "--save-dir", "s", "--json", "--total-timesteps", str(total))
    assert resumed.returncode == 0, resumed.stderr
    lines = lines_of(resumed.stdout)
    assert _started(lines)["run"] == number
    after = _trials(lines)
    assert after[0] in (len(acknowledged) + 1, len(acknowledged) + 2)  # one may be in the store and not told any more
    assert after == list(range(after[0], total + 1))
    assert any("goes on after trial" in line.get("message", "") for line in lines)
    shown = json.loads(run(home, "runs", "show", number, "--save-dir", "s", "--trials", "99", "--json").stdout)
    assert [trial["trial"] for trial in shown["trial_list"]] == list(range(1, total + 1))
    assert (shown["state"], shown["resumed"]) == ("completed", 1)
    done = run(home, "runs", "resume", "last", "--save-dir", "s", "--total-timesteps", str(total))
    assert done.returncode == 2
    assert f"run {number} has done its {total} trials: --total-timesteps says" in done.stderr


def test_a_live_run_is_cancelled_by_another_process(home: Path, mosquitto: Path) -> None:
    words = ["train", "--total-timesteps", "500", "--json", "--save-dir", "s", "--mosquitto", str(mosquitto)]
    with running(home, *words) as program:
        program.until("trial")
        began = time.monotonic()
        second = run(home, *words)
        assert second.returncode == 1
        assert f"another session (process {program.process.pid} since " in second.stdout + second.stderr
        assert time.monotonic() - began < 30
        cancelled = run(home, "runs", "cancel", "last", "--save-dir", "s")
        assert cancelled.returncode == 0, cancelled.stderr
        assert f"process {program.process.pid} was asked to end, and did: cancelled" in cancelled.stdout
        assert program.wait() == 143
        assert program.left() == []
    again = run(home, "runs", "cancel", "last", "--save-dir", "s")
    assert (again.returncode, "it had ended before: cancelled" in again.stdout) == (0, True)


def _dead_run(home: Path, **changes: Any) -> tuple[str, Store]:
    store = Store.open(home / "s" / "store.db")
    run_id = store.create_run(made.run_info(owner=GONE, **changes))
    store.set_state(run_id, State.TUNING)
    return run_id, store


def test_only_the_processes_of_the_dead_run_are_ended(home: Path) -> None:
    """One whose PID was given to somebody else by now is not touched; and nothing is done twice."""
    innocent = subprocess.Popen(["sleep", "600"], start_new_session=True)
    its_own = subprocess.Popen(["sh", "-c", "sleep 600 & wait"], start_new_session=True)
    try:
        born = psutil.Process(its_own.pid).create_time()
        number, store = _dead_run(home)
        broker = BrokerIdentity(its_own.pid, born, "127.0.0.1", 1883, "x", ours=True)
        store.identify(number, broker, LoadIdentity(innocent.pid, psutil.Process(innocent.pid).create_time() - 100))
        store.close()
        first = json.loads(run(home, "runs", "recover", "--save-dir", "s", "--json").stdout)
        expected = f"the process that ran it is gone; its broker (process {its_own.pid}) was ended"
        assert first["interrupted"] == [{"run": number, "reason": expected}]
        assert its_own.wait(10) == -signal.SIGTERM
        assert innocent.poll() is None
        second = run(home, "runs", "recover", "--save-dir", "s")
        assert (second.returncode, second.stdout, second.stderr) == (0, "", "nothing was left behind\n")
    finally:
        for process in (innocent, its_own):
            process.kill()
            process.wait()


def test_somebody_elses_broker_is_never_ended(home: Path) -> None:
    foreign = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        number, store = _dead_run(home, broker_kind="systemd")
        born = psutil.Process(foreign.pid).create_time()
        store.identify(number, BrokerIdentity(foreign.pid, born, "127.0.0.1", 1883, "x", ours=False), LoadIdentity())
        store.close()
        assert run(home, "runs", "recover", "--save-dir", "s").returncode == 0
        assert foreign.poll() is None
    finally:
        foreign.kill()
        foreign.wait()


def test_an_interrupted_run_is_given_up(home: Path) -> None:
    number, store = _dead_run(home)
    store.close()
    for said in ("it was interrupted, and is given up", "it had ended before: cancelled"):
        ended = run(home, "runs", "cancel", number, "--save-dir", "s", "--json")
        assert (ended.returncode, json.loads(ended.stdout)) == (0, {"run": number, "did": said})
    with Store.open(home / "s" / "store.db") as store:
        assert store.run(number).reason == "given up after it was interrupted: the process that ran it is gone"


def test_old_runs_are_removed_with_their_folders_and_others_are_kept(home: Path) -> None:
    hour = 3600.0
    with Store.open(home / "s" / "store.db") as store:
        ages = {"old": 49 * hour, "new": 47 * hour, "running": 90 * hour}
        runs = {name: store.create_run(made.run_info(started_at=time.time() - age)) for name, age in ages.items()}
        for name, age in ages.items():
            if name != "running":
                store.finish_run(runs[name], made.finished(runs[name], at=time.time() - age))
            for folder in (home / "s" / "runs" / runs[name], home / "s" / "checkpoints" / runs[name]):
                folder.mkdir(parents=True)
                (folder / "file").write_text("x" * 1000)
        words = ["runs", "prune", "--older-than", "48h", "--save-dir", "s"]
        asked = run(home, *words)
        assert asked.returncode == 2
        assert "1 run, 0.0 MiB would be removed: --yes" in asked.stderr
        assert runs["old"] in asked.stdout
        assert runs["new"] not in asked.stdout
        busy = run(home, *words, "--yes")
        assert (busy.returncode, f"another session (process {os.getpid()}" in busy.stderr) == (1, True)
    with sqlite3.connect(home / "s" / "store.db") as connection:  # as if its process, this one, were still at it
        connection.execute("UPDATE runs SET state = 'running' WHERE id = ?", (runs["running"],))
    connection.close()
    done = run(home, *words, "--yes", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"removed": [runs["old"]], "bytes": 2000})
    left = sorted(path.name for path in (home / "s" / "runs").iterdir())
    assert left == sorted([runs["new"], runs["running"]])
    assert sorted(path.name for path in (home / "s" / "checkpoints").iterdir()) == left
    assert run(home, *words).stderr == "no run ended more than 48h ago\n"


@pytest.mark.parametrize("age", ["48", "h", "-1h", "1.5h", "48 h", "", "1w", "٣h"])
def test_an_age_that_is_none_is_refused(age: str) -> None:
    from brokertuner_tui.cli.runs_recover import seconds_of

    with pytest.raises(UsageError, match=r"--older-than .*: must be a whole number with s, m, h or d"):
        seconds_of(age)
    assert (seconds_of("48h"), seconds_of("7d"), seconds_of("30m"), seconds_of("5s")) == (172_800, 604_800, 1800, 5)


@pytest.mark.parametrize("words", [["resume", "nothing"], ["cancel", "nothing"], ["resume", "last", "--telemetry"], ["prune"]])
def test_bad_arguments_are_one_line(words: list[str], home: Path) -> None:
    ended = run(home, "runs", *words, "--save-dir", "s")
    assert ended.returncode == 2
    assert error_of(ended)
    assert not (home / "s").exists()
