"""Rows 12 to 14, 25 to 27 and 29: full and failing disks, damaged files, files that mean harm, files of other versions."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from brokertuner_tui.errors import TunerError
from brokertuner_tui.store.store import Store
from tests.cli.program import error_of, run
from tests.failing_disk import syncs, with_failing_fsync
from tests.faults.catalogue import row
from tests.faults.conftest import StartTuner
from tests.faults.tuner import CONFIG, Tuner
from tests.small_disk import fill, on_small_disk

SAVING = ("--save-freq", "1")
STORE_VERSIONS = Path(__file__).parents[1] / "store"


def stored(store: Path) -> list[int]:
    """The numbers of the trials of the last run in a store, whole and in order; the store is whole, too."""
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as opened:
        assert opened.execute("pragma integrity_check").fetchone() == ("ok",)
        (last,) = opened.execute("select id from runs order by started_at desc limit 1").fetchone()
        return [number for (number,) in opened.execute("select number from trials where run = ? order by number", (last,))]


def told(tuner: Tuner, *words: str) -> bool:
    """Whether one of its sentences has all these words."""
    return any(all(word in json.dumps(line) for word in words) for line in tuner.lines)


class SmallDisk:
    """A tuner whose results are on a disk of their own, which the test can fill."""

    def __init__(self, tuner: StartTuner, home: Path, *words: str) -> None:
        folder = home / "s"
        folder.mkdir(parents=True)
        self.tuner = tuner(*words, home=home, before=on_small_disk("48m", folder))
        self.tuner.wait_for("trial")
        # As its process sees it.
        self.folder = Path(f"/proc/{self.tuner.process.pid}/root{folder}")

    def fill(self, room: int = 0) -> Path:
        """Leaves `room` bytes; gives the file that has the rest."""
        ballast = fill(self.folder)
        os.truncate(ballast, ballast.stat().st_size - room)
        return ballast


@row(12)
def test_the_stores_disk_is_full(tuner: StartTuner, tmp_path: Path) -> None:
    """The run pauses, goes on by itself, and all of it is kept."""
    from brokertuner_tui.agent.ddpg import DDPG

    home, kept = tmp_path / "home", tmp_path / "kept"
    (home / "s").mkdir(parents=True)
    verb = ("train", "--total-timesteps", "8", "--json", "--save-dir", "s")
    program = tuner(*SAVING, "--seed", "3", home=home, verb=verb, before=on_small_disk("24m", home / "s", keep=kept))
    program.wait_for("trial", lambda line: line["trial"] == 3)
    ballast = fill(Path(f"/proc/{program.process.pid}/root{home / 's'}"))
    paused = program.wait_for("state", lambda line: line["state"] == "paused")
    assert paused["reason"].startswith("the disk is full: ")
    known = len(program.of("trial"))
    assert known < 8
    time.sleep(0.5)  # it stays so
    assert len(program.of("trial")) == known
    assert program.process.poll() is None
    ballast.unlink()
    program.wait_for("state", lambda line: line["state"] == "tuning")
    assert program.wait() == 0, program.errors
    assert program.left() == []
    trials = program.of("trial")
    assert [line["trial"] for line in trials] == list(range(1, 9))
    assert all(line["verdict"] != "failed" for line in trials)
    assert stored(kept / "store.db") == list(range(1, 9))
    with Store.open(kept / "store.db", read_only=True) as store:
        run_row = store.run("last")
        assert (run_row.state, run_row.trials) == ("completed", 8)
        assert [trial.verdict for trial in store.trials(run_row.id)] == [line["verdict"] for line in trials]
    assert DDPG.load(kept / "checkpoints" / run_row.id).notice == ""
    assert len((kept / "logs" / "progress.csv").read_text().splitlines()) == 9


@row(13)
def test_a_checkpoint_finds_no_room(tuner: StartTuner, tmp_path: Path) -> None:
    from brokertuner_tui.agent.ddpg import DDPG

    disk = SmallDisk(tuner, tmp_path / "home", *SAVING)
    disk.tuner.wait_for("trial")  # a checkpoint is made behind the line of its trial
    (folder,) = (path for path in (disk.folder / "checkpoints").iterdir() if "." not in path.name)
    disk.fill(room=600_000)  # for the store, and not for a checkpoint
    disk.tuner.wait_for("notice", lambda line: "checkpoint" in line["message"])
    assert told(disk.tuner, "checkpoint", "No space left")
    disk.tuner.wait_for("trial")
    loaded = DDPG.load(folder)
    assert loaded.extra, "the one before is whole"


@row(14)
@pytest.mark.parametrize("file", ["store.db-wal", "checkpoints"])
def test_an_fsync_that_fails(tuner: StartTuner, tmp_path: Path, file: str) -> None:
    log, home = tmp_path / "strace.txt", tmp_path / "home"
    at = 11 if file == "store.db-wal" else 3  # of its names: the tensors' and manifest's folders are others
    verb = ("train", "--total-timesteps", "8", "--json", "--save-dir", "s")
    program = tuner(*SAVING, "--seed", "3", home=home, verb=verb, before=with_failing_fsync(log, at, only=home / "s" / file))
    assert program.wait() == 1
    assert program.left() == []
    assert [ok for _, ok in syncs(log)] == [True] * (at - 1) + [False], "it was tried again"
    acknowledged = len(program.of("trial"))
    assert 0 < acknowledged < 8
    (finished,), (summary,), (error,) = program.of("ended"), program.of("summary"), program.of("error")
    assert finished["state"] == summary["state"] == "failed"
    assert finished["reason"].startswith("the disk failed: ")
    assert "disk failed" in error["message"]
    assert "the disk failed: " in program.errors
    assert "Traceback" not in program.errors
    with Store.open(home / "s" / "store.db") as store:
        run_row = store.run("last")
        assert run_row.trials in (acknowledged, acknowledged + 1)
        assert run_row.state == ("interrupted" if file == "store.db-wal" else "failed")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, mosquitto: Path) -> Path:
    """A home whose results are those of a short run with two checkpoints."""
    home = tmp_path_factory.mktemp("trained")
    verb = ("train", "--total-timesteps", "3", "--json", "--save-dir", "s")
    config = CONFIG.replace("[tuning]", '[tuning]\non_stop = "current"')
    program = Tuner(home, mosquitto, *SAVING, verb=verb, config=config)
    assert program.wait() == 0, program.errors
    program.close()
    return home


@pytest.fixture
def home(trained: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    shutil.copytree(trained, tmp_path / "home")
    return tmp_path / "home"


def checkpoint(home: Path) -> Path:
    """The last one; the one before lies beside it."""
    (found,) = (path for path in (home / "s" / "checkpoints").iterdir() if not path.name.endswith(".previous"))
    assert found.with_name(f"{found.name}.previous").is_dir()
    return found


def truncate(file: Path) -> None:
    """Half of it is gone."""
    os.truncate(file, file.stat().st_size // 2)


def flip(file: Path) -> None:
    """One bit of it is wrong."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@row(25)
@pytest.mark.parametrize("damage", [truncate, flip])
@pytest.mark.parametrize("name", ["tensors.safetensors", "manifest.json"])
def test_a_damaged_checkpoint(home: Path, damage: Callable[[Path], None], name: str) -> None:
    from brokertuner_tui.agent.ddpg import DDPG

    last = checkpoint(home)
    before = DDPG.load(last.with_name(f"{last.name}.previous"))
    damage(last / name)
    loaded = DDPG.load(last)
    assert "the previous one is used instead" in loaded.notice
    assert str(last) in loaded.notice
    assert loaded.extra == before.extra


def evaluate(home: Path, mosquitto: Path, path: Path) -> tuple[int, str]:
    """Plays one step with an agent from disk: exit code, and what was said on stderr."""
    words = ["--n-episodes", "1", "--max-steps", "1", "--mosquitto", str(mosquitto)]
    ended = run(home, "evaluate", "--model-path", str(path), *words)
    return ended.returncode, ended.stderr


@row(25)
def test_the_one_before_is_used_and_the_operator_is_told(home: Path, mosquitto: Path) -> None:
    last = checkpoint(home)
    truncate(last / "tensors.safetensors")
    code, said = evaluate(home, mosquitto, last)
    assert code == 0, said
    assert "the previous one is used instead" in said
    shutil.rmtree(last.with_name(f"{last.name}.previous"))
    code, said = evaluate(home, mosquitto, last)
    assert code == 2
    assert "truncated" in said
    assert said.count("\n") == 1


class Canary:
    """Runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch '{self._path}'",)


@row(26)
@pytest.mark.parametrize("name", ["tensors.safetensors", "manifest.json", "both"])
def test_a_pickle_that_runs_code(home: Path, mosquitto: Path, tmp_path: Path, name: str) -> None:
    from brokertuner_tui.agent.ddpg import DDPG

    canary, last = tmp_path / "canary", checkpoint(home)
    shutil.rmtree(last.with_name(f"{last.name}.previous"))
    poison = pickle.dumps(Canary(canary))
    for file in ("tensors.safetensors", "manifest.json") if name == "both" else (name,):
        (last / file).write_bytes(poison)
    with pytest.raises(TunerError):
        DDPG.load(last)
    if name == "both":
        assert evaluate(home, mosquitto, last)[0] == 2
        (tmp_path / "agent.pt").write_bytes(poison)
        assert evaluate(home, mosquitto, tmp_path / "agent.pt")[0] == 2
    assert not canary.exists()
    pickle.loads(poison)
    assert canary.exists(), "it would have run"


def garbage(store: Path) -> None:
    """In the middle of its pages."""
    with open(store, "r+b") as file:
        for page in range(1, store.stat().st_size // 4096, 2):
            file.seek(page * 4096)
            file.write(b"\xa5" * 4096)


@row(27)
def test_garbage_in_the_stores_pages(home: Path, tuner: StartTuner) -> None:
    store = home / "s" / "store.db"
    garbage(store)
    damaged = store.read_bytes()
    listed = run(home, "runs", "list", "--save-dir", "s")
    assert listed.returncode != 0
    assert "damaged" in error_of(listed)
    assert store.read_bytes() == damaged, "who only reads changes nothing"
    program = tuner(home=home)
    program.wait_for("trial")
    (aside,) = [path for path in store.parent.glob("store.db.damaged-*") if not path.name.endswith(("-wal", "-shm"))]
    assert aside.read_bytes() == damaged
    assert told(program, aside.name) or aside.name in program.errors
    assert stored(store)[0] == 1, "it goes on with a new one"


@row(27)
def test_a_torn_log(tuner: StartTuner) -> None:
    program = tuner("--save-freq", "1000")
    for _ in range(4):
        program.wait_for("trial")
    program.kill()
    wal = program.save_dir / "store.db-wal"
    assert wal.stat().st_size > 8192
    os.truncate(wal, wal.stat().st_size - 1500)  # the last page that was being written
    again = tuner()
    again.wait_for("trial")
    again.kill()
    with sqlite3.connect(program.save_dir / "store.db") as opened:
        assert opened.execute("pragma integrity_check").fetchone() == ("ok",)
        kept = [number for (number,) in opened.execute("select number from trials order by at")]
    assert kept[:3] == [1, 2, 3], "what lies before the tear is there"


@row(29)
def test_a_store_of_an_older_version_is_taken_over(tuner: StartTuner, tmp_path: Path) -> None:
    store = tmp_path / "home" / "s" / "store.db"
    store.parent.mkdir(parents=True)
    with sqlite3.connect(store) as made:
        made.executescript((STORE_VERSIONS / "version_1.sql").read_text())
    made.close()
    program = tuner()
    program.wait_for("trial")
    listed = run(tmp_path / "home", "runs", "list", "--json", "--save-dir", "s")
    assert listed.returncode == 0, listed.stderr
    names = {entry["run"] for entry in json.loads(listed.stdout)}
    assert {"20261121-010000-abc", program.of("run")[0]["run"]} <= names
    assert (store.parent / "store.db.v1").exists(), "a copy of the old one is kept"


@row(29)
def test_a_store_of_a_newer_version_is_refused(home: Path, mosquitto: Path) -> None:
    store = home / "s" / "store.db"
    with sqlite3.connect(store) as opened:
        opened.execute("update schema_version set version = 99")
    opened.close()
    before = store.read_bytes()
    ended = run(home, "train", "--save-dir", "s", "--mosquitto", str(mosquitto))
    assert ended.returncode != 0
    assert "99" in error_of(ended)
    assert store.read_bytes() == before
