"""Rows 1 to 11: the broker dies, hangs, refuses, or is not the one that it should be."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import time
from pathlib import Path

import psutil
import pytest

from brokertuner_tui.broker.interface import Applied, ApplyFailed
from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.env.outcome import PhaseName, Verdict
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import defaults
from brokertuner_tui.tuning.commands import Reconcile, Resume
from brokertuner_tui.tuning.events import BrokerChanged, BrokerTrouble, PhaseChanged, Sampled, State, TrialFinished
from tests.broker.fake_units import FakeUnit
from tests.faults.catalogue import row
from tests.faults.conftest import StartTuner, config_of
from tests.faults.sessions import ask, broker_pid, paused, stub, until_it_ends
from tests.faults.tuner import CONFIG, Tuner, in_a_mount_namespace, is_broker, needs
from tests.tuning.conftest import Bench
from tests.waiting import eventually


def gone(pid: int) -> bool:
    """Whether there is no such process, or only what nobody has waited for."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@row(1)
def test_killed_in_mid_trial(bench: Bench) -> None:
    _, reader = bench.start(bench.settings(total_timesteps=1000, step_interval_sec=1.0))
    reader.wait_for(TrialFinished)
    pid = broker_pid(reader)
    killed_at = time.time()
    os.kill(pid, signal.SIGKILL)
    trouble = reader.wait_for(BrokerTrouble)
    assert trouble.recovered
    assert "signal 9" in trouble.message
    back = reader.wait_for(BrokerChanged)
    assert back.at - killed_at <= 2.0
    assert back.applied.old_pid == pid != back.applied.pid
    assert {"CONNACK", "round trip", "log"} <= set(back.applied.checks)
    assert any(check.startswith("Receive Maximum") for check in back.applied.checks), "the knobs were verified again"
    trial = reader.wait_for(TrialFinished, lambda event: event.verdict is not Verdict.OK)
    assert (trial.verdict, trial.reward) == (Verdict.INCONCLUSIVE, None)
    assert back.applied.knobs == trial.outcome.knobs
    assert reader.wait_for(TrialFinished).verdict is Verdict.OK


@row(2)
def test_a_crash_loop_ends_with_what_was_known_to_be_good(bench: Bench, mosquitto_2_0_21: Path, tmp_path: Path) -> None:
    ill = tmp_path / "ill"
    dies = f'[ -e "{ill}" ] && grep -q "^max_inflight_messages 77$" "$knobs" && {{ echo "Error: no luck" >&2; exit 1; }}'
    program = stub(tmp_path / "stub" / "mosquitto", mosquitto_2_0_21, dies)
    session, reader = paused(bench, bench.settings(mosquitto=program, total_timesteps=1000))
    good = reader.of(TrialFinished)[-1].outcome.knobs
    applied = ask(session, max_inflight_messages=77)
    assert isinstance(applied, Applied), applied
    ill.touch()
    began = time.monotonic()
    os.kill(applied.pid, signal.SIGKILL)
    back = reader.wait_for(BrokerChanged, lambda event: event.applied.knobs["max_inflight_messages"] != 77)
    assert back.applied.knobs == good
    assert time.monotonic() - began < 60
    assert any("no luck" in f"{event.message} {event.log}" for event in reader.of(BrokerTrouble))
    ill.unlink()


@row(2)
def test_a_crash_loop_without_a_way_out_is_given_up(tuner: StartTuner, mosquitto: Path, tmp_path: Path) -> None:
    ill = tmp_path / "ill"
    dies = f'[ -e "{ill}" ] && {{ date +%s.%N >> "{tmp_path}/starts"; echo "Error: no luck" >&2; exit 1; }}'
    program = tuner(mosquitto=stub(tmp_path / "stub" / "mosquitto", mosquitto, dies))
    program.wait_for("trial")
    ill.touch()
    program.child(is_broker).kill()
    assert program.wait() == 1
    starts = [float(line) for line in (tmp_path / "starts").read_text().split()]
    assert 5 <= len(starts) <= 20, "five failures, and what was known to be good was tried as well"
    assert max(later - earlier for earlier, later in itertools.pairwise(starts)) > 1.0, "longer and longer waits"
    assert starts[-1] - starts[0] <= 60.0
    (error,) = program.of("error")
    assert "no luck" in error["message"]
    assert program.of("summary")[0]["state"] == "failed"
    assert program.left() == []


@row(3)
def test_hung(bench: Bench) -> None:
    # A window long enough: the next trial's restart would get over it without a word.
    _, reader = bench.start(bench.settings(total_timesteps=1000, step_interval_sec=8.0))
    pid = broker_pid(reader)
    stopped_at = time.time()
    os.kill(pid, signal.SIGSTOP)
    trouble = reader.wait_for(BrokerTrouble)
    assert trouble.at - stopped_at <= 5.0 + 2.0, "seen within 5 s, and it took a while to bring it back"
    assert trouble.recovered
    assert gone(pid)
    assert reader.wait_for(BrokerChanged).applied.pid != pid
    hung = [trial for trial in reader.of(TrialFinished) if trial.at > stopped_at]
    assert all(trial.verdict is Verdict.INCONCLUSIVE and trial.reward is None for trial in hung)
    assert reader.wait_for(TrialFinished).verdict is Verdict.INCONCLUSIVE
    assert reader.wait_for(PhaseChanged, lambda event: event.phase is PhaseName.MEASURING), "it goes on"


TWO_TRIES = CONFIG.replace("[tuning]\n", "[tuning]\nstart_attempts = 2\nstart_wait_sec = 0.5\n")


@row(4)
def test_the_port_is_taken(tuner: StartTuner) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        program = tuner(config=f"{TWO_TRIES}[broker]\nport = {port}\n")
        assert program.wait() == 1
        (error,) = program.of("error")
        assert f"port {port} is held by" in error["message"]
        assert f"(PID {os.getpid()})" in error["message"]
        with socket.create_connection(("127.0.0.1", port), 5):
            pass


@row(4)
def test_another_mosquitto_has_the_port_at_the_start(tuner: StartTuner, unit: FakeUnit) -> None:
    pid = unit.pid
    program = tuner(config=f"{TWO_TRIES}[broker]\nport = {unit.port}\n")
    assert program.wait() == 1
    assert f"(PID {pid})" in program.of("error")[0]["message"]
    assert unit.pid == pid
    assert unit.serves()


@row(5)
def test_a_foreign_broker_takes_the_port_of_one_that_died(bench: Bench, mosquitto_2_0_21: Path, tmp_path: Path) -> None:
    held = tmp_path / "held"
    program = stub(tmp_path / "stub" / "mosquitto", mosquitto_2_0_21, f'while [ -e "{held}" ]; do sleep 0.02; done')
    _, reader = paused(bench, bench.settings(mosquitto=program, total_timesteps=1000), keep_open=False)
    sample = reader.wait_for(Sampled).sample
    pid, port = sample.broker.pid, sample.broker.port
    assert pid is not None
    foreign = ManagedBroker(mosquitto_2_0_21, tmp_path / "foreign", port=port)
    held.touch()  # the new one of ours comes too late
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: gone(pid))
    foreign.start(defaults(foreign.version))
    try:
        theirs = foreign.status().pid
        held.unlink()
        ended = until_it_ends(reader)
        assert ended.state is State.FAILED
        assert f"port {port} is held by" in ended.reason
        assert f"(PID {theirs})" in ended.reason
        assert not any(event.recovered for event in reader.of(BrokerTrouble))
        assert foreign.alive()
        assert foreign.apply(defaults(foreign.version)).how == "none", "nobody touched it"
    finally:
        foreign.stop()
        held.unlink(missing_ok=True)


@row(6)
def test_a_bad_config_at_the_start(tuner: StartTuner, tmp_path: Path) -> None:
    (tmp_path / "extra.conf").write_text("bogus 1\n")
    program = tuner(config=f'{CONFIG}[broker]\nextra_conf = "{tmp_path}/extra.conf"\n')
    assert program.wait() == 1
    (error,) = program.of("error")
    assert "bogus" in error["message"], "the broker's own words"
    assert program.of("trial") == []
    assert program.left() == []


@row(6)
def test_a_config_with_which_it_does_not_start_is_rolled_back(bench: Bench, mosquitto_2_0_21: Path, tmp_path: Path) -> None:
    refuses = 'grep -q "^max_inflight_messages 77$" "$knobs" && { echo "Error: 77 is not for me." >&2; exit 3; }'
    program = stub(tmp_path / "stub" / "mosquitto", mosquitto_2_0_21, refuses)
    session, reader = paused(bench, bench.settings(mosquitto=program, total_timesteps=1000))
    before = reader.wait_for(Sampled).sample.broker.knobs
    failed = ask(session, max_inflight_messages=77)
    assert isinstance(failed, ApplyFailed), failed
    assert "77 is not for me" in str(failed)
    assert failed.restored is not None
    assert failed.restored.knobs == before
    assert {"CONNACK", "round trip"} <= set(failed.restored.checks) or failed.restored.how == "none"


def refused(failed: object, *words: str) -> None:
    """A change was: with a reason that has these words."""
    assert isinstance(failed, TunerError), failed
    assert all(word in str(failed) for word in words), failed


@row(7)
def test_a_bad_config_at_a_reload(bench: Bench) -> None:
    """Somebody edits it and makes the broker reload, which refuses it in its log only and goes on as before."""
    session, reader = paused(bench, bench.settings(total_timesteps=1000))
    (folder,) = (bench.folder / "runs").iterdir()
    edited = folder / "broker" / "conf.d" / "zz.conf"
    edited.write_text("bogus 1\n")
    pid = reader.wait_for(Sampled).sample.broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGHUP)
    assert eventually(lambda: "bogus" in (folder / "broker" / "mosquitto.log").read_text())
    refused(ask(session, message_size_limit=5000), "zz.conf")  # a knob that a reload brings into force
    assert not gone(pid)
    edited.unlink()
    session.send(Reconcile("ours"))
    session.send(Resume())
    trial = reader.wait_for(TrialFinished, lambda event: event.verdict is Verdict.OK)
    assert trial.outcome.knobs["message_size_limit"] != 5000


@row(8)
@pytest.mark.parametrize("knob", ["message_size_limit", "max_inflight_messages"], ids=["reload", "restart"])
def test_the_config_was_deleted(bench: Bench, knob: str) -> None:
    session, reader = paused(bench, bench.settings(total_timesteps=1000))
    (folder,) = (bench.folder / "runs").iterdir()
    (folder / "broker" / "mosquitto.conf").unlink()
    refused(ask(session, **{knob: 5000}), "mosquitto.conf")
    assert not [trial for trial in reader.of(TrialFinished) if trial.outcome.knobs[knob] == 5000]


@row(8)
def test_the_config_cannot_be_read(tuner: StartTuner, unit: FakeUnit) -> None:
    """Not even by root: without the capability that lets it read everything."""
    setpriv = needs("setpriv", "util-linux")
    own = unit.conf_d / "a_operator.conf"
    own.chmod(0)
    pid = unit.pid
    before = [] if os.geteuid() else [setpriv, "--bounding-set=-dac_override,-dac_read_search"]
    program = tuner(mosquitto=None, before=before, config=config_of(unit))
    assert program.wait() != 0
    assert str(own) in program.of("error")[0]["message"]
    assert unit.pid == pid
    assert not unit.knob_file.exists()


@row(9)
def test_the_configs_folder_is_read_only(tuner: StartTuner, unit: FakeUnit) -> None:
    pid, before = unit.pid, sorted(unit.conf_d.iterdir())
    mount = f"mount --bind {unit.conf_d} {unit.conf_d}; mount -o remount,ro,bind {unit.conf_d}"
    program = tuner(mosquitto=None, before=in_a_mount_namespace(mount), config=config_of(unit))
    assert program.wait() != 0
    assert str(unit.conf_d) in program.of("error")[0]["message"]
    assert unit.pid == pid, "neither restarted"
    assert "SIGHUP" not in (unit.folder / "mosquitto.log").read_text(), "nor reloaded"
    assert sorted(unit.conf_d.iterdir()) == before


@row(9)
def test_the_folder_of_our_own_broker_is_read_only(tuner: StartTuner, tmp_path: Path) -> None:
    folder = tmp_path / "home" / "s"
    folder.mkdir(parents=True)
    mount = f"mount --bind {folder} {folder}; mount -o remount,ro,bind {folder}"
    program = tuner(before=in_a_mount_namespace(mount))
    assert program.wait() == 1
    assert "s" in program.of("error")[0]["message"]
    assert "Read-only file system" in program.of("error")[0]["message"]
    assert program.kin() == [] or program.left() == []


def slow_to(call: str, unit: FakeUnit) -> list[str]:
    """Runs what follows it, and holds it up for half a second whenever it enters that system call."""
    strace = needs("strace", "strace")
    words = [strace, "-D", "-f", "-qq", "--seccomp-bpf", "-o", str(unit.folder / "strace.txt"), "-e", f"trace={call}"]
    return [*words, "-e", f"inject={call}:delay_enter=500000"]


RENAME = "?rename,?renameat,?renameat2"
MOMENTS = ("written, not renamed", "renamed, not reloaded", "in force, not confirmed")


def killed_at(moment: str, tuner: StartTuner, unit: FakeUnit) -> Tuner:
    """A tuner that was killed at that moment of its second trial; its first one measured the operator's own values."""
    config = config_of(unit).replace("slo_ms = 100", "slo_ms = 0.02")  # nothing is in time: it will try something else
    match moment:
        case "written, not renamed":
            first = tuner(mosquitto=None, before=slow_to(RENAME, unit), config=config)
            first.wait_for("trial")
            assert eventually(lambda: any(path.name.endswith(".new") for path in unit.conf_d.iterdir()))
        case "renamed, not reloaded":
            # Between the two, the folder is made durable.
            first = tuner(mosquitto=None, before=slow_to("fsync", unit), config=config)
            first.wait_for("trial")
            assert eventually(lambda: "max_queued_messages 500\n" not in unit.knob_file.read_text())
        case _:
            first = tuner("--telemetry", mosquitto=None, config=config.replace("interval_sec = 0.2", "interval_sec = 2.0"))
            first.wait_for("phase", lambda line: line["trial"] == 2 and line["phase"] == "measuring")
    first.kill()
    return first


@row(10)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_tuner_that_dies_in_the_middle_of_a_change(tuner: StartTuner, unit: FakeUnit, moment: str) -> None:
    """Its next start says so and puts back what was known to be good, before anything else."""
    first = killed_at(moment, tuner, unit)
    assert [line["trial"] for line in first.of("trial")] == [1]
    good = first.of("trial")[0]["knobs"]
    assert ("max_queued_messages 500\n" in unit.knob_file.read_text()) == (moment == "written, not renamed")
    second = tuner(mosquitto=None, config=config_of(unit))
    started = second.wait_for("broker")
    assert started["knobs"] == good
    assert {"CONNACK", "round trip"} <= set(started["checks"])
    trial = second.wait_for("trial")
    assert (trial["verdict"], trial["knobs"]) == ("ok", good)
    assert any("confirmed" in line["message"] and "back" in line["message"] for line in second.of("notice")), second.lines


@row(11)
def test_clients_do_not_keep_an_old_limit(bench: Bench) -> None:
    session, reader = paused(bench, bench.settings(total_timesteps=1000))
    before = reader.wait_for(Sampled, lambda event: event.sample.load.connected == event.sample.load.wanted).sample.load
    applied = ask(session, max_inflight_messages=3)
    assert isinstance(applied, Applied), applied
    assert applied.how == "restart", "a reload would leave the limit of those who are connected as it was"
    assert "Receive Maximum 3" in applied.checks
    all_again = before.reconnects + before.wanted
    after = reader.wait_for(Sampled, lambda event: event.sample.load.reconnects >= all_again).sample.load
    assert after.pid == before.pid, "its connections were made anew, not its process"
    session.send(Resume())
    trial = reader.wait_for(TrialFinished)
    assert trial.outcome.knobs["max_inflight_messages"] == 3
    assert trial.verdict is Verdict.OK
