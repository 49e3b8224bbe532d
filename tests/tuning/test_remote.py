"""Whole runs through a real agent: the load on either side, and a network that goes away in the middle."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from brokertuner_tui.config.settings import BrokerSettings, LoadSettings, Settings, TuningSettings
from brokertuner_tui.connection.policy import POLICIES, ReconnectPolicy
from brokertuner_tui.connection.tracker import ConnectionState
from brokertuner_tui.env.outcome import PhaseName, Verdict
from brokertuner_tui.errors import ExitCode, UsageError
from brokertuner_tui.tuning.commands import Resume, Stop
from brokertuner_tui.tuning.events import (
    ConnectionChanged,
    PhaseChanged,
    RunFinished,
    RunStarted,
    Sampled,
    State,
    StateChanged,
    TrialFinished,
)
from tests.agents import Agent
from tests.connection.proxy import FaultyProxy
from tests.tuning.conftest import Bench


@pytest.fixture
def agent(mosquitto_2_0_21: Path, tmp_path: Path) -> Iterator[Agent]:
    """One that serves, and allows changes."""
    made = Agent(tmp_path / "agent", mosquitto_2_0_21)
    try:
        yield made.start()
    finally:
        made.stop()


def through(agent: Agent, url: str, side: str = "here", **tuning: Any) -> Settings:
    """Short runs on the agent's broker."""
    quick = {
        "total_timesteps": 2,
        "step_interval_sec": 0.7,
        "settle_sec": 0.05,
        "confirm_windows": 2,
        "ablation_windows": 0,
        "start_wait_sec": 0.2,
    }
    return Settings(
        broker=BrokerSettings(kind="remote", url=url, token_file=agent.token_file, connection="high-availability"),
        load=LoadSettings.model_validate({"workload": "small", "side": side}),
        tuning=TuningSettings.model_validate(quick | tuning),
    )


def test_a_run_with_the_load_on_the_agents_side_goes_on_after_the_agent_was_killed(bench: Bench, agent: Agent) -> None:
    _, reader = bench.start(through(agent, agent.url, "agent", total_timesteps=4))
    started = reader.wait_for(RunStarted)
    assert started.broker_kind == "remote"
    reader.wait_for(TrialFinished)
    agent.kill()
    reader.wait_for(ConnectionChanged, lambda event: not event.connection.state.usable)
    agent.start()
    trials = [reader.wait_for(TrialFinished) for _ in range(3)]
    finished = reader.wait_for(RunFinished)
    assert finished.state is State.COMPLETED, finished
    assert finished.best is not None
    assert sum(trial.verdict is not Verdict.OK for trial in trials) <= 1, [trial.outcome for trial in trials]
    for trial in (trial for trial in trials if trial.verdict is Verdict.OK):
        outcome = trial.outcome
        assert outcome.window is not None
        assert outcome.window.on_time > 0
        assert outcome.usage.rss_bytes > 1_000_000, "told by the agent"
        assert outcome.applied is not None
    sample = reader.of(Sampled)[-1].sample
    assert sample.connection is not None
    assert sample.connection.state is ConnectionState.CONNECTED


def test_a_run_with_the_load_here_waits_for_an_agent_that_cannot_be_reached(bench: Bench, agent: Agent) -> None:
    proxy = FaultyProxy(agent.port)
    try:
        _, reader = bench.start(through(agent, proxy.url, total_timesteps=3))
        first = reader.wait_for(TrialFinished)
        assert first.outcome.verdict is Verdict.OK
        assert first.outcome.window is not None
        assert first.outcome.window.on_time > 0
        proxy.cut()
        lost = reader.wait_for(ConnectionChanged, lambda event: event.connection.state is ConnectionState.DISCONNECTED)
        assert "cut" in lost.connection.last_error
        again = reader.wait_for(ConnectionChanged, lambda event: event.connection.attempts >= 3)
        assert again.connection.last_heartbeat is not None
        proxy.heal()
        reader.wait_for(ConnectionChanged, lambda event: event.connection.state is ConnectionState.CONNECTED)
        finished = reader.wait_for(RunFinished)
    finally:
        proxy.close()
    assert finished.state is State.COMPLETED, finished
    outcomes = [event.outcome for event in reader.of(TrialFinished)]
    assert len(outcomes) == 3
    assert all(outcome.verdict is not Verdict.FAILED for outcome in outcomes), "the network is not the knobs' fault"
    assert sum(outcome.verdict is Verdict.INCONCLUSIVE for outcome in outcomes) <= 1, "tuning waits instead of failing"
    assert outcomes[-1].verdict is Verdict.OK
    assert "starting again" not in agent.log()
    changes = [line for line in agent.log().splitlines() if " restart in " in line]
    assert agent.broker_starts == 1 + len(changes), "nothing but the changes restarted the broker"


@pytest.mark.parametrize("keep_open", [True, False])
def test_an_agent_that_stays_away_pauses_the_operators_session_and_ends_a_script(
    bench: Bench, agent: Agent, monkeypatch: pytest.MonkeyPatch, keep_open: bool
) -> None:
    soon = dataclasses.replace(POLICIES["high-availability"], base_interval_s=0.05, cap_s=0.1, max_attempts=3)
    monkeypatch.setitem(cast("dict[str, ReconnectPolicy]", POLICIES), "high-availability", soon)
    proxy = FaultyProxy(agent.port)
    try:
        session, reader = bench.start(through(agent, proxy.url, total_timesteps=50), keep_open=keep_open)
        reader.wait_for(TrialFinished)
        proxy.cut()
        if keep_open:
            paused = reader.wait_for(StateChanged, lambda event: event.state is State.PAUSED)
            assert "given up after 3 attempts" in paused.reason
            proxy.heal()
            session.send(Resume())
            reader.wait_for(TrialFinished, lambda event: event.outcome.verdict is Verdict.OK)
        else:
            finished = reader.wait_for(RunFinished)
            assert finished.state is State.FAILED
            assert "given up after 3 attempts" in finished.reason
            assert session.join(10.0)
            assert session.error is not None
            assert session.error.exit_code == ExitCode.CONNECTION
    finally:
        proxy.heal()
        bench.close()
        proxy.close()


def test_an_agent_that_allows_no_changes_ends_the_run_before_anything(
    bench: Bench, mosquitto_2_0_21: Path, tmp_path: Path
) -> None:
    agent = Agent(tmp_path / "agent", mosquitto_2_0_21, more=()).start()
    try:
        session, reader = bench.start(through(agent, agent.url))
        with pytest.raises(AssertionError, match="allows no changes"):
            reader.wait_for(RunStarted)
        assert isinstance(session.error, UsageError)
        assert session.error.exit_code == ExitCode.USAGE
        assert not bench.folder.exists(), "nothing was left on disk"
    finally:
        agent.stop()


def test_a_load_on_the_agents_side_needs_an_agent(bench: Bench) -> None:
    settings = bench.settings()
    session, reader = bench.start(settings.model_copy(update={"load": settings.load.model_copy(update={"side": "agent"})}))
    with pytest.raises(AssertionError, match="broker on another host"):
        reader.wait_for(RunStarted)
    assert isinstance(session.error, UsageError)


def test_stop_does_not_wait_for_an_agent_that_is_away(bench: Bench, agent: Agent) -> None:
    proxy = FaultyProxy(agent.port)
    try:
        session, reader = bench.start(through(agent, proxy.url, total_timesteps=50))
        reader.wait_for(TrialFinished)
        proxy.cut()
        reader.wait_for(ConnectionChanged, lambda event: not event.connection.state.usable)
        began = time.monotonic()
        session.send(Stop(leave="default"))
        ended = reader.wait_for(RunFinished)
        assert time.monotonic() - began < 8
        assert (ended.state, ended.left) == (State.CANCELLED, "current")
        assert "cannot be reached" in ended.reason
    finally:
        proxy.close()


def test_a_broker_that_its_agent_brings_back_in_mid_trial_is_no_lesson(bench: Bench, agent: Agent) -> None:
    _, reader = bench.start(through(agent, agent.url, total_timesteps=50, step_interval_sec=2.0))
    reader.wait_for(TrialFinished)
    reader.wait_for(PhaseChanged, lambda event: event.phase is PhaseName.MEASURING)
    pid = reader.wait_for(Sampled, lambda event: event.sample.broker.pid is not None).sample.broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    trial = reader.wait_for(TrialFinished)
    assert (trial.verdict, trial.reward) == (Verdict.INCONCLUSIVE, None)
    reader.wait_for(TrialFinished, lambda event: event.verdict is Verdict.OK)
