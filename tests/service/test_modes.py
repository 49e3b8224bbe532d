"""`serve --tune` in its modes: proposals over HTTP, what only reads, drift, and what of it is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from brokertuner_tui.config.settings import GuardSettings, Settings, TuningSettings
from brokertuner_tui.workload.profile import Profile, Workload
from tests.service.agents import until
from tests.service.client import Client
from tests.service.conftest import Looking, Serve

SMALL = Workload.steady(Profile("small", publishers=2, subscribers=2, topics=2, qos=1, rate=400.0, window=100, slo_ms=0.02))
"""Next to nothing is in time, so that there is always something to propose."""


def settings(**tuning: Any) -> Settings:
    quick = TuningSettings(total_timesteps=500, step_interval_sec=0.2, settle_sec=0.05, restarts_per_hour=5, **tuning)
    return Settings(tuning=quick, guard=GuardSettings(p99_ms=60_000))


def session(client: Client) -> dict[str, Any]:
    told: dict[str, Any] = client.get("/state").data["session"]
    return told


def metrics(client: Client) -> set[str]:
    return set(client.get("/metrics").text.splitlines())


def test_proposals_are_answered_over_http(serve: Serve, mosquitto_2_0_21: Path) -> None:
    client = serve(tune=SMALL, settings=settings(mode="recommend"), mosquitto=mosquitto_2_0_21)
    until(lambda: session(client)["proposal"] and session(client)["state"] == "paused")
    told = session(client)
    before = client.get("/knobs").data["knobs"]
    assert (told["mode"], told["read_only"], told["reason"]) == ("recommend", False, "a proposal waits")
    assert told["limits"] == ["p99 latency at most 6e+04 ms"]
    proposal = told["proposal"]
    assert (proposal["trial"], set(proposal["knobs"])) == (2, set(before))
    lines = metrics(client)
    assert 'brokertuner_session_info{mode="recommend",state="paused"} 1.0' in lines
    assert "brokertuner_session_proposal_waiting 1.0" in lines
    assert 'brokertuner_slo_verdict{verdict="pass"} 1.0' in lines
    assert "brokertuner_drifted 0.0" in lines

    stream = client.get("/telemetry/stream?limit=2").text
    kinds = [line.partition(": ")[2] for line in stream.splitlines() if line.startswith("event: ")]
    assert kinds == ["sample", "session", "sample"], "the session once: it has not changed since"
    data = next(part for part in stream.split("\n\n") if part.startswith("event: session")).partition("data: ")[2]
    assert json.loads(data)["proposal"] == proposal

    assert client.post("/proposal/skip").status == 202
    until(lambda: session(client)["proposal"] and session(client)["proposal"]["knobs"] != proposal["knobs"])
    assert client.get("/knobs").data["knobs"] == before, "nothing was applied"
    another = session(client)["proposal"]
    assert client.post("/proposal/apply").status == 202
    until(lambda: session(client)["trial"] == 2)
    assert client.get("/knobs").data["knobs"] == another["knobs"]


def test_what_only_reads_refuses_every_change_and_says_so(serve: Serve, mosquitto_2_0_21: Path) -> None:
    client = serve(tune=SMALL, settings=settings(read_only=True), mosquitto=mosquitto_2_0_21)
    until(lambda: session(client)["proposal"])
    before = client.get("/state").data["broker"]
    asked = [
        client.apply("mine", max_inflight_messages=33),
        client.post("/restart_broker"),
        client.post("/proposal/apply"),
        client.post("/reconcile", {"keep": "ours"}),
    ]
    assert [(answer.status, answer.error["code"]) for answer in asked] == [(409, "read_only")] * 4
    assert "only reads" in asked[0].error["message"]
    after = client.get("/state").data["broker"]
    assert (after["pid"], after["knobs"]) == (before["pid"], before["knobs"])
    assert session(client)["read_only"] is True
    assert any('mode="read-only"' in line for line in metrics(client))


def test_a_drift_is_told_and_answered(serve: Serve, mosquitto_2_0_21: Path, tmp_path: Path) -> None:
    client = serve(tune=SMALL, settings=settings(), mosquitto=mosquitto_2_0_21)
    until(lambda: session(client)["trial"])
    assert client.post("/proposal/apply").error["code"] == "no_proposal"
    assert "the agent applies by itself" in client.post("/proposal/skip").error["message"]
    (knob_file,) = tmp_path.rglob("broker_tuner.conf")

    def seen() -> bool:
        # Again where the tuner, in the middle of a change of its own, has written over it.
        if "somebody else" not in (text := knob_file.read_text()):
            knob_file.write_text(f"{text}# somebody else\n")
        return bool(session(client)["drift"])

    until(seen)
    until(lambda: session(client)["state"] == "paused")
    assert session(client)["drift"][0]["what"] == "file"
    assert "brokertuner_drifted 1.0" in metrics(client)
    for path in ("/resume", "/step"):
        answer = client.post(path)
        assert (answer.status, answer.error["code"]) == (409, "drifted")
        assert answer.error["differences"]
    assert client.post("/reconcile", {"keep": "ours"}).status == 200
    until(lambda: session(client)["state"] == "tuning")
    assert session(client)["drift"] == []
    assert "somebody else" not in knob_file.read_text()


def test_without_a_session_there_is_nothing_to_answer(looking: Looking) -> None:
    for path in ("/proposal/apply", "/proposal/skip"):
        answer = looking.client.post(path)
        assert (answer.status, answer.error["code"]) == (409, "no_session")
    assert "brokertuner_drifted 0.0" in metrics(looking.client)
