"""An agent keeps its broker up by itself: nobody has to ask."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from brokertuner_tui.broker.probe import Probe
from brokertuner_tui.mqtt.endpoint import Endpoint
from tests.service.agents import fragile_mosquitto, until
from tests.service.client import Client
from tests.service.conftest import Serve


def broker_of(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/state").data["broker"]
    return found


def another_process(client: Client, pid: int) -> Callable[[], dict[str, Any] | None]:
    def look() -> dict[str, Any] | None:
        broker = broker_of(client)
        return broker if broker["state"] == "listening" and broker["pid"] != pid else None

    return look


def bound(stranger: socket.socket, port: int) -> bool:
    try:
        stranger.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


def test_one_that_was_killed_is_back_with_the_knobs_that_were_in_force(serve: Serve) -> None:
    client = serve()
    assert client.apply(max_queued_messages=777).status == 200
    for _ in range(3):
        before = broker_of(client)
        os.kill(before["pid"], signal.SIGKILL)
        after = until(another_process(client, before["pid"]))
        assert after["knobs"]["max_queued_messages"] == 777
        assert after["port"] == before["port"]
        with Probe(Endpoint("127.0.0.1", after["port"]), time.monotonic() + 10) as probe:
            probe.hello()
            probe.round_trip()


def test_one_that_hangs_is_restarted(serve: Serve) -> None:
    client = serve()
    before = broker_of(client)
    os.kill(before["pid"], signal.SIGSTOP)
    began = time.monotonic()
    until(another_process(client, before["pid"]))
    assert time.monotonic() - began < 20


def test_one_that_does_not_stay_up_comes_back_when_it_is_asked_for(serve: Serve, mosquitto: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    client = serve(mosquitto=fragile_mosquitto(tmp_path, mosquitto, broken))
    broken.touch()
    os.kill(broker_of(client)["pid"], signal.SIGKILL)
    until(lambda: broker_of(client)["state"] == "failed" or None)
    assert client.get("/state").status == 200, "the service answers meanwhile"
    broken.unlink()
    assert client.post("/restart_broker").status == 200
    assert broker_of(client)["state"] == "listening"


def test_while_a_stranger_has_the_port_it_is_not_ours(serve: Serve, mosquitto: Path, tmp_path: Path) -> None:
    held = tmp_path / "held"
    program = tmp_path / "slow" / "mosquitto"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nwhile [ -e "{held}" ]; do sleep 0.02; done\nexec "{mosquitto}" "$@"\n')
    program.chmod(0o700)
    client = serve(mosquitto=program)
    before = broker_of(client)
    held.touch()
    os.kill(before["pid"], signal.SIGKILL)
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        until(lambda: bound(stranger, before["port"]))
        stranger.listen(10)
        held.unlink()
        failed = until(lambda: found if "held by" in (found := broker_of(client))["error"] else None)
        assert f"PID {os.getpid()}" in failed["error"]
    until(another_process(client, before["pid"]))
