"""What goes wrong around a managed broker: it is said in one line, put right where it can be, and nothing is left behind."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from brokertuner_tui.broker.interface import ApplyFailed, BrokerDrifted
from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.broker.pretest import Attempt, PreTest
from brokertuner_tui.errors import ExitCode, TunerError, UsageError
from brokertuner_tui.knobs.catalogue import Value, defaults
from brokertuner_tui.process.identity import Identity
from tests.broker.conftest import MakeBroker
from tests.waiting import eventually


def started(broker: ManagedBroker) -> dict[str, Value]:
    """Starts `broker` with its defaults, and gives them."""
    usual = defaults(broker.version)
    broker.start(usual)
    return usual


def wrapper(path: Path, mosquitto: Path, script: str) -> Path:
    """A program that is Mosquitto when it is asked for its version, and `script` otherwise (`"$mosquitto"` is the real one)."""
    path.write_text(f'#!/bin/sh\nmosquitto={shlex.quote(str(mosquitto))}\n[ "$1" = -h ] && exec "$mosquitto" -h\n{script}\n')
    path.chmod(0o755)
    return path


def meddler(path: Path, mosquitto: Path, script: str) -> Path:
    """A Mosquitto at whose pre-tests `script` runs in the broker's folder: somebody who comes right after we have looked."""
    return wrapper(path, mosquitto, f'case "$PWD" in */pretest/*) (cd ../..; {script});; esac\nexec "$mosquitto" "$@"')


def one_line(error: BaseException) -> str:
    assert "\n" not in str(error)
    return str(error)


@pytest.mark.parametrize("limit", [1, 1000])
def test_a_memory_limit_too_small_to_start(every_mosquitto: Path, make_broker: MakeBroker, limit: int) -> None:
    """Some versions end without a word, so there has to be a sentence for it."""
    broker = make_broker(every_mosquitto)
    with pytest.raises(ApplyFailed, match=f"memory_limit {limit} may be less than the broker itself needs") as raised:
        broker.start(defaults(broker.version) | {"memory_limit": limit})
    one_line(raised.value)
    assert broker.status().state == "failed"
    assert broker.status().pid is None
    usual = started(broker)
    with pytest.raises(ApplyFailed, match="memory_limit") as raised:
        broker.apply(usual | {"memory_limit": limit, "max_inflight_messages": 50})
    assert raised.value.restored is not None
    assert broker.status().knobs == raised.value.restored.knobs == usual


def test_a_memory_limit_lowered_below_the_heap_in_use(
    every_mosquitto: Path, make_broker: MakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By reload: 2.0 then drops every client and cannot be reloaded any more, 2.1 ends."""
    monkeypatch.setattr(PreTest, "begin", lambda *_: Attempt([], Path(), 0.0, lambda: None))  # which would not let it through
    broker = make_broker(every_mosquitto)
    usual = started(broker)
    began = time.monotonic()
    with pytest.raises(ApplyFailed, match=r"memory_limit 1000.*the knobs before are back in force") as raised:
        broker.apply(usual | {"memory_limit": 1000})
    assert time.monotonic() - began < 2.5, "it is known before the deadline of 3 s that this broker will not recover"
    assert "Out of memory" in raised.value.log
    restored = raised.value.restored
    assert restored is not None
    assert restored.how == "restart"
    assert restored.pid != restored.old_pid
    assert broker.apply(usual | {"memory_limit": 50_000_000}).how == "reload"


def test_every_memory_limit_ends_in_a_verdict(every_mosquitto: Path, make_broker: MakeBroker) -> None:
    """Between "does not start" and "runs" lie limits with which it half runs."""
    broker = make_broker(every_mosquitto, restart_stable_s=5.0)
    usual = started(broker)
    for limit in (20_000, 40_000, 44_000, 48_000, 60_000, 780_000, 800_000, 830_000, 860_000):
        wanted = usual | {"memory_limit": limit, "max_inflight_messages": 21}
        failure = None
        try:
            broker.apply(wanted)
        except ApplyFailed as error:
            failure = error
        if failure is not None:
            assert "memory" in one_line(failure)
            assert failure.restored is not None
        assert broker.status().state == "listening"
        assert broker.status().knobs == (usual if failure else wanted)
        broker.apply(usual)


def test_a_killed_broker(every_mosquitto: Path, make_broker: MakeBroker) -> None:
    broker = make_broker(every_mosquitto)
    usual = started(broker)
    for bring_back in (broker.restart, lambda: broker.apply(usual), lambda: broker.apply(usual | {"persistence": True})):
        pid = broker.status().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: not broker.alive())
        dead = broker.status()
        assert (dead.state, dead.pid, dead.knobs) == ("failed", None, None)
        assert dead.error == "the broker ended by signal 9"
        applied = bring_back()
        assert applied.how == "restart"
        assert applied.pid != pid
        assert broker.status().state == "listening"
    assert broker.status().restarts == 3


def test_a_stopped_broker_is_found_out_in_time(every_mosquitto: Path, make_broker: MakeBroker) -> None:
    """The kernel still accepts connections for it, so a connection alone says nothing."""
    broker = make_broker(every_mosquitto, reload_stable_s=0.3)
    usual = started(broker)
    for wanted in (usual, usual | {"persistence": True}):
        pid = broker.status().pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        assert broker.alive()
        began = time.monotonic()
        with pytest.raises(ApplyFailed, match="in time") as raised:
            broker.apply(wanted)
        assert 0.25 < time.monotonic() - began < 10
        assert raised.value.restored is not None
        assert broker.status().knobs == usual
        assert broker.status().pid != pid
    pid = broker.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    assert broker.restart().pid != pid


def test_one_that_never_listens(mosquitto: Path, make_broker: MakeBroker, tmp_path: Path) -> None:
    program = wrapper(tmp_path / "hangs", mosquitto, "exec sleep 600")
    broker = make_broker(program, restart_stable_s=0.3)
    with pytest.raises(ApplyFailed, match=r"did not serve in time: nothing listens on port \d+"):
        started(broker)
    assert not broker.alive()


def test_one_that_ends_at_once(mosquitto: Path, make_broker: MakeBroker, tmp_path: Path) -> None:
    program = wrapper(tmp_path / "ends", mosquitto, 'echo "Error: no luck today." >&2; exit 7')
    broker = make_broker(program)
    with pytest.raises(ApplyFailed, match=r"Error: no luck today\. \(it ended with exit code 7\)") as raised:
        started(broker)
    assert raised.value.log == "Error: no luck today."
    assert raised.value.restored is None


def test_when_even_the_last_good_knobs_fail(mosquitto: Path, make_broker: MakeBroker, tmp_path: Path) -> None:
    program = wrapper(
        tmp_path / "fails later",
        mosquitto,
        f'case "$*" in */pretest/*) ;; *) [ -e "{tmp_path}/broken" ] && exit 9;; esac\nexec "$mosquitto" "$@"',
    )
    broker = make_broker(program)
    usual = started(broker)
    (tmp_path / "broken").touch()
    with pytest.raises(ApplyFailed, match=r"exit code 9; the knobs before could not be put back: .*exit code 9") as raised:
        broker.apply(usual | {"max_inflight_messages": 50})
    assert raised.value.restored is None
    status = broker.status()
    assert (status.state, status.pid, status.knobs) == ("failed", None, None)
    with pytest.raises(ApplyFailed, match="did not come back"):
        broker.restart()
    (tmp_path / "broken").unlink()
    assert broker.restart().knobs == usual


def test_errors_in_the_log_count(mosquitto: Path, make_broker: MakeBroker, tmp_path: Path) -> None:
    """A reload that the broker dislikes: the broker goes on serving with its old config and says so in its log only."""
    broker = make_broker(meddler(tmp_path / "meddled", mosquitto, "echo bogus 1 > conf.d/zz.conf"))
    usual = started(broker)
    broken = broker.folder / "conf.d" / "zz.conf"
    with pytest.raises(ApplyFailed, match=r"Error: Unknown configuration variable .*bogus.*zz\.conf:1") as raised:
        broker.apply(usual | {"persistence": True})
    assert raised.value.restored is None, "a restart with that file cannot work"
    broken.unlink()
    assert broker.restart().knobs == usual


@pytest.mark.parametrize("who", ["listener", "broker"])
def test_the_port_is_taken(mosquitto: Path, make_broker: MakeBroker, who: str) -> None:
    first = make_broker(mosquitto)
    with socket.socket() as listener:
        if who == "broker":
            usual = started(first)
            port, pid = first.port, first.status().pid
        else:
            usual = defaults(first.version)
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            port, pid = listener.getsockname()[1], os.getpid()
        assert pid is not None
        second = make_broker(mosquitto, port=port)
        with pytest.raises(TunerError, match=rf"port {port} is held by .+ \(PID {pid}\)") as raised:
            second.start(usual)
        assert raised.value.exit_code == ExitCode.FAILED
        one_line(raised.value)
        assert Identity.of(pid).alive()
        if who == "broker":
            assert first.apply(usual).how == "none", "the other one was not touched"


def test_the_port_is_taken_while_the_broker_is_down(mosquitto: Path, make_broker: MakeBroker) -> None:
    broker = make_broker(mosquitto)
    started(broker)
    pid = broker.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: not broker.alive())
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", broker.port))
        listener.listen()
        with pytest.raises(ApplyFailed, match=rf"port {broker.port} is held by .* \(PID {os.getpid()}\)"):
            broker.restart()
    assert broker.restart().how == "restart"


def test_a_port_of_our_own_choice_is_outside_the_kernels_range(mosquitto: Path, make_broker: MakeBroker) -> None:
    broker = make_broker(mosquitto)
    started(broker)
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert 1024 < broker.port < low


@pytest.mark.parametrize("where", ["below a file", "read-only"])
def test_a_folder_that_cannot_be_written(mosquitto: Path, make_broker: MakeBroker, tmp_path: Path, where: str) -> None:
    """Not even by root."""
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "broker" if where == "below a file" else Path("/proc/self/broker")
    broker = make_broker(mosquitto, folder=folder)
    with pytest.raises(TunerError, match="cannot be written") as raised:
        started(broker)
    assert str(folder) in one_line(raised.value)
    assert not broker.alive()


def test_a_folder_that_can_no_longer_be_written(mosquitto: Path, make_broker: MakeBroker, tmp_path: Path) -> None:
    """Nothing is touched: the broker goes on as it is."""
    armed, aside = tmp_path / "armed", tmp_path / "aside"
    script = f"[ -e '{armed}' ] && mv conf.d '{aside}' && touch conf.d"  # a file where the folder was
    broker = make_broker(meddler(tmp_path / "meddled", mosquitto, script))
    usual = started(broker)
    pid = broker.status().pid
    included = broker.folder / "conf.d"
    for change in ({"persistence": True}, {"max_inflight_messages": 5}):
        armed.touch()
        with pytest.raises(ApplyFailed, match=r"cannot be written: .*; the knobs before are still in force") as raised:
            broker.apply(usual | change)
        assert raised.value.restored is not None
        assert (raised.value.restored.how, raised.value.restored.pid) == ("none", pid)
        with pytest.raises(BrokerDrifted, match=r"conf\.d.* cannot be read: Not a directory.*nothing was written"):
            broker.apply(usual | change)
        assert broker.status().state == "listening"
        assert broker.status().knobs == usual
        armed.unlink()
        included.unlink()
        aside.rename(included)
    assert broker.apply(usual | {"persistence": True}).how == "reload"


def test_a_chosen_port_is_given_up_between_runs(mosquitto: Path, make_broker: MakeBroker) -> None:
    broker = make_broker(mosquitto)
    usual = started(broker)
    port = broker.port
    broker.stop()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        broker.start(usual)
        assert broker.port != port


def test_two_tuners_in_one_folder(mosquitto: Path, make_broker: MakeBroker, tmp_path: Path) -> None:
    first = make_broker(mosquitto, folder=tmp_path / "same")
    usual = started(first)
    second = make_broker(mosquitto, folder=tmp_path / "same")
    with pytest.raises(TunerError, match=f"in use by process {os.getpid()}"):
        second.start(usual)
    assert first.apply(usual).how == "none"
    first.stop()
    assert second.start(usual).how == "start"


def test_started_twice(mosquitto: Path, make_broker: MakeBroker) -> None:
    broker = make_broker(mosquitto)
    usual = started(broker)
    with pytest.raises(TunerError, match="stop it first"):
        broker.start(usual)
    assert broker.alive()


def test_an_extra_conf_that_is_not_there(mosquitto: Path, make_broker: MakeBroker, tmp_path: Path) -> None:
    broker = make_broker(mosquitto, extra_conf=tmp_path / "nothing")
    with pytest.raises(UsageError, match=r"extra_conf = .*nothing: No such file"):
        started(broker)


def test_an_extra_conf_that_keeps_the_tuner_out(every_mosquitto: Path, make_broker: MakeBroker, tmp_path: Path) -> None:
    extra = tmp_path / "extra.conf"
    extra.write_text("allow_anonymous false\n")
    broker = make_broker(every_mosquitto, extra_conf=extra)
    with pytest.raises(ApplyFailed, match=r"refused the connection: not authorised"):
        started(broker)


def test_a_folder_whose_name_is_no_line(mosquitto: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a config line cannot hold its name"):
        ManagedBroker(mosquitto, tmp_path / "a\nplugin x")


def test_a_large_log_is_moved_aside(mosquitto: Path, make_broker: MakeBroker) -> None:
    broker = make_broker(mosquitto)
    usual = started(broker)
    assert broker.log_path is not None
    with open(broker.log_path, "ab") as log:
        log.write(b"x" * (9 * 1024 * 1024))
    broker.apply(usual | {"persistence": True})
    broker.restart()
    assert broker.log_path.stat().st_size < 1_000_000
    assert broker.log_path.with_suffix(".log.1").stat().st_size > 9_000_000
    assert broker.apply(usual | {"max_inflight_messages": 5}).how == "restart"


def test_what_is_said_right_after_the_log_was_moved_counts(mosquitto: Path, make_broker: MakeBroker, tmp_path: Path) -> None:
    bad = tmp_path / "bad.conf"
    program = wrapper(tmp_path / "mosquitto", mosquitto, f'[ -e {bad} ] && exec "$mosquitto" -c {bad}; exec "$mosquitto" "$@"')
    broker = make_broker(program)
    usual = started(broker)
    assert broker.log_path is not None
    with open(broker.log_path, "ab") as log:
        log.write(b"x" * (9 * 1024 * 1024))
    bad.write_text("bogus 1\n")
    with pytest.raises(ApplyFailed, match="Unknown configuration variable"):
        broker.restart()
    bad.unlink()
    assert broker.restart().knobs == usual


def test_a_program_that_is_gone(mosquitto: Path, make_broker: MakeBroker, tmp_path: Path) -> None:
    program = wrapper(tmp_path / "mosquitto", mosquitto, 'exec "$mosquitto" "$@"')
    broker = make_broker(program)
    usual = started(broker)
    program.rename(tmp_path / "elsewhere")
    with pytest.raises(ApplyFailed, match=r"cannot be run: No such file or directory; the knobs before are still in force"):
        broker.apply(usual | {"max_inflight_messages": 5})
    assert broker.status().knobs == usual
    with pytest.raises(ApplyFailed, match="cannot be run: No such file or directory"):
        broker.restart()
    assert broker.status().state == "failed"
    (tmp_path / "elsewhere").rename(program)
    assert broker.restart().knobs == usual


def test_nothing_outlives_a_killed_tuner(mosquitto: Path, tmp_path: Path) -> None:
    code = """
import sys, time
from pathlib import Path
from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.broker.pretest import Attempt, PreTest
from brokertuner_tui.knobs.catalogue import defaults
broker = ManagedBroker(Path(sys.argv[1]), Path(sys.argv[2]))
print(broker.start(defaults(broker.version)).pid, flush=True)
time.sleep(600)
"""
    tuner = subprocess.Popen(
        [sys.executable, "-c", code, str(mosquitto), str(tmp_path / "b")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert tuner.stdout is not None
        broker = Identity.of(int(tuner.stdout.readline()))
        assert broker.alive()
    finally:
        tuner.kill()
        tuner.communicate()
    assert eventually(lambda: not broker.alive())
    again = ManagedBroker(mosquitto, tmp_path / "b")  # the lock went with the tuner
    try:
        started(again)
    finally:
        again.stop()


def test_a_foreign_process_on_the_port_is_not_ours(mosquitto: Path, make_broker: MakeBroker, tmp_path: Path) -> None:
    """A program that stays alive while somebody else serves on the port: the answer alone proves nothing."""
    serving = make_broker(mosquitto)
    program = wrapper(tmp_path / "stands by", mosquitto, "exec sleep 600")
    idle = make_broker(program)
    usual = started(serving)
    idle._port = serving.port
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("brokertuner_tui.broker.managed.is_free", lambda _host, _port: True)
        pid = serving.status().pid
        with pytest.raises(ApplyFailed, match=rf"port {serving.port} is held by .+ \(PID {pid}\)"):
            idle.start(usual)
    assert psutil.pid_exists(pid or 0)
