"""What waits for a database is durable, bounded, in order, and for that database alone."""

from __future__ import annotations

import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from brokertuner_tui.store.errors import SpoolFull, StoreError
from brokertuner_tui.store.spool import Spool

ROOT = Path(__file__).parents[2]
HERE, THERE = "postgresql://tuner@here/db", "postgresql://tuner@there/db"


def _spool(folder: Path, target: str = HERE, **limits: int) -> Spool:
    return Spool(folder / "new" / "spool.db", target, **({"max_bytes": 2**20} | limits))


def test_in_order_and_gone_only_when_done(tmp_path: Path) -> None:
    spool = _spool(tmp_path)
    for number in range(10):
        spool.append(f"write {number}")
    first = spool.first(3)
    assert [text for _, text in first] == ["write 0", "write 1", "write 2"]
    assert spool.first(3) == first
    spool.done(first[-1][0])
    spool.close()
    spool.close()
    assert stat.S_IMODE((tmp_path / "new" / "spool.db").stat().st_mode) == 0o600
    again = _spool(tmp_path)
    assert len(again) == 7
    assert [text for _, text in again.first(100)] == [f"write {number}" for number in range(3, 10)]
    again.close()
    with pytest.raises(StoreError, match="is closed"):
        again.append("late")


def test_it_is_full_before_nothing_fits(tmp_path: Path) -> None:
    spool = _spool(tmp_path, max_bytes=100_000)
    while not spool.is_full:
        spool.append("é" * 500)
    assert len(spool) == 75  # a quarter is the reserve; bytes count, not characters
    for _ in range(25):
        spool.append("é" * 500)
    with pytest.raises(SpoolFull, match=r"spool\.db is full \(100 writes"):
        spool.append("x")
    spool.done(spool.first(45)[-1][0])
    assert spool.is_full  # until half is free: a session shall not stutter
    spool.done(spool.first(35)[-1][0])
    assert not spool.is_full
    spool.close()
    few = _spool(tmp_path, max_records=24)  # 20 are in it
    assert few.is_full  # a quarter is the reserve
    for _ in range(4):
        few.append("x")
    with pytest.raises(SpoolFull):
        few.append("x")
    few.close()


def test_what_waits_for_another_database_is_not_brought_here(tmp_path: Path) -> None:
    spool = _spool(tmp_path)
    spool.append("for here")
    spool.close()
    with pytest.raises(StoreError, match=r"1 writes that wait for postgresql://tuner@here/db"):
        _spool(tmp_path, THERE)
    spool = _spool(tmp_path)
    spool.done(spool.first(1)[0][0])
    spool.close()
    _spool(tmp_path, THERE).close()


def test_what_is_refused_is_kept_aside(tmp_path: Path) -> None:
    spool = _spool(tmp_path)
    for text in ("good", "bad", "good, too"):
        spool.append(text)
    spool.refuse(spool.first(2)[1][0], "not wanted")
    assert [text for _, text in spool.first(9)] == ["good", "good, too"]
    assert (spool.refused(), len(spool)) == (1, 2)
    spool.close()
    with sqlite3.connect(tmp_path / "new" / "spool.db") as connection:
        assert connection.execute("SELECT change, why FROM refused").fetchall() == [("bad", "not wanted")]
    connection.close()


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from brokertuner_tui.store.spool import Spool\n"
        "spool = Spool(Path(sys.argv[1]), sys.argv[2], max_bytes=2**30)\n"
        "for number in range(10**6): spool.append(str(number)); print(number, flush=True)"
    )
    path = tmp_path / "new" / "spool.db"
    writer = subprocess.Popen([sys.executable, "-c", code, str(path), HERE], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    while writer.stdout.readline().strip() != "20":
        assert writer.poll() is None
    writer.send_signal(signal.SIGKILL)
    acknowledged = int(["20", *writer.stdout.read().split()][-1])
    writer.wait(timeout=30)
    writer.stdout.close()
    spool = _spool(tmp_path)
    assert acknowledged + 1 <= len(spool) <= acknowledged + 2
    assert [text for _, text in spool.first(10**6)] == [str(number) for number in range(len(spool))]
    spool.close()


@pytest.mark.parametrize("spoiled", [b"not a database at all\n" * 400, None])
def test_a_file_that_cannot_be_used_is_one_line(tmp_path: Path, spoiled: bytes | None) -> None:
    path = tmp_path / "new" / "spool.db"
    path.parent.mkdir()
    if spoiled is None:
        path.mkdir()
    else:
        path.write_bytes(spoiled)
    with pytest.raises(StoreError) as told:
        _spool(tmp_path)
    assert str(path) in str(told.value)
    assert "\n" not in str(told.value)
    assert spoiled is None or path.read_bytes() == spoiled
