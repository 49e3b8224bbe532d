"""The managed broker on every Mosquitto at hand: start, reload, restart, and that what is said to be in force is."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import paho.mqtt.client as mqtt
import psutil
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from brokertuner_tui.broker.interface import ApplyFailed
from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.broker.ports import is_free, owns
from brokertuner_tui.errors import TunerError, UsageError
from brokertuner_tui.knobs.catalogue import BY_NAME, NAMES, Value, defaults
from brokertuner_tui.process.identity import Identity
from tests.broker.conftest import MakeBroker
from tests.knobs.values import extremes
from tests.waiting import eventually

RELOADED: dict[str, Value] = {
    "queue_qos0_messages": True,
    "memory_limit": 100_000_000,
    "persistence": True,
    "autosave_interval": 60,
    "message_size_limit": 5000,
}
RESTARTED: dict[str, Value] = {
    "max_inflight_messages": 500,
    "max_inflight_bytes": 1_000_000,
    "max_queued_messages": 10,
    "max_queued_bytes": 1_000_000,
    "set_tcp_nodelay": True,
    "max_packet_size": 5000,
}


def connack(broker: ManagedBroker) -> tuple[int | None, int | None]:
    """Receive Maximum and Maximum Packet Size, as an independent client is told."""
    got: list[object] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_connect = lambda _c, _u, _f, _r, properties: got.append(properties)
    client.connect(broker.host, broker.port)
    client.loop_start()
    try:
        assert eventually(lambda: got)
    finally:
        client.disconnect()
        client.loop_stop()
    return getattr(got[0], "ReceiveMaximum", None), getattr(got[0], "MaximumPacketSize", None)


def test_start_and_stop(every_mosquitto: Path, make_broker: MakeBroker) -> None:
    broker = make_broker(every_mosquitto)
    assert broker.status().state == "stopped"
    assert not broker.alive()
    usual = defaults(broker.version)
    applied = broker.start(usual)
    status = broker.status()
    assert (status.state, status.pid, status.port, status.restarts) == ("listening", applied.pid, broker.port, 0)
    assert status.version == broker.version
    assert status.knobs == applied.knobs == usual
    assert status.started_at is not None
    assert abs(status.started_at - time.time()) < 60
    assert applied.how == "start"
    assert applied.old_pid is None
    assert applied.total_s >= applied.write_s + applied.stop_s + applied.start_s + applied.verify_s - 1e-6
    assert {"CONNACK", "round trip", "log", f"process {applied.pid}", f"port {broker.port} owned"} <= set(applied.checks)
    assert owns(applied.pid, broker.port)
    assert not owns(os.getpid(), broker.port)
    assert broker.alive()

    process = Identity.of(applied.pid)
    broker.stop()
    assert not process.alive()
    assert broker.status().state == "stopped"
    assert broker.status().knobs is None
    assert is_free(broker.host, broker.port)
    broker.stop()
    with pytest.raises(TunerError, match="not started"):
        broker.apply(usual)
    with pytest.raises(TunerError, match="not started"):
        broker.restart()
    port = broker.port
    assert broker.start(usual).pid != applied.pid
    assert broker.port == port


def test_the_folder_is_private(mosquitto: Path, make_broker: MakeBroker) -> None:
    broker = make_broker(mosquitto)
    broker.start(defaults(broker.version))
    assert stat.S_IMODE(broker.folder.stat().st_mode) == 0o700
    for path in broker.folder.rglob("*"):
        if path.suffix == ".conf":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_reload(every_mosquitto: Path, make_broker: MakeBroker) -> None:
    broker = make_broker(every_mosquitto)
    usual = defaults(broker.version)
    started = broker.start(usual)
    applied = broker.apply(usual | RELOADED)
    assert applied.how == "reload"
    assert applied.pid == applied.old_pid == started.pid
    assert set(applied.changed) == set(RELOADED)
    assert "message_size_limit 5000" in applied.checks
    assert broker.status().restarts == 0
    back = broker.apply(usual)
    assert back.how == "reload"
    assert "message_size_limit none" in back.checks
    assert broker.apply(usual).how == "none"


def test_restart(every_mosquitto: Path, make_broker: MakeBroker) -> None:
    broker = make_broker(every_mosquitto)
    usual = defaults(broker.version)
    started = broker.start(usual)
    port = broker.port
    applied = broker.apply(usual | RELOADED | RESTARTED)
    assert applied.how == "restart"
    assert applied.old_pid == started.pid != applied.pid == broker.status().pid
    assert set(applied.changed) == set(NAMES)
    assert connack(broker) == (500, 5000)
    again = broker.restart()
    assert again.how == "restart"
    assert again.pid != applied.pid
    assert again.knobs == usual | RELOADED | RESTARTED
    assert broker.port == port
    assert broker.status().restarts == 2
    assert not psutil.pid_exists(started.pid) or psutil.Process(started.pid).status() == psutil.STATUS_ZOMBIE


def test_what_the_broker_says_is_believed_not_the_file(
    every_mosquitto: Path, make_broker: MakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the manual were right about reload: the broker keeps its old limits, and that is noticed."""
    monkeypatch.setattr("brokertuner_tui.broker.managed.needs_restart", lambda _old, _new: False)
    broker = make_broker(every_mosquitto)
    usual = defaults(broker.version)
    broker.start(usual)
    for change, said in (
        ({"max_inflight_messages": 33}, "Receive Maximum 20, not 33"),
        ({"max_inflight_messages": 0}, "Receive Maximum 20, not unlimited"),
        ({"max_packet_size": 5555}, "Maximum Packet Size"),
    ):
        with pytest.raises(ApplyFailed, match=said) as raised:
            broker.apply(usual | change)
        assert raised.value.restored is not None
        assert raised.value.restored.knobs == usual
        assert broker.status().knobs == usual
        assert connack(broker)[0] == 20


def test_a_size_limit_that_is_not_in_force_is_noticed(
    mosquitto: Path, make_broker: MakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = make_broker(mosquitto)
    usual = defaults(broker.version)
    broker.start(usual)
    monkeypatch.setattr(
        "brokertuner_tui.broker.folder.render",
        lambda knobs: f"max_packet_size {usual['max_packet_size']}\nmax_inflight_messages 20\n",
    )
    with pytest.raises(ApplyFailed, match="a payload of 101 bytes was passed on against message_size_limit 100"):
        broker.apply(usual | {"message_size_limit": 100})


@pytest.mark.parametrize("name", NAMES)
def test_no_legal_value_fails_for_the_probe(name: str, every_mosquitto: Path, make_broker: MakeBroker) -> None:
    """Limits as tight as they may be, together with the tightest of every other kind (20-byte packets, queues of one)."""
    tight: dict[str, Value] = {
        "max_inflight_messages": 1,
        "max_inflight_bytes": 1,
        "max_queued_messages": 1,
        "max_queued_bytes": 1,
        "max_packet_size": 20,
        "message_size_limit": 1,
    }
    broker = make_broker(every_mosquitto)
    usual = defaults(broker.version) | tight
    broker.start(usual)
    for value in extremes(BY_NAME[name]):
        if name != "memory_limit" or value > 2:
            assert broker.apply(usual | {name: value}).knobs[name] == value


def test_illegal_values_touch_nothing(mosquitto: Path, make_broker: MakeBroker) -> None:
    broker = make_broker(mosquitto)
    usual = defaults(broker.version)
    with pytest.raises(UsageError):
        broker.start(usual | {"max_packet_size": 0})
    assert not broker.folder.exists()
    applied = broker.start(usual)
    with pytest.raises(UsageError):
        broker.apply(usual | {"max_inflight_messages": 65_536})
    with pytest.raises(UsageError):
        broker.apply({"persistence": True})
    assert broker.status().last_applied == applied
    assert broker.alive()


def test_rapid_applies(every_mosquitto: Path, make_broker: MakeBroker) -> None:
    broker = make_broker(every_mosquitto)
    usual = defaults(broker.version)
    broker.start(usual)
    for turn in range(30):
        wanted = usual | {
            "max_inflight_messages": 20 + turn // 3,
            "message_size_limit": 1000 * (turn % 2),
            "persistence": bool(turn & 4),
        }
        assert broker.apply(wanted).knobs == wanted
    assert connack(broker)[0] == 29


def test_saved_sessions_do_not_come_back(every_mosquitto: Path, make_broker: MakeBroker) -> None:
    """A retained message outlives a restart with persistence on; once forgotten, or in another run, it does not come back."""
    broker = make_broker(every_mosquitto)
    usual = defaults(broker.version)
    kept = usual | {"persistence": True}
    broker.start(kept)

    def retained(publish: bool) -> list[bytes]:
        got: list[bytes] = []
        client = mqtt.Client(CallbackAPIVersion.VERSION2)
        client.on_message = lambda _c, _u, message: got.append(bytes(message.payload))
        client.connect(broker.host, broker.port)
        client.loop_start()
        try:
            if publish:
                client.publish("kept", b"here", qos=1, retain=True).wait_for_publish(20)
            client.subscribe("kept", qos=1)
            # Retained messages come with the subscription, so before the acknowledgement of a later message.
            client.publish("end", b"", qos=1).wait_for_publish(20)
        finally:
            client.disconnect()
            client.loop_stop()
        return got

    assert retained(publish=True) == [b"here"]
    broker.restart()
    assert retained(publish=False) == [b"here"]
    broker.apply(usual)
    broker.restart()
    broker.apply(kept)
    broker.restart()
    assert retained(publish=False) == []
    retained(publish=True)
    broker.stop()
    broker.start(kept)
    assert retained(publish=False) == []


def test_extra_conf(every_mosquitto: Path, make_broker: MakeBroker, tmp_path: Path) -> None:
    """It is in force, but the knobs win."""
    extra = tmp_path / "extra"
    extra.write_text("max_inflight_messages 7\nconnection_messages false\n")
    broker = make_broker(every_mosquitto, extra_conf=extra)
    broker.start(defaults(broker.version))
    assert connack(broker)[0] == 20
    assert broker.log_path is not None
    assert "New client" not in broker.log_path.read_text()
    extra.write_text("bogus 1\n")
    broker.apply(defaults(broker.version) | {"persistence": True})  # a copy is included: this changes nothing
    broker.stop()
    with pytest.raises(ApplyFailed) as raised:
        broker.start(defaults(broker.version))
    assert "bogus" in str(raised.value)
    assert "00_extra.conf:1" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "Error: Unknown configuration variable" in raised.value.log
    assert broker.status().state == "failed"
    assert "bogus" in broker.status().error
    assert not broker.alive()
    extra.write_text("")
    broker.start(defaults(broker.version))
    assert broker.status().state == "listening"
