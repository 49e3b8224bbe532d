"""`$SYS` over TLS, WebSocket and both versions of MQTT, and why it says nothing where it says nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from brokertuner_tui.mqtt.endpoint import MQTT_3_1_1, MQTT_5, Endpoint, Tls
from brokertuner_tui.telemetry.sys_topics import SysTopics
from tests.broker.secure import LISTENERS, USERNAME, start_secured
from tests.waiting import eventually


@contextmanager
def topics(endpoint: Endpoint) -> Iterator[SysTopics]:
    """A client that reads, until the block ends."""
    made = SysTopics(endpoint)
    made.start()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(autouse=True)
def no_threads_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert eventually(lambda: threading.active_count() == before)


def test_every_way_in(every_mosquitto: Path, tmp_path: Path) -> None:
    with start_secured(every_mosquitto, tmp_path, listeners=LISTENERS) as broker, ExitStack() as stack:
        readers = [
            stack.enter_context(topics(broker.endpoint(listener, protocol=protocol)))
            for listener in LISTENERS
            for protocol in (MQTT_3_1_1, MQTT_5)
        ]
        for reader in readers:
            assert eventually(lambda reader=reader: not reader.read().stale), reader.read()  # type: ignore[misc]
            assert reader.read().reason == ""
            assert reader.read().version.startswith("mosquitto version 2.")
        assert eventually(lambda: readers[0].read().clients_connected == len(readers))


def test_not_let_in(mosquitto: Path, tmp_path: Path) -> None:
    with start_secured(mosquitto, tmp_path, listeners=("tls",)) as broker, ExitStack() as stack:
        cases = [
            (broker.endpoint(password="wrong"), "not let in: Not authorized"),
            (broker.endpoint(protocol=MQTT_3_1_1, password="wrong"), "not let in: Not authorized"),
            (broker.endpoint("tls", tls=Tls()), "signed by nobody that we trust"),
            (broker.endpoint("tls", tls=Tls(broker.authority.ca_file, server_name="x.example")), "is not for x.example"),
            (broker.endpoint("tls", tls=Tls(tmp_path / "gone")), f"broker.ca_file {tmp_path / 'gone'}: cannot be read"),
        ]
        for reader, said in [(stack.enter_context(topics(endpoint)), said) for endpoint, said in cases]:
            assert eventually(lambda reader=reader, said=said: said in reader.read().reason), reader.read().reason  # type: ignore[misc]
            assert reader.read().stale


def test_a_broker_that_is_down() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with topics(Endpoint("127.0.0.1", port)) as reader:
        assert eventually(lambda: reader.read().reason == "no connection: Connection refused")


def test_a_broker_that_goes_and_comes_back(mosquitto: Path, tmp_path: Path) -> None:
    with start_secured(mosquitto, tmp_path, listeners=("tls",)) as broker, topics(broker.endpoint("tls")) as reader:
        assert eventually(lambda: not reader.read().stale)
        broker.child.stop(5.0)
        assert eventually(lambda: reader.read().reason == "no connection: Connection refused")
        broker.restart()
        assert eventually(lambda: not reader.read().stale)
        assert reader.read().reason == ""


def test_switched_off_or_forbidden(every_mosquitto: Path, tmp_path: Path) -> None:
    """The broker lives, and says nothing of itself: that is not the same as one that is down."""
    off, forbidden = tmp_path / "off", tmp_path / "forbidden"
    off.mkdir()
    forbidden.mkdir()
    acl = f"user {USERNAME}\ntopic readwrite btt/#\n"
    with (
        start_secured(every_mosquitto, off, conf="sys_interval 0") as silent,
        start_secured(every_mosquitto, forbidden, acl=acl) as strict,
        topics(silent.endpoint()) as first,
        topics(strict.endpoint()) as second,
    ):
        for reader in (first, second):
            assert eventually(lambda reader=reader: "sys_interval 0" in reader.read().reason)  # type: ignore[misc]
            assert reader.read().stale
        assert "the ACL forbids it" in second.read().reason
