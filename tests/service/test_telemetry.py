"""What can be watched: samples, streams of them, metrics, runs."""

from __future__ import annotations

import http.client
import json
import socket
import time
from pathlib import Path
from typing import Any

import psutil

from tests.service.agents import until
from tests.service.client import Client
from tests.service.conftest import Looking, Serve


def opened(client: Client, query: str = "") -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    """A stream."""
    connection = client.connect()
    connection.request("GET", f"/telemetry/stream{query}", headers={"Authorization": f"Bearer {client.token}"})
    response = connection.getresponse()
    return connection, response


def streams(client: Client) -> int:
    """How many are open, by the service's own account."""
    (line,) = [line for line in client.get("/metrics").text.splitlines() if line.startswith("brokertuner_streams ")]
    return int(float(line.split()[1]))


def test_the_latest_sample(looking: Looking) -> None:
    until(lambda: looking.client.get("/telemetry").data["process"]["rss_bytes"])
    sample = looking.client.get("/telemetry").data
    assert sample["broker"]["pid"] == sample["process"]["pid"] == looking.pid
    assert abs(sample["wall_s"] - time.time()) < 5
    assert sample["load"]["state"] == "stopped"


def test_a_stream_has_every_sample_in_order(looking: Looking) -> None:
    connection, response = opened(looking.client, "?limit=4")
    assert response.status == 200
    assert response.getheader("content-type") == "text/event-stream; charset=utf-8"
    text = response.read().decode()
    connection.close()
    blocks = [block.split("\n") for block in text.split("\n\n") if block and not block.startswith(":")]
    assert [block[:2] for block in blocks] == [["event: sample", f"id: {number}"] for number in (1, 2, 3, 4)]
    samples = [json.loads(block[2].removeprefix("data: ")) for block in blocks]
    times = [sample["wall_s"] for sample in samples]
    assert times == sorted(set(times))
    assert 0.5 < times[3] - times[0] < 10


def test_streams_are_counted_and_limited(serve: Serve) -> None:
    client = serve(max_streams=2)
    one, two = opened(client), opened(client)
    refused = client.get("/telemetry/stream")
    assert (refused.status, refused.error["code"]) == (503, "too_many_streams")
    one[1].close()
    one[0].close()
    until(lambda: streams(client) == 1)  # seen without a write: the connection is gone
    three = opened(client, "?limit=1")
    assert three[1].read().count(b"event: sample") == 1
    until(lambda: streams(client) == 1)
    for connection, response in (two, three):
        response.close()
        connection.close()
    until(lambda: streams(client) == 0)


def test_a_reader_that_does_not_read_costs_nothing(looking: Looking) -> None:
    before = psutil.Process().memory_info().rss
    request = f"GET /telemetry/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {looking.client.token}\r\n\r\n"
    sleepers = []
    for _ in range(8):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", looking.client.port))
        sock.sendall(request.encode())
        sleepers.append(sock)
    until(lambda: streams(looking.client) == 8)
    connection, response = opened(looking.client, "?limit=5")
    assert response.read().count(b"event: sample") == 5, "others get theirs in time"
    connection.close()
    assert psutil.Process().memory_info().rss - before < 50e6
    for sock in sleepers:
        sock.close()
    until(lambda: streams(looking.client) == 0)


def test_the_metrics_are_prometheus_text(looking: Looking) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    answer = looking.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found: dict[str, Any] = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert found["brokertuner_broker_up"].samples[0].value == 1
    knobs = {sample.labels["knob"]: sample.value for sample in found["brokertuner_knob"].samples}
    assert knobs == {name: float(value) for name, value in looking.client.get("/knobs").data["knobs"].items()}


def test_connections_are_in_the_state_and_in_the_metrics(looking: Looking) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    def states() -> dict[str, str]:
        return {name: status["state"] for name, status in looking.client.get("/state").data["connections"].items()}

    until(lambda: states() == {"heartbeat": "connected", "$SYS": "connected"})
    beats = looking.client.get("/state").data["connections"]["heartbeat"]
    assert abs(beats["last_heartbeat"] - time.time()) < 5
    answer = looking.client.get("/metrics")
    found: dict[str, Any] = {family.name: family for family in text_string_to_metric_families(answer.text)}
    up = {sample.labels["connection"]: sample.value for sample in found["brokertuner_connection_up"].samples}
    assert up == {"heartbeat": 1.0, "$SYS": 1.0}
    assert all(sample.value >= 1 for sample in found["brokertuner_connection_attempts"].samples)


def test_the_state_says_who_and_what(looking: Looking) -> None:
    state = looking.client.get("/state").data
    again = looking.client.get("/state").data
    assert state["agent"] == again["agent"]
    assert state["broker"]["kind"] == "managed"
    assert state["broker"]["port"] == state["broker"]["endpoint"]["port"]
    assert state["broker"]["knobs"] == state["broker"]["baseline"] == state["broker"]["last_applied"]["knobs"]
    assert (state["change"], state["session"], state["load"]) == (None, None, None)
    assert "mosquitto.conf" in " ".join(psutil.Process(state["broker"]["pid"]).cmdline())


def test_the_catalogue(looking: Looking) -> None:
    data = looking.client.get("/knobs").data
    assert [entry["name"] for entry in data["catalogue"]] == list(data["knobs"]) == list(data["baseline"])
    assert all(entry["default"] == data["baseline"][entry["name"]] for entry in data["catalogue"])


def test_there_are_no_runs_yet(looking: Looking) -> None:
    assert looking.client.get("/runs").data == {"runs": []}
    for limit in ("0", "x", "1001"):
        answer = looking.client.get(f"/runs?limit={limit}")
        assert (answer.status, answer.error["field"]) == (422, "limit")


def test_a_store_that_is_none(serve: Serve, tmp_path: Path) -> None:
    folder = tmp_path / "spoiled"
    folder.mkdir()
    (folder / "store.db").write_bytes(b"no database at all" * 100)
    answer = serve(folder=folder).get("/runs")
    assert (answer.status, answer.error["code"]) == (503, "store")
