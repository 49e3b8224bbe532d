"""Two tuners, one agent: the second is refused at once, until the first has gone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from brokertuner_tui.errors import TunerError
from tests.agents import Agent
from tests.broker.remote.conftest import QUICK, Connect


def test_the_second_one_is_refused_at_once_and_free_to_come_when_the_first_has_left(connect: Connect, agent: Agent) -> None:
    first, second = connect(agent.url), connect(agent.url)
    first.start(first.baseline)
    began = time.monotonic()
    with pytest.raises(TunerError, match=f"another tuner has this broker: process {os.getpid()} since ") as refused:
        second.start(second.baseline)
    assert time.monotonic() - began < 1.0
    assert not refused.value.passes
    with pytest.raises(TunerError, match="another tuner has this broker"):
        second.apply({**second.baseline, "max_queued_messages": 500})
    assert second.status().knobs == first.status().knobs
    assert first.apply({**first.baseline, "max_queued_messages": 500}).changed == ("max_queued_messages",)
    first.stop()
    assert second.start(second.baseline).knobs == second.baseline


_TUNER = """
import sys, time
from pathlib import Path
from brokertuner_tui.broker.remote.broker import RemoteBroker
from brokertuner_tui.connection.link import AgentLink
from brokertuner_tui.connection.policy import POLICIES
from brokertuner_tui.connection.target import make_target
from brokertuner_tui.mqtt.endpoint import Endpoint
link = AgentLink(make_target(sys.argv[1], Path(sys.argv[2])), POLICIES["default"])
broker = RemoteBroker(link, lambda said: Endpoint(said["host"], said["port"]))
broker.start(broker.baseline)
print("ready", flush=True)
time.sleep(600)
"""


def test_one_of_this_machine_that_was_killed_is_not_waited_for(connect: Connect, agent: Agent) -> None:
    first = subprocess.Popen(
        [sys.executable, "-c", _TUNER, agent.url, str(agent.token_file)], stdout=subprocess.PIPE, text=True
    )
    assert first.stdout is not None
    try:
        assert first.stdout.readline() == "ready\n"
        second = connect(agent.url)
        with pytest.raises(TunerError, match=f"another tuner has this broker: process {first.pid} since "):
            second.start(second.baseline)
        first.kill()
        first.wait()
        assert second.start(second.baseline).knobs == second.baseline
    finally:
        first.kill()
        first.wait()
        first.stdout.close()


def test_who_only_looks_takes_nothing(connect: Connect, agent: Agent) -> None:
    looker, tuner = connect(agent.url), connect(agent.url, replace(QUICK, max_attempts=5))
    looker.only_reads = True
    looker.take_over()
    tuner.start(tuner.baseline)
    looker.stop()
    assert tuner.apply({**tuner.baseline, "max_queued_messages": 700}).changed == ("max_queued_messages",)
