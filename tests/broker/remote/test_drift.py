"""Somebody changes the config of a broker that an agent has: its heartbeat tells, nothing is written over it."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any

import pytest

from brokertuner_tui.broker.interface import BrokerDrifted
from brokertuner_tui.connection.policy import POLICIES
from tests.agents import Agent
from tests.broker.remote.conftest import Connect
from tests.waiting import eventually


def test_the_agent_tells_and_settles_it(connect: Connect, agent: Agent) -> None:
    broker = connect(agent.url, POLICIES["default"])
    broker.start(broker.baseline)
    broker.apply({**broker.baseline, "message_size_limit": 5000})
    assert broker.drift(ask=True) == ()
    (path,) = (agent.folder / "data").rglob("broker_tuner.conf")
    ours = path.read_bytes()
    path.write_text(path.read_text().replace("message_size_limit 5000", "message_size_limit 60"))
    theirs, began = path.read_bytes(), time.monotonic()
    assert eventually(lambda: bool(broker.drift()), 20.0)
    assert time.monotonic() - began < 10.0
    assert ("message_size_limit", "5000", "60") in [(one.name, one.ours, one.theirs) for one in broker.drift()]
    time.sleep(1.1)  # the agent takes one change a second
    with pytest.raises(BrokerDrifted, match="message_size_limit: 5000 -> 60") as raised:
        broker.apply(broker.baseline)
    assert {one.name for one in raised.value.differences} == {"message_size_limit", str(path)}
    assert path.read_bytes() == theirs
    time.sleep(1.1)
    accepted = broker.accept()
    assert accepted.knobs["message_size_limit"] == 60
    assert broker.drift(ask=True) == ()
    assert path.read_bytes() == theirs

    path.unlink()
    assert eventually(lambda: bool(broker.drift()), 20.0)
    time.sleep(1.1)
    reclaimed = broker.reclaim()
    assert reclaimed.knobs["message_size_limit"] == 60
    assert path.read_bytes() == ours.replace(b"message_size_limit 5000", b"message_size_limit 60")
    assert broker.drift(ask=True) == ()


def test_what_another_client_has_the_agent_apply_is_drift_too(connect: Connect, agent: Agent) -> None:
    broker = connect(agent.url)
    broker.start(broker.baseline)
    time.sleep(1.1)
    _post(agent, "/apply_knobs", {"message_size_limit": 60})
    assert eventually(lambda: [one.name for one in broker.drift()] == ["message_size_limit"], 20.0)
    time.sleep(1.1)
    assert broker.reclaim().knobs["message_size_limit"] == 0
    assert broker.drift() == ()


def _post(agent: Agent, path: str, body: dict[str, Any]) -> None:
    headers = {"Authorization": f"Bearer {agent.token_file.read_text().strip()}", "Content-Type": "application/json"}
    asked = urllib.request.Request(agent.url + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(asked, timeout=20) as answer:
        assert answer.status == 200
