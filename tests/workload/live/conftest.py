"""Live traffic for tests: a broker that is not ours to configure, and clients that are not the tuner's."""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from brokertuner_tui.broker.ports import free_port
from brokertuner_tui.broker.probe import Probe, ProbeError
from brokertuner_tui.config.settings import LiveSettings
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.process.child import Child
from brokertuner_tui.workload.live.load import LiveLoad
from brokertuner_tui.workload.live.traffic import initial_profile
from brokertuner_tui.workload.window import Window
from tests.conftest import CANDIDATES

READY_S = 20.0


@pytest.fixture(scope="session")
def prompt_mosquitto() -> Path:
    """A Mosquitto whose `$SYS` comes every second (2.1); the first at hand where that is missing."""
    return CANDIDATES.get("sid", next(iter(CANDIDATES.values())))


@pytest.fixture
def bare_broker(mosquitto: Path, tmp_path: Path) -> Iterator[Callable[[str], Endpoint]]:
    """Starts a Mosquitto with lines of one's own."""
    running: list[Child] = []

    def start(lines: str) -> Endpoint:
        endpoint = Endpoint("127.0.0.1", free_port("127.0.0.1"))
        conf = tmp_path / "bare.conf"
        # Else root's Mosquitto becomes nobody, who cannot read the ACL.
        user = f"user {pwd.getpwuid(os.getuid()).pw_name}"
        conf.write_text(f"{user}\nlistener {endpoint.port} 127.0.0.1\nallow_anonymous true\n{lines}\n")
        running.append(Child([mosquitto, "-c", conf], log_path=tmp_path / "bare.log"))
        deadline = time.monotonic() + READY_S
        while True:
            try:
                with Probe(endpoint, deadline):
                    return endpoint
            except ProbeError:
                assert time.monotonic() < deadline, (tmp_path / "bare.log").read_text()
                time.sleep(0.02)

    yield start
    for child in running:
        child.stop(2.0)


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[..., LiveLoad]]:
    """Makes a live load that is ready."""
    made: list[LiveLoad] = []

    def start(endpoint: Endpoint, **settings: object) -> LiveLoad:
        folder = tmp_path / f"live {len(made)}"
        folder.mkdir()
        values = LiveSettings.model_validate(settings)
        made.append(LiveLoad(folder, values))
        made[-1].start(initial_profile(values), endpoint)
        made[-1].wait_ready(READY_S)
        return made[-1]

    yield start
    for load in made:
        load.stop()


def window(load: LiveLoad, seconds: float = 0.5) -> Window:
    """A window of `seconds` at least that holds whole publications."""
    load.wait_ready(READY_S)
    load.open_window()
    began = time.monotonic()
    while time.monotonic() - began < seconds or not load.whole():
        assert time.monotonic() - began < 60
        time.sleep(0.02)
    return load.close_window()
