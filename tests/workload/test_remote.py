"""A load on the agent's side: started, changed, measured, and started again after the agent was killed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from brokertuner_tui.connection.link import AgentLink
from brokertuner_tui.connection.policy import POLICIES
from brokertuner_tui.connection.target import make_target
from brokertuner_tui.errors import ConfigError
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.workload.load import LoadError
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.remote import RemoteLoad
from brokertuner_tui.workload.supervisor import LoadSupervisor
from tests.agents import Agent
from tests.waiting import eventually

SMALL = Profile("small", publishers=2, subscribers=2, topics=2, qos=1, rate=400)
NOWHERE = Endpoint("192.0.2.1", 1)
"""The agent knows where its broker is."""


@pytest.fixture
def agent(mosquitto_2_0_21: Path, tmp_path: Path) -> Iterator[Agent]:
    """One that serves, and allows changes."""
    made = Agent(tmp_path / "agent", mosquitto_2_0_21)
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture
def link(agent: Agent) -> Iterator[AgentLink]:
    """To that agent."""
    made = AgentLink(make_target(agent.url, agent.token_file), POLICIES["high-availability"])
    made.open()
    yield made
    made.close()


def test_it_is_a_load_like_any_other(link: AgentLink) -> None:
    load = RemoteLoad(link)
    assert load.status().state == "stopped"
    with pytest.raises(LoadError, match="never started"):
        load.restart()
    with pytest.raises(LoadError, match="no load"):
        load.open_window()
    load.start(SMALL, NOWHERE)
    assert load.status().state in ("starting", "running"), "known at once"
    assert load.wait_ready(10.0) < 10.0
    load.open_window()
    assert eventually(lambda: load.status().received_total > 50)
    assert load.status().connected == 4
    window = load.close_window()
    assert window.on_time > 0
    assert window.received <= window.expected + 20, "a few may have been on their way when the window opened"
    load.change(dataclasses.replace(SMALL, name="more", publishers=3, subscribers=3))
    load.wait_ready(10.0)
    assert eventually(lambda: load.status().connected == 6)
    assert load.status().profile is not None
    with pytest.raises(ConfigError, match="publishers"):
        load.change(dataclasses.replace(SMALL, name="wrong", publishers=-1))
    load.stop()
    assert eventually(lambda: load.status().state == "stopped")
    load.stop()


def test_waiting_for_it_is_cancelled_at_once(link: AgentLink) -> None:
    load = RemoteLoad(link)
    load.start(SMALL, NOWHERE)
    with pytest.raises(LoadError, match="cancelled"):
        load.wait_ready(60.0, cancelled=lambda: True)
    load.stop()


def test_after_the_agent_was_killed_the_supervisor_starts_it_again(link: AgentLink, agent: Agent) -> None:
    load = RemoteLoad(link)
    load.start(SMALL, NOWHERE)
    load.wait_ready(10.0)
    assert eventually(lambda: load.status().connected == 4)
    agent.kill()
    assert eventually(lambda: load.status().state == "dead")
    with pytest.raises(LoadError, match="cannot be reached"):
        load.open_window()
    agent.start()
    assert eventually(lambda: link.connection.state.usable)
    assert eventually(lambda: load.status().state == "stopped"), "the new agent knows of no load"
    checked = LoadSupervisor(load, check_freq=1).check(1)
    assert checked is not None
    assert checked.what == "restarted", checked
    assert load.wait_ready(10.0) < 10.0
    load.stop()
