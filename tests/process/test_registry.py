"""Children have files; one that lives without its owner is found, and nobody else is ever ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from brokertuner_tui.process import registry
from brokertuner_tui.process.child import Child
from brokertuner_tui.process.identity import Identity
from tests.waiting import eventually

_TUNER = """
import sys, time
from pathlib import Path
from brokertuner_tui.process.child import Child
child = Child(["sleep", "600"], log_path=Path(sys.argv[1]))
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return registry.folder()


def test_a_child_has_a_file_while_it_lives(tmp_path: Path) -> None:
    child = Child(["sleep", "600"], log_path=tmp_path / "log")
    try:
        (entry,) = registry.entries()
        assert (entry.child, entry.owner.pid, entry.program) == (child.identity, os.getpid(), "sleep")
        assert not entry.is_orphan
        assert "600" not in next(registry.folder().iterdir()).read_text()
        registry.tidy()
        assert registry.entries() == [entry]
    finally:
        child.stop()
    assert registry.entries() == []
    assert not list(registry.folder().iterdir())


def test_the_child_of_a_killed_tuner_is_an_orphan_until_it_is_ended(tmp_path: Path) -> None:
    tuner = subprocess.Popen([sys.executable, "-c", _TUNER, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True)
    assert tuner.stdout is not None
    pid = int(tuner.stdout.readline())
    assert registry.orphans() == []
    reaper = next(int(folder.name) for folder in Path("/proc").iterdir() if _is_reaper_of(folder, tuner.pid))
    os.kill(reaper, signal.SIGKILL)  # else it would be faster
    tuner.kill()
    tuner.wait()
    tuner.stdout.close()
    (orphan,) = registry.orphans()
    assert orphan.pid == pid
    assert f"sleep (process {pid}" in registry.describe(orphan)
    assert registry.end(orphan.child)
    assert not orphan.child.alive()
    assert not registry.end(orphan.child)
    registry.tidy()
    assert not list(registry.folder().iterdir())


def _is_reaper_of(folder: Path, tuner: int) -> bool:
    try:
        parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        return parent == tuner and b"reaper.py" in (folder / "cmdline").read_bytes()
    except (OSError, ValueError):
        return False


def test_a_pid_that_is_somebody_elses_by_now_is_left_alone(tmp_path: Path) -> None:
    innocent = subprocess.Popen(["sleep", "600"])
    try:
        now = Identity.of(innocent.pid)
        _write(pid=now.pid, created_at=now.created_at - 100)
        assert registry.orphans() == []
        assert not registry.end(Identity(now.pid, now.created_at - 100))
        time.sleep(0.05)
        assert innocent.poll() is None
        registry.tidy()
        assert registry.entries() == []
    finally:
        innocent.kill()
        innocent.wait()


def test_a_child_that_does_not_heed_term_is_killed(tmp_path: Path) -> None:
    deaf = subprocess.Popen(
        ["sh", "-c", "trap '' TERM; sleep 600 & echo ready; wait; wait"], start_new_session=True, stdout=subprocess.PIPE
    )
    assert deaf.stdout is not None
    deaf.stdout.readline()
    assert registry.end(Identity.of(deaf.pid), term_s=0.1)
    assert deaf.wait() == -signal.SIGKILL
    assert deaf.stdout.read() == b""  # closed: nobody of its group has it any more
    deaf.stdout.close()


def test_files_that_say_nothing_or_are_of_others_do_no_harm(own_folder: Path) -> None:
    _write(host="another-host")
    _write(boot_id="before", pid=os.getpid())
    (own_folder / "half.part").write_text('{"pid": 1')
    (own_folder / "nonsense.json").write_text("[1]")
    assert registry.orphans() == []
    os.utime(own_folder / "half.part", (1, 1))
    registry.tidy()
    assert {entry.host for entry in registry.entries()} == {"another-host"}
    assert not (own_folder / "half.part").exists()


def test_a_child_is_worth_more_than_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    child = Child(["sleep", "600"], log_path=tmp_path / "log")
    assert child.exit_code() is None
    child.stop()
    assert eventually(lambda: not child.identity.alive())


def _write(**changes: object) -> None:
    made: dict[str, object] = {
        "pid": 2**22 - 1,
        "created_at": 1.0,
        "owner_pid": 2**22 - 2,
        "owner_created_at": 1.0,
        "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "host": os.uname().nodename,
        "program": "sleep",
        "log": "",
    }
    made |= changes
    registry.folder().mkdir(parents=True, exist_ok=True)
    (registry.folder() / f"{made['pid']}-{made['host']}.json").write_text(json.dumps(made))
