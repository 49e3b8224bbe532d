"""Nothing outlives a tuner that is killed, and the reaper itself may be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

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
