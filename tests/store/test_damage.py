"""A store whose bytes were damaged is set aside whole, and that is said; nobody else's file is touched."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from brokertuner_tui.store import schema
from brokertuner_tui.store.errors import Damaged, StoreError
from brokertuner_tui.store.store import Store
from tests.cli.program import ROOT, error_of, run
from tests.store import made

TRIALS = 30


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with a run of 30 trials, closed in good order."""
    with Store.open(tmp_path / "store.db") as store:
        run_id = store.create_run(made.run_info())
        for number in range(1, TRIALS + 1):
            store.record_trial(run_id, made.trial(number), broker_restarts=0, workload_restarts=0)
    return tmp_path / "store.db"


def _page_garbage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-40_960:-20_480] = os.urandom(20_480)
    path.write_bytes(data)


def _first_page_garbage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[:2048] = os.urandom(2048)
    path.write_bytes(data)


def _half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _a_few_bytes(path: Path) -> None:
    os.truncate(path, 60)


DAMAGES = [_page_garbage, _first_page_garbage, _half, _a_few_bytes]


def _tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_writer_sets_it_aside_says_so_and_begins_anew(path: Path, damage: Callable[[Path], None]) -> None:
    damage(path)
    broken = path.read_bytes()
    told: list[tuple[str, str]] = []
    with Store.open(path, tell=lambda message, level: told.append((message, level))) as store:
        assert store.runs() == []
        assert store.create_run(made.run_info())
    ((message, level),) = told
    assert level == "warning"
    (aside,) = [each for each in path.parent.iterdir() if re.fullmatch(r"store\.db\.damaged-\d{8}-\d{6}", each.name)]
    assert message.startswith(f"{path} is damaged (")
    assert f"set aside as {aside.name} (" in message
    assert "\n" not in message
    assert aside.read_bytes() == broken
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with Store.open(path, tell=lambda message, level: told.append((message, level))) as store:
        assert len(store.runs()) == 1
    assert len(told) == 1


def test_what_can_still_be_read_is_counted(path: Path) -> None:
    _page_garbage(path)
    told: list[str] = []
    Store.open(path, tell=lambda message, level: told.append(message)).close()
    counted = re.search(r"\((\d+) runs and (\d+) trials can still be read in it\)", told[0])
    assert counted is not None, told
    assert counted[1] == "1"
    assert 0 < int(counted[2]) < TRIALS


def test_nothing_that_was_set_aside_is_overwritten(path: Path) -> None:
    for _ in range(3):
        Store.open(path).close()
        _a_few_bytes(path)
    Store.open(path).close()
    assert len([each for each in path.parent.iterdir() if re.search(r"damaged-[\d-]+$", each.name)]) == 3


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_reader_says_so_and_changes_nothing(path: Path, damage: Callable[[Path], None]) -> None:
    damage(path)
    before = path.read_bytes()
    with pytest.raises(Damaged, match=f"^{re.escape(str(path))} is damaged .*nothing was changed"):
        Store.open(path, read_only=True)
    assert path.read_bytes() == before
    assert not [each for each in path.parent.iterdir() if "damaged" in each.name]


def test_runs_says_so_with_an_exit_code(path: Path, tmp_path: Path) -> None:
    _half(path)
    before = path.read_bytes()
    for words in (["list"], ["show", "last"], ["export", "last", "--csv", "out.csv"]):
        ended = run(tmp_path, "runs", *words, "--save-dir", str(path.parent))
        assert ended.returncode == 1
        assert "is damaged" in error_of(ended)
    assert path.read_bytes() == before


_WRITER = (
    "import sys; from pathlib import Path; from tests.store import made; from brokertuner_tui.store.store import Store\n"
    "store = Store.open(Path(sys.argv[1])); run = store.create_run(made.run_info())\n"
    "for number in range(1, 21):\n"
    "    store.record_trial(run, made.trial(number), broker_restarts=0, workload_restarts=0)\n"
    "print('written', flush=True); sys.stdin.read()\n"
)


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A store with a run of 20 trials whose writer was killed with -9: they are in the log, some only there."""
    return _killed(tmp_path / "store.db")


def _killed(path: Path) -> Path:
    command = [sys.executable, "-c", _WRITER, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        writer.send_signal(signal.SIGKILL)
    assert path.with_name("store.db-wal").stat().st_size > 100_000
    return path


def _opened(path: Path) -> tuple[int, list[str]]:
    """How many trials a writer finds, and what it says."""
    told: list[str] = []
    with Store.open(path, tell=lambda message, level: told.append(message)) as store:
        runs = store.runs()
        numbers = [row.number for row in store.trials(runs[0].id)] if runs else []
        assert numbers == list(range(1, len(numbers) + 1)), "a hole"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return len(numbers), told


def test_a_whole_log_is_no_damage(killed: Path) -> None:
    assert _opened(killed) == (20, [])


def test_a_cut_log_gives_what_it_had_until_then(killed: Path) -> None:
    log = killed.with_name("store.db-wal")
    os.truncate(log, log.stat().st_size * 2 // 3)
    trials, _ = _opened(killed)
    assert 0 < trials < 20


@pytest.mark.parametrize("at", [0.5, 0.0], ids=["in the middle", "its header"])
def test_a_log_that_lost_acknowledged_writes_is_kept_and_said(killed: Path, at: float) -> None:
    log = killed.with_name("store.db-wal")
    data = bytearray(log.read_bytes())
    start = int(len(data) * at)
    data[start : start + 20] = os.urandom(20)
    log.write_bytes(data)
    trials, told = _opened(killed)
    assert trials < 20
    assert len(told) == 1
    lost = re.search(
        r"-wal is damaged: the last (\d+) writes are lost; a copy .* is kept as (store\.db\.damaged-\S+),", told[0]
    )
    assert lost is not None, told
    assert int(lost[1]) >= 20 - trials - 1
    assert killed.with_name(f"{lost[2]}-wal").read_bytes() == data
    assert _opened(killed) == (trials, [])


def test_a_file_whose_log_has_all_of_it_is_no_loss(killed: Path) -> None:
    os.truncate(killed, 60)
    assert _opened(killed) == (20, [])


def test_a_damaged_file_takes_its_log_along(path: Path) -> None:
    _killed(path)
    log = path.with_name("store.db-wal").read_bytes()
    path.write_bytes(os.urandom(path.stat().st_size))  # no SQLite file any more, but its log is ours
    told: list[str] = []
    with Store.open(path, tell=lambda message, level: told.append(message)) as store:
        assert store.runs() == []
    (aside,) = [each for each in path.parent.iterdir() if ".damaged-" in each.name and each.name.endswith("-wal")]
    assert aside.read_bytes() == log
    assert len(told) == 1


def test_killed_in_the_middle_of_setting_aside(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the second name is there and before the first is gone: all is found again."""
    whole = path.read_bytes()
    os.truncate(path, 60)

    class Killed(BaseException):
        pass

    def dies(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", dies)
        with pytest.raises(Killed):
            Store.open(path)
    assert path.read_bytes() == whole[:60]
    Store.open(path).close()
    asides = [each for each in path.parent.iterdir() if re.search(r"damaged-[\d-]+$", each.name)]
    assert [each.read_bytes() for each in asides] == [whole[:60]] * 2
    assert _tables(path) >= {"runs", "trials"}


@pytest.mark.parametrize("read_only", [True, False])
def test_another_programs_damaged_database_is_left_alone(tmp_path: Path, read_only: bool) -> None:
    """Its tables can be read, and they are not ours."""
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
        connection.executemany("INSERT INTO recipes VALUES (?)", [("x" * 900,)] * 200)
    _page_garbage(path)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="not a store of brokertuner-tui"):
        Store.open(path, read_only=read_only)
    assert path.read_bytes() == before
    assert schema.APPLICATION.encode() not in before
