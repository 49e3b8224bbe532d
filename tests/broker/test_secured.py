"""Probes and verification on brokers that want a login, TLS, a certificate or a WebSocket, real ones of every version."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from brokertuner_tui.broker.log import BrokerLog
from brokertuner_tui.broker.probe import (
    Dropped,
    Limits,
    NotAuthorised,
    NotTrusted,
    Probe,
    ProbeError,
    Refused,
    Silent,
    hello_bytes,
)
from brokertuner_tui.broker.verify import NotInForce, Verifier
from brokertuner_tui.knobs.catalogue import KnobValues, defaults
from brokertuner_tui.mqtt.endpoint import MQTT_3_1_1, MQTT_5, Endpoint, Tls
from tests.broker.secure import LISTENERS, USERNAME, Authority, Secured, start_secured


@contextmanager
def probe(endpoint: Endpoint, within_s: float = 20.0) -> Iterator[Probe]:
    """A probe that became a client."""
    with Probe(endpoint, time.monotonic() + within_s) as made:
        made.hello()
        yield made


def refusal(endpoint: Endpoint, kind: type[ProbeError] = ProbeError) -> str:
    """What a probe says that is not let in."""
    with pytest.raises(kind) as raised, probe(endpoint):
        pass
    assert "\n" not in str(raised.value)
    return str(raised.value)


def verify(broker: Secured, endpoint: Endpoint, knobs: KnobValues, within_s: float = 20.0) -> tuple[str, ...]:
    """The checks that a verifier made."""
    log = BrokerLog(broker.folder / "log")
    return Verifier(broker.child, endpoint, log, 0, time.monotonic() + within_s).verify(knobs).checks


def test_every_way_in(every_mosquitto: Path, tmp_path: Path) -> None:
    """One broker, all its listeners, both versions of MQTT; then everything that is wrong with who we are."""
    with start_secured(every_mosquitto, tmp_path, listeners=LISTENERS) as broker:
        for listener in LISTENERS:
            for protocol in (MQTT_3_1_1, MQTT_5):
                with Probe(broker.endpoint(listener, protocol=protocol), time.monotonic() + 20) as asked:
                    limits = asked.hello()
                    assert limits.receive_maximum == (20 if protocol == MQTT_5 else None)
                    asked.round_trip()
                    if protocol == MQTT_5:
                        assert asked.takes_payload(200_000)  # several frames, several TLS records
        for listener in ("plain", "tls", "ws"):
            for protocol in (MQTT_3_1_1, MQTT_5):
                for wrong in ({"password": "wrong"}, {"username": "nobody"}, {"username": None, "password": None}):
                    said = refusal(broker.endpoint(listener, protocol=protocol, **wrong), NotAuthorised)
                    assert said.startswith("the broker refused the connection: not authorised")

        good = broker.endpoint("tls")
        with probe(replace(good, host="localhost")):
            pass
        with probe(replace(good, tls=Tls(broker.authority.ca_file, server_name="localhost"))):
            pass
        named = replace(good, tls=Tls(broker.authority.ca_file, server_name="other.example"))
        assert "is not for other.example (broker.tls_name" in refusal(named, NotTrusted)
        assert "signed by nobody that we trust (broker.ca_file" in refusal(replace(good, tls=Tls()), NotTrusted)
        assert "broker.cert_file" in refusal(replace(good, port=broker.ports["mtls"]), (NotTrusted, Dropped))  # type: ignore[arg-type]
        # The wrong door: TLS or not, WebSocket or not.
        for listener, port in (
            ("tls", "plain"),
            ("tls", "ws"),
            ("plain", "tls"),
            ("ws", "plain"),
            ("ws", "wss"),
            ("plain", "ws"),
        ):
            refusal(broker.endpoint(listener, port=broker.ports[port]), (NotTrusted, Dropped, Refused))  # type: ignore[arg-type]
        with probe(broker.endpoint()):  # it has lived through all that
            pass


def test_certificates_that_are_wrong(mosquitto: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    for name, span, said in (
        ("old", (-2.0, -1.0), "the broker's certificate has expired"),
        ("new", (1.0, 2.0), "the broker's certificate is not valid yet (is this machine's clock right?)"),
        ("else", (-1.0, 1.0), "the broker's certificate is not for 127.0.0.1 (broker.tls_name says which name to expect)"),
    ):
        names = ("elsewhere.example",) if name == "else" else ("127.0.0.1",)
        folder = tmp_path / name
        folder.mkdir()
        server = authority.issue(name, names=names, begins_days=span[0], ends_days=span[1])
        with start_secured(mosquitto, folder, listeners=("tls",), server=server, authority=authority) as broker:
            assert refusal(broker.endpoint("tls"), NotTrusted) == said
            if name == "else":
                with probe(broker.endpoint("tls", tls=Tls(authority.ca_file, server_name="elsewhere.example"))):
                    pass


def test_a_client_certificate_that_the_broker_does_not_know(every_mosquitto: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "other").issue("client")
    with start_secured(every_mosquitto, tmp_path, listeners=("mtls",)) as broker:
        tls = Tls(broker.authority.ca_file, stranger.cert_file, stranger.key_file)
        assert "broker.cert_file" in refusal(broker.endpoint("mtls", tls=tls), (NotTrusted, Dropped))  # type: ignore[arg-type]


@pytest.mark.parametrize("listener", ["plain", "tls", "ws"])
def test_verified(every_mosquitto: Path, tmp_path: Path, listener: str) -> None:
    with start_secured(every_mosquitto, tmp_path, listeners=(listener,), conf="max_inflight_messages 7") as broker:
        version = (2, 1, 0) if "version 2.1" in broker.log else (2, 0, 11)
        knobs = defaults(version) | {"max_inflight_messages": 7}
        checks = verify(broker, broker.endpoint(listener), knobs)
        assert "Receive Maximum 7" in checks
        assert "round trip" in checks
        with pytest.raises(NotInForce, match="Receive Maximum 7, not 8"):
            verify(broker, broker.endpoint(listener), knobs | {"max_inflight_messages": 8})
        # MQTT 3.1.1 cannot tell, and that is said instead of a limit.
        checks = verify(broker, broker.endpoint(listener, protocol=MQTT_3_1_1), knobs | {"max_inflight_messages": 8})
        assert "limits not asked (MQTT 3.1.1)" in checks
        assert "round trip" in checks
        assert not any("Maximum" in check for check in checks)
        with pytest.raises(NotInForce, match="not authorised"):
            verify(broker, broker.endpoint(listener, password="wrong"), knobs)


def test_a_certificate_that_is_gone_is_no_crash(mosquitto: Path, tmp_path: Path) -> None:
    with start_secured(mosquitto, tmp_path, listeners=("tls",)) as broker:
        endpoint = broker.endpoint("tls", tls=Tls(tmp_path / "gone"))
        with pytest.raises(NotInForce, match=r"broker.ca_file .*/gone: cannot be read"):
            verify(broker, endpoint, defaults((2, 0, 11)))


def test_a_limit_that_keeps_out_who_logs_in(every_mosquitto: Path, tmp_path: Path) -> None:
    """A legal max_packet_size, under which a CONNECT with a name and a password has no room."""
    with start_secured(every_mosquitto, tmp_path, conf="max_packet_size 20") as broker:
        size = hello_bytes(broker.endpoint())
        assert size > 40
        with pytest.raises(NotInForce) as raised:
            verify(broker, broker.endpoint(), defaults((2, 0, 11)) | {"max_packet_size": 20})
        assert (
            str(raised.value) == f"max_packet_size 20 keeps out clients that log in: the CONNECT of {USERNAME} has {size} bytes"
        )
    assert hello_bytes(Endpoint("h", 1)) == 15


def test_the_smallest_packets_are_enough_without_a_login(every_mosquitto: Path, tmp_path: Path) -> None:
    conf = "max_packet_size 20\nallow_anonymous true"
    with start_secured(every_mosquitto, tmp_path, conf=conf, listeners=("ws",)) as broker:
        for listener in ("plain", "ws"):
            for protocol in (MQTT_3_1_1, MQTT_5):
                with probe(broker.endpoint(listener, protocol=protocol, username=None, password=None)) as asked:
                    asked.round_trip()


def test_an_acl(every_mosquitto: Path, tmp_path: Path) -> None:
    """Who may use btt/# is verified as usual."""
    acl = f"user {USERNAME}\ntopic readwrite btt/#\n"
    with start_secured(every_mosquitto, tmp_path, acl=acl) as broker, probe(broker.endpoint()) as asked:
        asked.round_trip()


def test_an_acl_that_forbids(every_mosquitto: Path, tmp_path: Path) -> None:
    """The broker serves, as far as can be known: the missing round trip is said, not held against it."""
    with start_secured(every_mosquitto, tmp_path, acl=f"user {USERNAME}\ntopic readwrite other/#\n") as broker:
        with probe(broker.endpoint()) as asked, pytest.raises(NotAuthorised, match="ACL forbids btt/#"):
            asked.round_trip()
        with probe(broker.endpoint(protocol=MQTT_3_1_1), within_s=0.3) as asked, pytest.raises(Silent, match="did not come"):
            asked.round_trip()  # it acknowledges everything, and delivers nothing
        version = (2, 1, 0) if "version 2.1" in broker.log else (2, 0, 11)
        checks = verify(broker, broker.endpoint(), defaults(version))
        assert any(check.startswith("no round trip: ") and "ACL" in check for check in checks)


def test_a_broker_without_mqtt_5(every_mosquitto: Path, tmp_path: Path) -> None:
    """The option came with 2.1; older brokers without it are played in test_probe.py."""
    with start_secured(every_mosquitto, tmp_path) as broker:
        if "version 2.1" not in broker.log:
            pytest.skip("this Mosquitto cannot be kept from MQTT 5")
    folder = tmp_path / "again"
    folder.mkdir()
    with start_secured(every_mosquitto, folder, listeners=("old",)) as broker:
        assert "does not speak this version of MQTT" in refusal(broker.endpoint("old"), Refused)
        with probe(broker.endpoint("old", protocol=MQTT_3_1_1)) as asked:
            assert asked.protocol == MQTT_3_1_1
            asked.round_trip()


def test_limits_are_none_in_3_1_1(mosquitto: Path, tmp_path: Path) -> None:
    with start_secured(mosquitto, tmp_path, conf="max_packet_size 500") as broker:
        with Probe(broker.endpoint(), time.monotonic() + 20) as asked:
            assert asked.hello() == Limits(20, 500)
        with Probe(broker.endpoint(protocol=MQTT_3_1_1), time.monotonic() + 20) as asked:
            assert asked.hello() == Limits(None, None)
