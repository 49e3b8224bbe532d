"""Rows 20 to 23: the network between the tuner and the agent that has the broker: silent, resetting, cut, or away for long."""

from __future__ import annotations

import dataclasses
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from brokertuner_tui.broker.interface import Applied
from brokertuner_tui.config.settings import BrokerSettings, LoadSettings, Settings, TuningSettings
from brokertuner_tui.connection.policy import POLICIES, ReconnectPolicy
from brokertuner_tui.connection.tracker import ConnectionState
from brokertuner_tui.env.outcome import Verdict
from brokertuner_tui.errors import TunerError
from brokertuner_tui.tuning.commands import Pause, Resume
from brokertuner_tui.tuning.events import ConnectionChanged, State, StateChanged, TrialFinished
from brokertuner_tui.tuning.session import TuningSession
from tests.agents import Agent
from tests.connection.proxy import FaultyProxy
from tests.faults.catalogue import row
from tests.faults.sessions import Asked, stub
from tests.tuning.conftest import Bench, Reader
from tests.waiting import eventually

QUICK = dataclasses.replace(
    POLICIES["high-availability"],
    connect_timeout_s=0.5,
    heartbeat_s=0.2,
    heartbeat_timeout_s=0.6,
    base_interval_s=0.05,
    factor=2.0,
    cap_s=0.4,
    max_attempts=None,
)
"""The state machine of every policy, a hundred times as fast: an outage of 4 s is ten times its cap, as 10 minutes are."""
SLACK_S = 1.0
"""For a busy machine, on top of what the policy says."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """`high-availability` is `QUICK`."""
    monkeypatch.setitem(cast("dict[str, ReconnectPolicy]", POLICIES), "high-availability", QUICK)


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """While this file is there, the agent's Mosquitto does not get further with its start."""
    return tmp_path / "held"


@pytest.fixture
def agent(mosquitto_2_0_21: Path, tmp_path: Path, held: Path) -> Iterator[Agent]:
    """One that serves, and allows changes."""
    program = stub(tmp_path / "stub" / "mosquitto", mosquitto_2_0_21, f'while [ -e "{held}" ]; do sleep 0.02; done')
    made = Agent(tmp_path / "agent", program)
    try:
        yield made.start()
    finally:
        held.unlink(missing_ok=True)
        made.stop()


@pytest.fixture
def proxy(agent: Agent, bench: Bench) -> Iterator[FaultyProxy]:
    """The network before the agent; sessions end first, while it is well."""
    made = FaultyProxy(agent.port)
    yield made
    made.heal()
    bench.close()
    made.close()


def through(agent: Agent, proxy: FaultyProxy, **tuning: Any) -> Settings:
    """A session on the agent's broker."""
    quick = {"total_timesteps": 1000, "step_interval_sec": 0.7, "settle_sec": 0.05, "confirm_windows": 2, "ablation_windows": 0}
    return Settings(
        broker=BrokerSettings(kind="remote", url=proxy.url, token_file=agent.token_file, connection="high-availability"),
        load=LoadSettings.model_validate({"workload": "small"}),
        tuning=TuningSettings.model_validate(quick | tuning),
    )


def tuning(bench: Bench, agent: Agent, proxy: FaultyProxy) -> tuple[TuningSession, Reader]:
    """A session whose first trial is over."""
    session, reader = bench.start(through(agent, proxy), keep_open=True)
    assert reader.wait_for(TrialFinished).verdict is Verdict.OK
    return session, reader


def agents(event: ConnectionChanged) -> bool:
    """Whether it is about the agent's connection, not a broker's."""
    return event.name not in ("heartbeat", "$SYS") if hasattr(event, "name") else True


def is_lost(event: ConnectionChanged) -> bool:
    """Whether the agent's connection is."""
    return agents(event) and not event.connection.state.usable


def is_back(event: ConnectionChanged) -> bool:
    """Whether the agent's connection is."""
    return agents(event) and event.connection.state is ConnectionState.CONNECTED


def goes_on(reader: Reader) -> None:
    """A trial succeeds, and none so far was a failure of the knobs."""
    reader.wait_for(TrialFinished, lambda event: event.verdict is Verdict.OK)
    trials = reader.of(TrialFinished)
    assert all(trial.verdict is not Verdict.FAILED for trial in trials)
    assert all(trial.reward is None for trial in trials if trial.verdict is not Verdict.OK)


@row(20)
def test_half_open(bench: Bench, agent: Agent, proxy: FaultyProxy) -> None:
    _, reader = tuning(bench, agent, proxy)
    silent_at = time.time()
    proxy.swallow()
    lost = reader.wait_for(ConnectionChanged, is_lost)
    assert lost.at - silent_at <= QUICK.heartbeat_s + QUICK.heartbeat_timeout_s + SLACK_S
    proxy.heal()
    reader.wait_for(ConnectionChanged, is_back)
    goes_on(reader)


@row(21)
def test_reset_again_and_again(bench: Bench, agent: Agent, proxy: FaultyProxy) -> None:
    _, reader = tuning(bench, agent, proxy)
    began, cpu = time.monotonic(), time.process_time()
    proxy.cut()
    reader.wait_for(ConnectionChanged, is_lost)
    time.sleep(2.0)
    took, used = time.monotonic() - began, time.process_time() - cpu
    attempts = [at for at in proxy.connections if at > began]
    proxy.heal()
    gaps = [later - earlier for earlier, later in itertools.pairwise(attempts)]
    assert len(attempts) >= 3
    assert all(gap >= QUICK.shortest_s(failures) - 0.01 for failures, gap in enumerate(gaps, start=1)), gaps
    assert len({round(gap, 3) for gap in gaps[-3:]}) > 1, "with jitter"
    assert used < 0.8 * took, "no busy loop"
    reader.wait_for(ConnectionChanged, is_back)
    goes_on(reader)


@row(22)
def test_cut_in_the_middle_of_a_change(bench: Bench, agent: Agent, proxy: FaultyProxy, held: Path) -> None:
    session, reader = tuning(bench, agent, proxy)
    session.send(Pause())
    reader.wait_for(StateChanged, lambda event: event.state is State.PAUSED)
    time.sleep(1.1)  # an agent makes one change a second
    changes, starts = len(intents(agent)), agent.broker_starts
    held.touch()
    asked = Asked(session, max_inflight_messages=33)
    assert eventually(lambda: len(intents(agent)) == changes + 1)
    proxy.cut()
    reader.wait_for(ConnectionChanged, is_lost)
    held.unlink()
    assert eventually(lambda: agent.broker_starts == starts + 1)
    proxy.heal()
    applied: Applied | TunerError = asked.answer()
    assert isinstance(applied, Applied), applied
    assert applied.knobs["max_inflight_messages"] == 33, "read back"
    made = intents(agent)[changes:]
    assert len(made) == 1, "made once"
    assert agent.broker_starts == starts + 1
    session.send(Resume())
    goes_on(reader)


def intents(agent: Agent) -> list[str]:
    """The keys of the changes that the agent has begun."""
    lines = (agent.folder / "data" / "service" / "changes.jsonl").read_text().splitlines()
    return [record["key"] for record in map(json.loads, lines) if (record["kind"], record["event"]) == ("apply", "intent")]


@row(23)
def test_away_for_long(bench: Bench, agent: Agent, proxy: FaultyProxy) -> None:
    _, reader = tuning(bench, agent, proxy)
    agent.kill()
    gone_at = time.monotonic()
    reader.wait_for(ConnectionChanged, is_lost)
    time.sleep(10 * QUICK.cap_s)
    attempts = [at for at in proxy.connections if at > gone_at]
    first = len(attempts) - int((time.monotonic() - gone_at) / (QUICK.cap_s * (1 - QUICK.jitter)))
    assert first <= 6, "once the waits have grown, at most one attempt in the longest of them"
    assert not [trial for trial in reader.of(TrialFinished) if trial.verdict is Verdict.FAILED]
    agent.start()
    back_at = time.time()
    back = reader.wait_for(ConnectionChanged, is_back)
    assert back.at - back_at <= QUICK.cap_s + SLACK_S
    goes_on(reader)
