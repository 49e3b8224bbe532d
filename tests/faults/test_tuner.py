"""Rows 28 and 30 to 33: the tuner itself dies; what it leaves, and who comes after it."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.broker.fake_units import FakeUnit
from tests.cli.program import run
from tests.faults.catalogue import row
from tests.faults.conftest import StartTuner, config_of
from tests.faults.tuner import Tuner, is_broker, is_generator, runs

KILLS = 4
"""`benchmarks/kills.py` has two hundred."""


def states(home: Path) -> dict[str, str]:
    """Of every run in the store, as the program tells it."""
    listed = run(home, "runs", "list", "--json", "--save-dir", "s")
    assert listed.returncode == 0, listed.stderr
    return {entry["run"]: entry["state"] for entry in json.loads(listed.stdout)}


@row(28)
def test_killed_again_and_again(tuner: StartTuner, tmp_path: Path) -> None:
    home, seed = tmp_path / "home", random.Random(28)
    acknowledged: dict[int, object] = {}
    program, name = tuner("--save-freq", "2", home=home), ""
    for kill in range(KILLS):
        name = name or program.wait_for("run")["run"]
        program.wait_for("trial")
        time.sleep(seed.uniform(0.0, 0.5))
        program.kill()
        assert program.left() == []
        program.wait()
        acknowledged |= {line["trial"]: line["knobs"] for line in program.of("trial")}
        if kill == KILLS - 1:
            assert states(home) == {name: "interrupted"}
        program = tuner(verb=("runs", "resume", name, "--json", "--save-dir", "s"), home=home)
    last = program.wait_for("trial")["trial"]
    program.signal(signal.SIGTERM)
    assert program.wait() == 143
    assert states(home) == {name: "cancelled"}
    with sqlite3.connect(home / "s" / "store.db") as store:
        assert store.execute("pragma integrity_check").fetchone() == ("ok",)
        rows = store.execute("select number, knobs from trials where run = ? order by number", (name,)).fetchall()
    kept = {number: json.loads(knobs) for number, knobs in rows}
    assert list(kept) == list(range(1, len(kept) + 1)), "each once, none left out"
    assert len(kept) >= last
    assert {number: kept.get(number) for number in acknowledged} == acknowledged, "no acknowledged trial is lost"


def orphaned(program: Tuner) -> tuple[psutil.Process, psutil.Process]:
    """Kills the tuner and its reaper, which would end them: broker and load, which live on."""
    while True:
        broker, load = program.child(is_broker), program.child(is_generator)
        program.signal(signal.SIGSTOP)  # else it would start another reaper
        if runs(broker) and runs(load):
            break
        program.signal(signal.SIGCONT)  # it was just about to restart one of them
    program.child(lambda line: "reaper.py" in line).kill()
    broker.suspend()  # else the generator's end, which follows its tuner's, would come into the broker's log
    program.kill()
    broker.resume()
    return broker, load


@row(30)
def test_orphans_are_ended_before_there_are_new_ones(tuner: StartTuner) -> None:
    first = tuner()
    first.wait_for("trial")
    broker, _ = orphaned(first)
    assert runs(broker), "nobody has ended it yet"
    second = tuner()
    second.wait_for("run")
    assert not runs(broker)
    second.wait_for("trial")
    living = [child for child in (*first.kin(), *second.kin()) if runs(child) and is_broker(" ".join(child.cmdline()))]
    assert len(living) == 1, "one broker, not two"
    assert not [child for child in first.kin() if runs(child)]
    assert states(first.home)[first.of("run")[0]["run"]] == "interrupted"


@pytest.fixture
def innocent() -> Iterator[psutil.Process]:
    """A process that has nothing to do with anybody's broker."""
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    yield psutil.Process(process.pid)
    process.kill()
    process.wait(10)


@row(31)
def test_a_pid_that_is_somebody_elses_by_now(tuner: StartTuner, innocent: psutil.Process) -> None:
    first = tuner()
    name = first.wait_for("run")["run"]
    first.wait_for("trial")
    broker, _ = orphaned(first)
    ours = broker.pid
    broker.kill()
    replaced = 0
    for path in (first.home / "state").rglob("children/*.json"):
        entry = json.loads(path.read_text())
        if entry["pid"] == ours:
            path.write_text(json.dumps(entry | {"pid": innocent.pid}))
            replaced += 1
    assert replaced == 1
    with sqlite3.connect(first.save_dir / "store.db") as store:
        (told,) = store.execute("select broker from runs where id = ?", (name,)).fetchone()
        store.execute("update runs set broker = ?", (re.sub(rf'("pid": ?){ours}\b', rf"\g<1>{innocent.pid}", told),))
    recovered = run(first.home, "runs", "recover", "--save-dir", "s")
    assert recovered.returncode == 0, recovered.stderr
    assert states(first.home) == {name: "interrupted"}
    second = tuner()
    second.wait_for("trial")
    assert runs(innocent)
    assert innocent.status() != psutil.STATUS_STOPPED


@row(32)
@row(33)
def test_one_broker_has_one_tuner_and_is_free_when_that_dies(tuner: StartTuner, unit: FakeUnit, tmp_path: Path) -> None:
    first = tuner(mosquitto=None, config=config_of(unit))
    name = first.wait_for("run")["run"]
    first.wait_for("trial")
    # One with results of its own: what they share is the broker alone.
    second = tuner(mosquitto=None, config=config_of(unit), verb=("train", "--json", "--save-dir", "other"))
    assert second.wait() != 0
    took = time.monotonic() - second.began
    (error,) = second.of("error")
    assert f"process {first.process.pid} since" in error["message"]
    assert name in error["message"]
    assert second.of("trial") == []
    assert took <= 1.0 + 14.0, "within a second of its own start, which takes its time on a busy machine"
    assert first.process.poll() is None
    first.kill()
    killed_at = time.monotonic()
    third = tuner(mosquitto=None, config=config_of(unit))
    third.wait_for("run")
    assert time.monotonic() - killed_at < 30
    assert not third.of("error")


@row(33)
def test_a_lock_of_a_dead_tuner_is_free_at_once(tuner: StartTuner) -> None:
    program = tuner()
    program.wait_for("trial")
    # A walk passes over a folder that is gone meanwhile: checkpoints are written into one that is renamed.
    locks = [Path(folder) / name for folder, _, names in os.walk(program.save_dir) for name in names if "lock" in name]
    assert locks
    taken = [path for path in locks if not is_free(path)]
    assert taken, "it does hold them while it lives"
    program.kill()
    assert all(is_free(path) for path in taken)


def is_free(path: Path) -> bool:
    """Whether somebody could have the lock now."""
    return not subprocess.run(["flock", "-n", str(path), "true"], timeout=10, check=False).returncode
