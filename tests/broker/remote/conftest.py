"""A real agent with a real Mosquitto, a proxy before it, and brokers that go through the proxy."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from brokertuner_tui.broker.remote.broker import RemoteBroker
from brokertuner_tui.connection.link import AgentLink
from brokertuner_tui.connection.policy import ReconnectPolicy
from brokertuner_tui.connection.target import make_target
from brokertuner_tui.mqtt.endpoint import Endpoint
from tests.agents import Agent
from tests.connection.proxy import FaultyProxy

QUICK = ReconnectPolicy(
    connect_timeout_s=0.5,
    heartbeat_s=0.1,
    heartbeat_timeout_s=0.5,
    base_interval_s=0.1,
    factor=2.0,
    cap_s=0.4,
    jitter=0.2,
    max_attempts=None,
)
"""The state machine of every policy, a hundred times as fast: what takes 10 minutes there takes a few seconds here."""


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """While this file is there, the agent's Mosquitto ends at once."""
    return tmp_path / "broken"


@pytest.fixture
def agent(mosquitto_2_0_21: Path, tmp_path: Path, broken: Path) -> Iterator[Agent]:
    """One that serves, and allows changes."""
    program = tmp_path / "mosquitto"
    real, flag = shlex.quote(str(mosquitto_2_0_21)), shlex.quote(str(broken))
    program.write_text(f'#!/bin/sh\n[ -e {flag} ] && exit 7\nexec {real} "$@"\n')
    program.chmod(0o700)
    made = Agent(tmp_path / "agent", program)
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture
def proxy(agent: Agent) -> Iterator[FaultyProxy]:
    """The network before the agent."""
    made = FaultyProxy(agent.port)
    yield made
    made.close()


Connect = Callable[..., RemoteBroker]


@pytest.fixture
def connect(agent: Agent) -> Iterator[Connect]:
    """Makes brokers at a URL; closes them all."""
    made: list[RemoteBroker] = []

    def make(url: str, policy: ReconnectPolicy = QUICK) -> RemoteBroker:
        link = AgentLink(make_target(url, agent.token_file), policy)
        made.append(RemoteBroker(link, lambda said: Endpoint(said["host"], said["port"])))
        return made[-1]

    yield make
    for broker in made:
        broker.stop()


def wait_until_usable(broker: RemoteBroker, since: float, within_s: float = 20.0) -> float:
    """Seconds from `since` (time.monotonic()) until the connection stands."""
    while not broker.connection.state.usable:
        assert time.monotonic() - since < within_s, broker.connection
        time.sleep(0.002)
    return time.monotonic() - since
