"""Orphans are looked for now and then, and told when there are new ones."""

from __future__ import annotations

import json
import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from brokertuner_tui.process import registry
from brokertuner_tui.tuning import events
from brokertuner_tui.tuning.recovery import OrphanWatch, end_orphans


@pytest.fixture
def orphans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes whose files name an owner that is gone; eleven of them."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    found = [subprocess.Popen(["sleep", "600"], start_new_session=True) for _ in range(registry.TOO_MANY + 1)]
    yield found
    for process in found:
        process.kill()
        process.wait()


def _enter(process: subprocess.Popen[bytes]) -> None:
    made = {
        "pid": process.pid,
        "created_at": psutil.Process(process.pid).create_time(),
        "owner_pid": 2**22 - 1,
        "owner_created_at": 1.0,
        "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "host": os.uname().nodename,
        "program": "sleep",
        "log": "",
    }
    registry.folder().mkdir(parents=True, exist_ok=True)
    (registry.folder() / f"{process.pid}.json").write_text(json.dumps(made))


def test_new_orphans_are_told_with_what_ends_them(
    orphans: list[subprocess.Popen[bytes]], caplog: pytest.LogCaptureFixture
) -> None:
    told: list[events.Event] = []
    now = [0.0]
    watch = OrphanWatch(told.append, every_s=60.0, clock=lambda: now[0])
    watch.poll()
    assert told == []
    _enter(orphans[0])
    now[0] = 59.0
    watch.poll()
    assert told == []
    for now[0] in (60.0, 121.0):  # the same again is no news
        watch.poll()
    (notice,) = told
    assert isinstance(notice, events.Notice)
    assert notice.level == "warning"
    assert f"sleep (process {orphans[0].pid}" in notice.message
    assert "`brokertuner-tui runs recover` ends it" in notice.message
    for orphan in orphans[1:]:
        _enter(orphan)
    now[0] = 200.0
    watch.poll()
    assert isinstance(told[-1], events.Notice)
    assert told[-1].level == "error"
    assert "11 processes live on" in told[-1].message
    assert "and 6 more" in told[-1].message
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.ERROR]


def test_all_of_them_are_ended(orphans: list[subprocess.Popen[bytes]]) -> None:
    for orphan in orphans[:3]:
        _enter(orphan)
    assert len(end_orphans()) == 3
    assert all(orphan.wait(10) for orphan in orphans[:3])
    assert all(orphan.poll() is None for orphan in orphans[3:])
    assert end_orphans() == []
    assert not list(registry.folder().iterdir())
