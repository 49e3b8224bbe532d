"""`serve --tune`: one session, commanded and watched over HTTP."""

from __future__ import annotations

from pathlib import Path

from brokertuner_tui.config.settings import Settings, TuningSettings
from brokertuner_tui.workload.profile import Profile, Workload
from tests.service.agents import until
from tests.service.conftest import Looking, Serve

SMALL = Workload.steady(Profile("small", publishers=2, subscribers=2, topics=2, qos=1, rate=200.0, window=100))
QUICK = Settings(tuning=TuningSettings(total_timesteps=500, step_interval_sec=0.2, settle_sec=0.05))


def test_a_session_is_commanded_and_its_broker_changed(serve: Serve, mosquitto_2_0_21: Path) -> None:
    client = serve(tune=SMALL, settings=QUICK, mosquitto=mosquitto_2_0_21)

    def session() -> dict[str, object]:
        told: dict[str, object] = client.get("/state").data["session"]
        return told

    until(lambda: session()["trial"])
    assert client.post("/pause").status == 202
    until(lambda: session()["state"] == "paused")
    state = client.get("/state").data
    assert state["session"]["workload"] == "small"
    assert state["load"]["wanted"] == 4
    assert client.get("/runs").data["runs"][0]["id"] == state["session"]["run"]

    applied = client.apply("mine", max_inflight_messages=33, max_queued_messages=777)
    assert applied.status == 200, applied.text
    assert applied.data["applied"]["knobs"]["max_inflight_messages"] == 33
    assert client.get("/state").data["broker"]["knobs"]["max_queued_messages"] == 777
    refused = client.apply("bad", memory_limit=1000)
    assert (refused.status, refused.error["code"], refused.error["field"]) == (422, "trap", "memory_limit")
    assert client.get("/state").data["broker"]["knobs"]["max_inflight_messages"] == 33
    assert client.post("/restart_broker").data["applied"]["how"] == "restart"
    assert session()["state"] == "paused"

    assert client.post("/pin", {"knob": "max_queued_messages"}).status == 202
    until(lambda: session()["pinned"] == {"max_queued_messages": 777})
    assert client.post("/pin", {"knob": "max_queued_messages", "pinned": False}).status == 202
    until(lambda: session()["pinned"] == {})
    for body, field in (({}, "knob"), ({"knob": "x"}, "knob"), ({"knob": "persistence", "value": 1}, "persistence")):
        answer = client.post("/pin", body)
        assert (answer.status, answer.error["field"]) == (422, field)

    trials = session()["trial"]
    assert client.post("/step").status == 202
    until(lambda: session()["trial"] != trials and session()["state"] == "paused")
    assert client.post("/load", {"profile": {"name": "x"}}).error["code"] == "session"
    assert client.post("/restart_workload").status == 200
    assert client.post("/resume").status == 202
    until(lambda: session()["state"] == "tuning")
    assert client.apply(max_inflight_messages=44).status == 200, "also in the middle of a trial"


def test_without_a_session(looking: Looking) -> None:
    for path, body in (("/pause", None), ("/resume", None), ("/step", None), ("/pin", {"knob": "persistence"})):
        answer = looking.client.post(path, body)
        assert (answer.status, answer.error["code"]) == (409, "no_session")
