"""Services for tests, all ended with them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.service.agents import Agent, Program, left_of, start_program
from tests.service.client import Client

Serve = Callable[..., Client]


class Looking:
    """A service that a module's tests share, since they change nothing."""

    def __init__(self, agent: Agent) -> None:
        self.agent, self.client = agent, agent.start()
        self.pid = self.client.get("/state").data["broker"]["pid"]


@pytest.fixture(scope="module")
def looking(tmp_path_factory: pytest.TempPathFactory, mosquitto: Path) -> Iterator[Looking]:
    """A service that nobody changes."""
    agent = Agent(tmp_path_factory.mktemp("looking"), mosquitto)
    try:
        yield Looking(agent)
    finally:
        agent.stop()


@pytest.fixture
def agents() -> Iterator[list[Agent]]:
    """Every service that a test starts in this process."""
    made: list[Agent] = []
    yield made
    for agent in made:
        agent.stop()


@pytest.fixture
def serve(tmp_path: Path, mosquitto: Path, agents: list[Agent]) -> Serve:
    """Starts services; without arguments: changes allowed, and as many a second as one likes."""

    def start(**options: Any) -> Client:
        folder = options.pop("folder", tmp_path / f"data {len(agents)}")
        agent = Agent(folder, options.pop("mosquitto", mosquitto), **options)
        agents.append(agent)
        return agent.start()

    return start


@pytest.fixture
def program(tmp_path: Path, mosquitto: Path) -> Iterator[Callable[..., Program]]:
    """Starts the command in processes of their own."""
    made: list[Program] = []

    def start(*more: str) -> Program:
        made.append(start_program(tmp_path, mosquitto, *more))
        return made[-1]

    yield start
    for one in made:
        if one.process.poll() is None:
            kin = one.kin()
            one.process.kill()
            one.process.wait(30)
            for left in left_of(kin):
                with contextlib.suppress(psutil.NoSuchProcess):
                    left.kill()
