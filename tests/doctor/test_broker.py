"""Brokers that serve, that do not, and that say little."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.config.settings import BrokerSettings
from brokertuner_tui.connection.policy import POLICIES
from brokertuner_tui.doctor import broker
from brokertuner_tui.doctor.finding import Finding, Level
from brokertuner_tui.mqtt.endpoint import Endpoint


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_our_own_is_tried_out(every_mosquitto: Path) -> None:
    found = by_name(list(broker.broker(BrokerSettings(mosquitto=every_mosquitto))))
    assert {name: finding.level for name, finding in found.items()} == dict.fromkeys(
        ("mosquitto", "broker", "heartbeat"), Level.OK
    )
    assert "1 attempt in" in found["heartbeat"].says
    assert "dead after 3 s of silence" in found["heartbeat"].says
    assert str(every_mosquitto) in found["mosquitto"].says
    assert "round trip" in found["broker"].says


def test_there_is_no_mosquitto(tmp_path: Path) -> None:
    (found,) = broker.broker(BrokerSettings(mosquitto=tmp_path / "none"))
    assert found.level is Level.FAILURE
    assert found.mend


def test_a_config_that_it_does_not_like(mosquitto: Path, tmp_path: Path) -> None:
    (tmp_path / "extra.conf").write_text("bogus 1\n")
    found = by_name(list(broker.broker(BrokerSettings(mosquitto=mosquitto, extra_conf=tmp_path / "extra.conf"))))
    assert found["broker"].level is Level.FAILURE
    assert "bogus" in found["broker"].says


def test_whoever_has_the_port_is_named(mosquitto: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = by_name(list(broker.broker(BrokerSettings(mosquitto=mosquitto, port=port))))
    assert found["port"].level is Level.FAILURE
    assert "PID" in found["port"].says


def test_a_broker_that_tells_nothing_under_sys(mosquitto: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "_SYS_S", 2.0)
    # The ACL wins over what the managed broker's own config says.
    (tmp_path / "acl").write_text("topic readwrite #\n")
    (tmp_path / "extra.conf").write_text(f"acl_file {tmp_path}/acl\n")
    own = ManagedBroker(mosquitto, tmp_path / "broker", extra_conf=tmp_path / "extra.conf")
    try:
        own.start(own.baseline)
        found = by_name(list(broker._told(own.endpoint, POLICIES["unstable-network"])))
    finally:
        own.stop()
    assert found["round trip"].level is Level.OK
    assert found["heartbeat"].level is Level.OK
    assert "dead after 15 s of silence" in found["heartbeat"].says
    assert "1 attempt in 2." in found["$SYS"].says
    assert found["$SYS"].level is Level.WARNING
    assert "sys_interval" in found["$SYS"].mend[0]


def test_what_was_tried_is_said_of_a_broker_that_hangs() -> None:
    """The kernel accepts for a process that does nothing."""
    quick = replace(POLICIES["default"], connect_timeout_s=0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        (found,) = broker._heartbeat(Endpoint("127.0.0.1", silent.getsockname()[1]), quick)
    assert found.level is Level.WARNING
    assert "1 attempt in 0." in found.says


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    (found,) = broker._told(Endpoint("127.0.0.1", port), POLICIES["default"])
    assert found.level is Level.FAILURE
    assert str(port) in found.says
