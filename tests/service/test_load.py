"""A load on the broker's own host, driven over HTTP as a tuner elsewhere does."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.window import Window
from tests.service.agents import SlowMosquitto, until
from tests.service.conftest import Looking, Serve

SMALL = Profile("small", publishers=2, subscribers=2, topics=2, qos=1, rate=300.0).as_dict()


def test_a_measurement_from_start_to_end(serve: Serve) -> None:
    client = serve()
    assert client.post("/load", {"profile": SMALL}).data == {"status": "ok"}
    assert client.post("/load/ready", {"deadline_s": 20}).data["seconds"] >= 0
    until(lambda: client.get("/state").data["load"]["connected"] == 4)  # a status may be half a second old
    assert client.post("/load/window/open").status == 200
    time.sleep(0.5)
    window = Window.from_dict(client.post("/load/window/close", {"drain_s": 1}).data)
    assert window.sent > 50
    assert window.received >= window.expected, "and what was on its way when the window was opened"
    assert (window.lost, window.missing, window.duplicated, window.clients) == (0, 0, 0, 4)
    # A restart of the broker by the agent is no reason for the load to back off.
    assert client.apply(max_inflight_messages=50).data["applied"]["how"] == "restart"
    assert client.post("/load/ready", {"deadline_s": 20}).status == 200
    assert client.post("/load", {"profile": {**SMALL, "subscribers": 3}}).status == 200, "goes over to another profile"
    assert client.post("/load/ready", {"deadline_s": 20}).status == 200
    until(lambda: client.get("/load").data["wanted"] == 5)
    pid = client.get("/load").data["pid"]
    assert client.post("/restart_workload").data == {"status": "ok"}
    assert client.get("/load").data["pid"] not in (pid, None)
    assert client.ask("DELETE", "/load").status == 200
    assert (client.get("/load").data["state"], client.get("/state").data["load"]) == ("stopped", None)


def test_without_a_load(looking: Looking) -> None:
    assert looking.client.get("/load").data["state"] == "stopped"
    for path, body in (
        ("/load/ready", {"deadline_s": 1}),
        ("/load/window/open", None),
        ("/load/window/close", None),
        ("/restart_workload", None),
    ):
        answer = looking.client.post(path, body)
        assert (answer.status, answer.error["code"]) == (409, "no_load"), path
    assert looking.client.ask("DELETE", "/load").status == 200, "what is not there has ended"
    assert looking.client.post("/load/expect_restart").status == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "profile"),
        ({"profile": 1}, "profile"),
        ({"profile": {}}, "name"),
        ({"profile": {"name": ""}}, "name"),
        ({"profile": {"name": "x", "publishers": 0}}, "publishers"),
        ({"profile": {"name": "x", "publishers": True}}, "publishers"),
        ({"profile": {"name": "x", "rate": "fast"}}, "rate"),
        ({"profile": {"name": "x", "burst": [1, 2, 3]}}, "burst"),
        ({"profile": {"name": "x", "colour": 1}}, "colour"),
        ({"profile": {"name": "x"}, "more": 1}, "more"),
    ],
)
def test_a_profile_that_cannot_be_made(looking: Looking, body: object, field: str) -> None:
    answer = looking.client.post("/load", body)
    assert (answer.status, answer.error["field"]) == (422, field), answer.text
    assert looking.client.get("/load").data["pid"] is None


def test_a_load_that_is_killed_and_one_that_cannot_connect(serve: Serve, mosquitto: Path, tmp_path: Path) -> None:
    slow = SlowMosquitto(tmp_path, mosquitto)
    client = serve(mosquitto=slow.program)
    client.post("/load", {"profile": SMALL})
    client.post("/load/ready", {"deadline_s": 20})
    os.kill(client.get("/load").data["pid"], signal.SIGKILL)
    until(lambda: client.get("/load").data["state"] == "dead")
    dead = client.post("/load/window/open")
    assert (dead.status, dead.error["code"]) == (503, "load")
    assert client.post("/restart_workload").status == 200
    assert client.post("/load/ready", {"deadline_s": 20}).status == 200
    slow.hold()  # else it would be back at once
    os.kill(client.get("/state").data["broker"]["pid"], signal.SIGKILL)
    until(lambda: client.get("/load").data["connected"] == 0)
    late = client.post("/load/ready", {"deadline_s": 0.3})
    assert (late.status, late.error["code"]) == (504, "not_ready")
    slow.release()
    assert client.post("/load/ready", {"deadline_s": 20}).status == 200
    for wrong in (0, -1, "1", True, 601, None):
        assert client.post("/load/ready", {"deadline_s": wrong}).error["field"] == "deadline_s"
