"""A child is ended as a group, whatever it does about it."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from brokertuner_tui.process.child import Child
from brokertuner_tui.process.identity import Identity
from tests.waiting import eventually, line_in


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


def test_output_and_exit_code(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    child = Child(
        python("import sys; print('out'); print('err', file=sys.stderr); print(repr(sys.stdin.read())); sys.exit(3)"),
        log_path=log,
    )
    assert child.wait(20) == 3
    assert child.exit_code() == 3
    assert set(log.read_text().splitlines()) == {"before", "out", "err", "''"}


def test_a_session_of_its_own(tmp_path: Path) -> None:
    child = Child(["sleep", "60"], log_path=tmp_path / "log", cwd=tmp_path)
    assert os.getsid(child.pid) == os.getpgid(child.pid) == child.pid != os.getsid(0)
    assert child.exit_code() is None
    assert child.identity.alive()
    assert child.stop() == -signal.SIGTERM
    assert not child.identity.alive()
    assert child.stop() == -signal.SIGTERM


def test_one_that_ignores_term_is_killed(tmp_path: Path) -> None:
    code = "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    child = Child(python(code), log_path=tmp_path / "log")
    assert line_in(tmp_path / "log") == "deaf"
    began = time.monotonic()
    assert child.stop(0.2) == -signal.SIGKILL
    assert 0.2 <= time.monotonic() - began < 10


def test_one_that_is_stopped_sees_term(tmp_path: Path) -> None:
    child = Child(["sleep", "60"], log_path=tmp_path / "log")
    child.signal(signal.SIGSTOP)
    assert eventually(lambda: psutil.Process(child.pid).status() == psutil.STATUS_STOPPED)
    assert child.stop(20.0) == -signal.SIGTERM


FORKS = "import os, time, sys\nif os.fork() == 0:\n open(sys.argv[1], 'w').write(f'{os.getpid()}\\n')\n time.sleep(60)\n"


def test_the_group_goes_with_it(tmp_path: Path) -> None:
    child = Child([*python(FORKS + "time.sleep(60)"), tmp_path / "pid"], log_path=tmp_path / "log")
    grandchild = Identity.of(int(line_in(tmp_path / "pid")))
    child.stop()
    assert eventually(lambda: not grandchild.alive())


def test_a_group_that_ignores_term_is_killed_whole_even_stopped(tmp_path: Path) -> None:
    deaf = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    child = Child([*python(deaf + FORKS + "time.sleep(60)"), tmp_path / "pid"], log_path=tmp_path / "log")
    grandchild = Identity.of(int(line_in(tmp_path / "pid")))
    for pid in (child.pid, grandchild.pid):
        os.kill(pid, signal.SIGSTOP)
    assert child.stop(0.2) == -signal.SIGKILL
    assert eventually(lambda: not grandchild.alive())


def test_the_group_goes_when_the_leader_has_died(tmp_path: Path) -> None:
    child = Child([*python(FORKS + "time.sleep(60)"), tmp_path / "pid"], log_path=tmp_path / "log")
    grandchild = Identity.of(int(line_in(tmp_path / "pid")))
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait(20) == -signal.SIGKILL
    assert eventually(lambda: not grandchild.alive())


def test_an_ended_child_is_never_signalled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its PID may be another process's by then."""
    child = Child(["true"], log_path=tmp_path / "log")
    assert child.wait(20) == 0
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, what: sent.append((pid, what)))
    monkeypatch.setattr(os, "killpg", lambda pid, what: sent.append((pid, what)))
    child.signal(signal.SIGHUP)
    assert child.stop() == 0
    assert sent == []


def test_what_cannot_be_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Child([tmp_path / "nothing"], log_path=tmp_path / "log")
    with pytest.raises(OSError):
        Child(["true"], log_path=tmp_path / "missing" / "log")


def test_identity_of_nobody(tmp_path: Path) -> None:
    child = Child(["true"], log_path=tmp_path / "log")
    child.wait(20)
    with pytest.raises(ProcessLookupError):
        Identity.of(child.pid)


def test_a_process_with_the_pid_of_another_is_not_it() -> None:
    me = Identity.of(os.getpid())
    assert me.alive()
    assert not Identity(me.pid, me.created_at - 100).alive()
