"""Nothing outlives a tuner that is killed, and the reaper itself may be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from brokertuner_tui.process import reaper, registry
from brokertuner_tui.process.identity import Identity
from tests.waiting import eventually, line_in

OWNER = """
import sys, time
from pathlib import Path
from brokertuner_tui.process.child import Child
folder = Path(sys.argv[1])
ended = Child(["true"], log_path=folder / "log")
ended.wait(20)
plain = Child(["sleep", "600"], log_path=folder / "log")
stubborn = Child([sys.executable, "-I", "-S", "-c", sys.argv[2], folder / "stubborn"], log_path=folder / "log")
stopped = Child(["sleep", "600"], log_path=folder / "log")
import signal; stopped.signal(signal.SIGSTOP)
(folder / "pids").write_text(f"{plain.pid} {stubborn.pid} {stopped.pid}\\n")
time.sleep(600)
"""
STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    open(sys.argv[1], "w").write(f"{os.getpid()}\\n")
time.sleep(600)
"""


def test_children_of_a_killed_owner_are_ended(tmp_path: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path), STUBBORN])
    try:
        grandchild = int(line_in(tmp_path / "stubborn"))
        left = [Identity.of(pid) for pid in (*map(int, line_in(tmp_path / "pids").split()), grandchild)]
        assert all(process.alive() for process in left)
    finally:
        owner.kill()
        owner.wait(20)
    assert eventually(lambda: not any(process.alive() for process in left))


def test_a_killed_reaper_is_replaced() -> None:
    code = """
import time
from pathlib import Path
from brokertuner_tui.process import reaper
from brokertuner_tui.process.child import Child
first = Child(["sleep", "600"], log_path=Path("/dev/null"))
reaper._process.kill()
reaper._process.wait()
second = Child(["sleep", "600"], log_path=Path("/dev/null"))
print(first.pid, second.pid, flush=True)
time.sleep(600)
"""
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert owner.stdout is not None
        children = [Identity.of(int(pid)) for pid in owner.stdout.readline().split()]
        assert len(children) == 2
        assert all(child.alive() for child in children)
    finally:
        owner.kill()
        owner.communicate()
    assert eventually(lambda: not any(child.alive() for child in children))


def test_a_fork_does_not_hold_the_pipe() -> None:
    """It would keep the reaper from noticing that its owner is gone."""
    code = """
import os, sys, time
from pathlib import Path
from brokertuner_tui.process.child import Child
child = Child(["sleep", "600"], log_path=Path("/dev/null"))
print(child.pid, flush=True)
if os.fork() == 0:
    time.sleep(600)
print(0, flush=True)
time.sleep(600)
"""
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert owner.stdout is not None
    try:
        child = Identity.of(int(owner.stdout.readline()))
        assert owner.stdout.readline() == "0\n"
        os.kill(owner.pid, signal.SIGKILL)
        owner.wait(20)
        assert eventually(lambda: not child.alive())
    finally:
        os.killpg(owner.pid, signal.SIGKILL)
        owner.stdout.close()


UNTOLD = """
import os, sys, time
from pathlib import Path
from brokertuner_tui.process import child, reaper
first = child.Child(["sleep", "600"], log_path=Path("/dev/null"))
def killed(pid):
    Path(sys.argv[1]).write_text(f"{pid}\\n")
    if sys.argv[2] == "both":
        reaper._process.kill()
    os.kill(os.getpid(), 9)
reaper.watch = killed
child.Child(["sleep", "600"], log_path=Path("/dev/null"))
"""


def test_a_child_that_the_reaper_was_never_told_of_is_ended(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", UNTOLD, str(tmp_path / "pid"), "owner"], check=False, timeout=60)
    child = Identity.of(int((tmp_path / "pid").read_text()))
    assert eventually(lambda: not child.alive())


def test_a_child_without_reaper_and_file_is_an_orphan_of_its_owner(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", UNTOLD, str(tmp_path / "pid"), "both"], check=False, timeout=60)
    child = Identity.of(int((tmp_path / "pid").read_text()))
    mine = [orphan for orphan in registry.orphans() if orphan.pid == child.pid]
    try:
        assert [orphan.program for orphan in mine] == ["sleep"]
        assert registry.end(mine[0].child)
    finally:
        registry.end(child)
    assert not child.alive()


def test_the_mark_of_a_living_owner_and_of_elsewhere_says_nothing() -> None:
    pid, ticks, namespace = reaper.mark().split("-")
    assert reaper.dead_owner(reaper.mark()) is None
    assert reaper.dead_owner(f"{pid}-{int(ticks) + 1}-{namespace}") == (int(pid), int(ticks) + 1)
    for other in (f"{pid}-1-{int(namespace) + 1}", f"{pid}-1", "", "a-b-c", f"²-1-{namespace}", f"{pid}--{namespace}"):
        assert reaper.dead_owner(other) is None
