"""Broker and load that die again and again, hang, or lose their port: brought back, or given up with the reason."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from brokertuner_tui.env.outcome import PhaseName, Verdict
from brokertuner_tui.process.backoff import BackoffPolicy
from brokertuner_tui.tuning.attempts import Patience, Tries
from brokertuner_tui.tuning.commands import Pause, RestartBroker, Resume, SetKnob, Stop
from brokertuner_tui.tuning.events import (
    BrokerChanged,
    BrokerTrouble,
    LoadChanged,
    Notice,
    PhaseChanged,
    RunFinished,
    RunStarted,
    Sampled,
    State,
    StateChanged,
    TrialFinished,
)
from brokertuner_tui.workload import builtin
from tests.tuning.conftest import Bench, Reader

QUICK = Patience(Tries(5, 0.2), Tries(3, 0.1), BackoffPolicy(base_s=0.1, jitter=0.0))
MANY = Patience(Tries(20, 0.2), Tries(3, 0.1), BackoffPolicy(base_s=0.1, cap_s=0.2, jitter=0.0, give_up=500))


class Fragile:
    """A real Mosquitto that ends right after its start while a file says so, for all configs or for those with some text."""

    def __init__(self, folder: Path, real: Path) -> None:
        self.program, self._broken = folder / "fragile" / "mosquitto", folder / "broken"
        self.program.parent.mkdir()
        self.program.write_text(
            f"""#!/bin/sh
for last; do :; done
if [ -e "{self._broken}" ] && [ -e "$last" ] && grep -qrf "{self._broken}" "$(dirname "$last")"; then
  echo "$(date +%s): Error: it does not want to" >&2
  exit 1
fi
exec "{real}" "$@"
"""
        )
        self.program.chmod(0o700)

    def crashes(self, config: str = "port") -> None:
        """From now on, with a config that has this."""
        self._broken.write_text(config + "\n")

    def heal(self) -> None:
        """No more."""
        self._broken.unlink()


@pytest.fixture
def fragile(mosquitto: Path, tmp_path: Path) -> Fragile:
    return Fragile(tmp_path, mosquitto)


def running(bench: Bench, fragile: Fragile, patience: Patience = QUICK, **options: Any) -> tuple[Any, Reader, int]:
    """A session in its first trials, and its broker's PID."""
    settings = bench.settings(fragile.program, total_timesteps=1000, **options.pop("tuning", {}))
    session, reader = bench.start(settings, patience=patience, **options)
    reader.wait_for(TrialFinished)
    pid = reader.wait_for(Sampled, lambda event: event.sample.broker.pid is not None).sample.broker.pid
    assert pid is not None
    return session, reader, pid


def test_a_crash_loop_is_given_up_and_begins_anew_when_the_operator_says_so(bench: Bench, fragile: Fragile) -> None:
    session, reader, pid = running(bench, fragile, keep_open=True)
    fragile.crashes()
    os.kill(pid, signal.SIGKILL)
    waits = reader.wait_for(BrokerTrouble, lambda event: "the next attempt in 0." in event.message)
    assert not waits.recovered
    assert "it does not want to" in waits.log
    paused = reader.wait_for(StateChanged, lambda event: event.state is State.PAUSED)
    assert "given up after 5 failures in 60 s" in paused.reason
    assert "it does not want to" in paused.reason
    trouble = reader.of(BrokerTrouble)[-1]
    assert not trouble.recovered
    assert trouble.message == paused.reason
    session.send(Resume())  # tried again, in vain
    reader.wait_for(StateChanged, lambda event: event.state is State.TUNING)
    reader.wait_for(StateChanged, lambda event: event.state is State.PAUSED)
    fragile.heal()
    session.send(RestartBroker())
    assert reader.wait_for(BrokerChanged).why == "restarted by the operator"
    reader.wait_for(StateChanged, lambda event: event.state is State.TUNING)
    reader.wait_for(TrialFinished, lambda event: event.verdict is Verdict.OK)


def test_a_crash_loop_fails_a_run_that_nobody_watches(bench: Bench, fragile: Fragile) -> None:
    session, reader, pid = running(bench, fragile)
    fragile.crashes()
    os.kill(pid, signal.SIGKILL)
    finished = reader.wait_for(RunFinished)
    assert finished.state is State.FAILED
    assert "given up after 5 failures" in finished.reason
    assert "it does not want to" in finished.reason
    assert session.join(10)


def test_stop_is_obeyed_at_once_while_the_next_attempt_is_far_away(bench: Bench, fragile: Fragile) -> None:
    slow = Patience(backoff=BackoffPolicy(base_s=30.0))
    session, reader, pid = running(bench, fragile, slow)
    fragile.crashes()
    os.kill(pid, signal.SIGKILL)
    reader.wait_for(BrokerTrouble, lambda event: "the next attempt in" in event.message)
    began = time.monotonic()
    session.send(Stop(leave="current"))
    assert reader.wait_for(RunFinished).state is State.CANCELLED
    assert time.monotonic() - began < 10


def test_a_knob_that_is_set_while_the_broker_is_down_changes_alone(bench: Bench, fragile: Fragile) -> None:
    session, reader, _ = running(bench, fragile, keep_open=True)
    session.send(Pause())
    reader.wait_for(StateChanged, lambda event: event.state is State.PAUSED)
    session.send(SetKnob("max_queued_messages", 777))
    before = reader.wait_for(BrokerChanged, lambda event: "set by the operator" in event.why).applied
    fragile.crashes()
    os.kill(before.pid, signal.SIGKILL)
    reader.wait_for(BrokerTrouble, lambda event: event.given_up)
    fragile.heal()
    session.send(SetKnob("max_packet_size", 5000))
    after = reader.wait_for(BrokerChanged, lambda event: "max_packet_size set by the operator" in event.why).applied
    assert after.knobs == {**before.knobs, "max_packet_size": 5000}


def test_before_it_is_given_up_the_last_known_good_is_tried(bench: Bench, fragile: Fragile) -> None:
    session, reader, _ = running(bench, fragile, keep_open=True, tuning={"pin": {"max_queued_messages": 777}})
    session.send(SetKnob("max_queued_messages", 778))
    reader.wait_for(BrokerChanged, lambda event: event.applied.knobs["max_queued_messages"] == 778)
    fragile.crashes("max_queued_messages 778")
    pid = reader.wait_for(Sampled, lambda event: event.sample.broker.pid is not None).sample.broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    back = reader.wait_for(BrokerTrouble, lambda event: event.recovered)
    assert "last known good" in back.message
    changed = reader.wait_for(BrokerChanged)
    assert changed.applied.knobs["max_queued_messages"] != 778


def test_a_hung_broker_ends_the_trial_and_is_restarted(bench: Bench, mosquitto: Path) -> None:
    _, reader = bench.start(bench.settings(mosquitto, total_timesteps=1000, step_interval_sec=30.0), patience=QUICK)
    reader.wait_for(PhaseChanged, lambda event: event.phase is PhaseName.MEASURING)
    pid = reader.wait_for(Sampled).sample.broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    trouble = reader.wait_for(BrokerTrouble)
    assert time.monotonic() - began < 15
    assert trouble.recovered
    assert "has not answered for" in trouble.message
    trial = reader.wait_for(TrialFinished)
    assert (trial.verdict, trial.reward) == (Verdict.INCONCLUSIVE, None)
    assert reader.of(BrokerChanged)[-1].applied.pid != pid


def test_a_stranger_on_the_port_is_named_and_left_alone(bench: Bench, fragile: Fragile) -> None:
    session, reader, pid = running(bench, fragile, MANY)
    port = reader.of(RunStarted)[0].port
    fragile.crashes()
    os.kill(pid, signal.SIGKILL)
    reader.wait_for(BrokerTrouble, lambda event: "the next attempt" in event.message)
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", port))
        stranger.listen(100)
        fragile.heal()
        named = reader.wait_for(BrokerTrouble, lambda event: "is held by" in event.message)
        assert f"PID {os.getpid()}" in named.message
        assert not named.recovered
        reader.wait_for(BrokerTrouble)  # it goes on trying
    assert reader.wait_for(BrokerTrouble, lambda event: event.recovered)
    reader.wait_for(TrialFinished, lambda event: event.verdict is Verdict.OK)
    session.send(Stop(leave="current"))
    reader.wait_for(RunFinished)
    assert all(trial.reward is None for trial in reader.of(TrialFinished) if trial.verdict is not Verdict.OK)


def test_a_dead_load_is_seen_in_the_middle_of_a_window_and_restarted(bench: Bench, mosquitto: Path) -> None:
    _, reader = bench.start(bench.settings(mosquitto, total_timesteps=1000, step_interval_sec=50.0), patience=QUICK)
    reader.wait_for(PhaseChanged, lambda event: event.phase is PhaseName.MEASURING)
    pid = reader.wait_for(Sampled, lambda event: event.sample.load.pid is not None).sample.load.pid
    assert pid is not None
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    assert reader.wait_for(TrialFinished).verdict is Verdict.INCONCLUSIVE
    reader.wait_for(LoadChanged, lambda event: event.restarts == 1)
    assert time.monotonic() - began < 20


def test_a_load_that_does_not_start_any_more_ends_the_run_with_its_reason(
    bench: Bench, mosquitto: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, reader = bench.start(bench.settings(mosquitto, total_timesteps=1000), patience=QUICK)
    reader.wait_for(TrialFinished)
    pid = reader.wait_for(Sampled, lambda event: event.sample.load.pid is not None).sample.load.pid
    assert pid is not None
    monkeypatch.setattr(builtin, "environment", lambda: {"PYTHONHOME": "/nowhere"})
    os.kill(pid, signal.SIGKILL)
    finished = reader.wait_for(RunFinished)
    assert finished.state is State.FAILED
    assert "the load was given up after 5 failures" in finished.reason
    assert "exit code 1" in finished.reason


def test_a_port_that_is_held_for_a_moment_is_waited_for(bench: Bench, mosquitto: Path) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen(1)
        settings = bench.settings(mosquitto, total_timesteps=1000)
        port = stranger.getsockname()[1]
        settings = settings.model_copy(update={"broker": settings.broker.model_copy(update={"port": port})})
        _, reader = bench.start(settings, patience=MANY)
        said = reader.wait_for(Notice)
        assert "(attempt 1 of 20, the next in 0.2 s)" in said.message
        assert f"PID {os.getpid()}" in said.message
    assert reader.wait_for(RunStarted).port == port


def test_stop_ends_the_wait_for_a_port(bench: Bench, mosquitto: Path) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen(1)
        settings = bench.settings(mosquitto, start_wait_sec=300.0)
        broker = settings.broker.model_copy(update={"port": stranger.getsockname()[1]})
        session, reader = bench.start(settings.model_copy(update={"broker": broker}))
        assert "attempt 1 of 5, the next in 300 s" in reader.wait_for(Notice).message
        session.send(Stop())
        assert reader.wait_for(RunFinished).state is State.CANCELLED
        assert session.error is None


def test_a_load_that_cannot_be_made_fails_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")  # emqtt_bench is not to be found
    _, reader = bench.start(bench.settings(generator="emqtt_bench", total_timesteps=2))
    finished = reader.wait_for(RunFinished)
    assert finished.state is State.FAILED
    assert "emqtt_bench is not installed" in finished.reason
