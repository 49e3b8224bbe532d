"""Changes that are to be confirmed: kept if they are, rolled back by the agent if nobody is heard of, at once by default."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from brokertuner_tui.broker.remote.broker import RemoteBroker
from brokertuner_tui.connection.link import AgentLink
from brokertuner_tui.connection.policy import POLICIES
from brokertuner_tui.connection.target import make_target
from brokertuner_tui.errors import TunerError
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.service.journal import Journal
from tests.service.agents import Agent, Program, left_of
from tests.service.client import Client
from tests.service.conftest import Serve
from tests.waiting import eventually


def knobs(client: Client) -> dict[str, Any]:
    told: dict[str, Any] = client.get("/knobs").data["knobs"]
    return told


def later(client: Client, key: str, **wanted: Any) -> dict[str, Any]:
    answer = client.post("/apply_knobs?confirm=later", wanted, **{"Idempotency-Key": key})
    assert answer.status == 200, answer
    data: dict[str, Any] = answer.data
    return data


def connected(client: Client, token: Path) -> RemoteBroker:
    link = AgentLink(make_target(client.url, token, None), POLICIES["default"])
    return RemoteBroker(link, lambda said: Endpoint(said["host"], said["port"]))


def test_a_plain_request_is_never_rolled_back(serve: Serve) -> None:
    client = serve(rollback_sec=0.3)
    client.apply(max_inflight_messages=41)
    state = client.get("/state").data
    assert state["unconfirmed"] is None
    assert state["broker"]["last_good"]["max_inflight_messages"] == 41
    time.sleep(1.5)
    assert knobs(client)["max_inflight_messages"] == 41
    assert client.get("/state").data["rolled_back"] is None


def test_silence_rolls_back_and_is_told(serve: Serve) -> None:
    client = serve(rollback_sec=0.3)
    before = knobs(client)
    later(client, "k1", max_inflight_messages=41)
    assert eventually(lambda: client.get("/state").data["rolled_back"] is not None)
    assert knobs(client) == before
    state = client.get("/state").data
    assert state["unconfirmed"] is None
    assert "max_inflight_messages was rolled back: its tuner was silent" in state["rolled_back"]["reason"]
    assert state["rolled_back"]["keys"] == ["k1"]
    change = client.get("/changes/k1").data
    assert (change["state"], change["confirmed"], change["knobs"]) == ("rolled_back", True, before)
    told = client.post("/changes/k1/confirm")
    assert (told.status, told.error["code"]) == (409, "rolled_back")
    later(client, "k2", max_inflight_messages=42)
    assert client.get("/state").data["rolled_back"] is None


def test_confirmed_stays_and_may_be_said_again(serve: Serve) -> None:
    client = serve(rollback_sec=1.5)
    later(client, "k1", max_inflight_messages=41)
    assert client.get("/changes/k1").data["confirmed"] is False
    assert client.get("/state").data["unconfirmed"]["key"] == "k1"
    for _ in range(2):
        told = client.post("/changes/k1/confirm")
        assert (told.status, told.data["knobs"]["max_inflight_messages"]) == (200, 41)
    assert client.get("/changes/k1").data["confirmed"] is True
    later(client, "k2", max_inflight_messages=42)
    later(client, "k3", max_inflight_messages=43)
    assert client.post("/changes/k2/confirm").error["code"] == "superseded"
    assert client.post("/changes/nobody/confirm").status == 404
    assert eventually(lambda: knobs(client)["max_inflight_messages"] == 41), "the last one that was confirmed"


def test_changes_that_are_off_cannot_be_confirmed(serve: Serve) -> None:
    assert serve(allow_changes=False).post("/changes/k1/confirm").status == 403


def test_a_tuner_that_is_heard_of_keeps_its_change(serve: Serve, agents: list[Agent]) -> None:
    client = serve(rollback_sec=2.5)
    broker = connected(client, agents[0].folder / "service" / "token")
    try:
        usual = broker.baseline
        broker.start(usual)
        assert broker.recovered == ""
        broker.apply(usual | {"max_inflight_messages": 41})
        assert broker.last_good == usual
        time.sleep(3.5)
        assert knobs(client)["max_inflight_messages"] == 41, "heartbeats"
        broker.confirm()
        assert broker.last_good == usual | {"max_inflight_messages": 41}
        assert client.get("/state").data["unconfirmed"] is None
        broker.apply(usual | {"max_inflight_messages": 42})
        broker.stop()
        assert eventually(lambda: knobs(client)["max_inflight_messages"] == 41, 20), "it is gone"
        with pytest.raises(TunerError):
            broker.confirm()
    finally:
        broker.stop()


def test_the_next_tuner_rolls_back_what_the_last_one_left(serve: Serve, agents: list[Agent]) -> None:
    client = serve()
    before = knobs(client)
    later(client, "k1", max_inflight_messages=41)
    broker = connected(client, agents[0].folder / "service" / "token")
    try:
        assert broker.start(broker.baseline | {"max_inflight_messages": 50}).knobs == before
        assert "max_inflight_messages" in broker.recovered
        assert "was rolled back" in broker.recovered
    finally:
        broker.stop()


def test_an_agent_that_was_killed_rolls_back_at_its_next_start(program: Callable[..., Program]) -> None:
    first = program("--allow-changes")
    first.client.apply(max_inflight_messages=30)
    time.sleep(1.05)
    later(first.client, "k1", max_inflight_messages=41)
    kin = first.kin()
    first.process.kill()
    first.process.wait(30)
    assert left_of(kin) == []
    client = program("--allow-changes").client
    assert knobs(client)["max_inflight_messages"] == 30
    assert client.get("/changes/k1").data["state"] == "rolled_back"
    assert "was rolled back" in client.get("/state").data["rolled_back"]["reason"]


def test_the_journal_knows_what_was_confirmed(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for number, key in enumerate("abc"):
        journal.begin(key, "apply", {"max_inflight_messages": number + 1}, {"max_inflight_messages": number + 1})
        journal.end(key, "applied", {"max_inflight_messages": number + 1}, confirmed=key == "a")
    assert journal.last_good() == {"max_inflight_messages": 1}
    assert [change.key for change in journal.unconfirmed()] == ["b", "c"]
    journal.confirm("c")
    for read in (journal, Journal(tmp_path)):
        assert read.last_good() == {"max_inflight_messages": 3}
        assert read.unconfirmed() == []
