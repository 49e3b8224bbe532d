"""The agent of a broker that was there before it: taken over as it is, never touched without leave."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from brokertuner_tui.config.settings import BrokerSettings, CommandSettings
from brokertuner_tui.errors import TunerError
from tests.broker.fake_units import FakeUnit
from tests.service.agents import Agent, until
from tests.service.conftest import Serve
from tests.waiting import eventually


@pytest.fixture
def unit(tmp_path: Path, mosquitto: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeUnit]:
    """A broker of somebody else's, whose config is older than its process."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    unit = FakeUnit(tmp_path / "unit", mosquitto)
    unit.start()
    try:
        time.sleep(2.1)  # what is younger than the process counts as not read
        unit.service().restart(10, lambda _: None)
        assert eventually(unit.serves)
        yield unit
    finally:
        unit.stop()


def settings(unit: FakeUnit) -> BrokerSettings:
    """For the agent."""
    commands = {verb: unit.command(verb) for verb in ("restart", "reload", "status", "log", "pid")}
    return BrokerSettings(kind="command", command=CommandSettings(**commands), main_config=unit.main, mosquitto=unit.mosquitto)


def test_it_is_taken_over_as_it_is_and_left_as_it_was_changed(unit: FakeUnit, serve: Serve, agents: list[Agent]) -> None:
    pid = unit.pid
    client = serve(broker=settings(unit))
    broker = client.get("/state").data["broker"]
    assert (broker["kind"], broker["pid"], broker["restarts"]) == ("command", pid, 0)
    assert not unit.knob_file.exists()
    applied = client.apply("one", max_inflight_messages=50)
    assert (applied.status, applied.data["applied"]["how"]) == (200, "restart")
    agents[0].stop()
    assert unit.pid == applied.data["applied"]["pid"], "it goes on without us"
    time.sleep(2.1)
    unit.service().restart(10, lambda _: None)
    assert eventually(unit.serves)
    pid, text = unit.pid, unit.knob_file.read_text()
    later = serve(folder=agents[0].folder, broker=settings(unit), allow_changes=False)
    state = later.get("/state").data["broker"]
    assert (state["pid"], state["knobs"]["max_inflight_messages"]) == (pid, 50)
    assert unit.knob_file.read_text() == text
    assert later.get("/changes/one").data["state"] == "applied"


def test_one_that_somebody_else_restarted_is_taken_over(unit: FakeUnit, serve: Serve) -> None:
    client = serve(broker=settings(unit))
    unit.service().restart(10, lambda _: None)
    assert eventually(unit.serves)
    pid = unit.pid
    until(lambda: client.get("/readyz").status == 503)
    assert client.post("/restart_broker").data["applied"]["pid"] == pid == unit.pid
    assert client.get("/readyz").status == 200


def test_without_leave_it_is_not_restarted_to_find_out(unit: FakeUnit, serve: Serve) -> None:
    pid = unit.pid
    (unit.conf_d / "a_operator.conf").write_text("max_inflight_messages 7\n")
    with pytest.raises(TunerError, match="--allow-changes"):
        serve(broker=settings(unit), allow_changes=False)
    assert unit.pid == pid
    client = serve(broker=settings(unit))
    assert client.get("/state").data["broker"]["knobs"]["max_inflight_messages"] == 7
    assert unit.pid != pid
