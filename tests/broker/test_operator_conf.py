"""The operator's config is read as Mosquitto reads it; whatever stands in it, there is one kind of error."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from brokertuner_tui.broker.operator_conf import OperatorConf, OperatorConfError, read_operator_conf
from brokertuner_tui.broker.probe import Probe
from brokertuner_tui.knobs.catalogue import NAMES, defaults
from brokertuner_tui.knobs.validation import check_all
from brokertuner_tui.mqtt.endpoint import Endpoint
from tests.broker.fake_units import FakeUnit


def read(
    folder: Path, main: str, ours: str | None = "broker_tuner.conf", original: bytes | None = None, **files: str
) -> OperatorConf:
    conf_d = folder / "conf.d"
    conf_d.mkdir(exist_ok=True)
    for name, text in files.items():
        (conf_d / f"{name}.conf").write_text(text)
    (folder / "mosquitto.conf").write_text(main.replace("CONF_D", str(conf_d)))
    return read_operator_conf(folder / "mosquitto.conf", conf_d / ours if ours else None, original=original)


def test_debians_own(tmp_path: Path) -> None:
    conf = read(
        tmp_path,
        "# Place your local configuration in /etc/mosquitto/conf.d/\n\npid_file /run/mosquitto/mosquitto.pid\n\n"
        "persistence true\npersistence_location /var/lib/mosquitto/\n\n"
        "log_dest file /var/log/mosquitto/mosquitto.log\n\ninclude_dir CONF_D\n",
    )
    assert conf.knobs == {"persistence": True}
    assert conf.baseline((2, 0, 11)) == defaults((2, 0, 11)) | {"persistence": True}
    assert conf.baseline((2, 1, 2))["max_packet_size"] == 2_000_000
    (listener,) = conf.listeners
    assert (listener.port, listener.reach, listener.local_only) == (1883, "127.0.0.1", True)
    assert conf.includes(tmp_path / "conf.d" / "broker_tuner.conf")
    assert not conf.includes(tmp_path / "conf.d" / "broker_tuner.txt")
    assert not conf.includes(tmp_path / "broker_tuner.conf")
    assert (conf.pid_file, conf.user, conf.sys_interval_s) == (Path("/run/mosquitto/mosquitto.pid"), "mosquitto", 10)
    assert conf.log_to == {"file"}
    assert conf.log_files == (Path("/var/log/mosquitto/mosquitto.log"),)
    assert conf.tells_of_reloads()


def test_listeners(tmp_path: Path) -> None:
    conf = read(
        tmp_path,
        "port 1884\nlistener 8883 10.1.2.3\ncertfile c.pem\nkeyfile k.pem\nlistener 9001\nprotocol websockets\n"
        "listener 0 /run/mosquitto.sock\nper_listener_settings true\nlistener 1885 127.0.0.1\nlog_type error\n",
    )
    found = [(one.port, one.reach, one.websockets, one.tls) for one in conf.listeners]
    assert found == [
        (1884, "127.0.0.1", False, False), (8883, "10.1.2.3", False, True), (9001, "127.0.0.1", True, False),
        (1885, "127.0.0.1", False, False),
    ]  # fmt: skip
    tls = conf.listener_for(websockets=False, tls=True)
    assert tls is not None
    assert tls.port == 8883
    assert conf.listener_for(websockets=True, tls=True) is None
    assert not conf.tells_of_reloads()


def test_ours_is_not_the_operators(tmp_path: Path) -> None:
    text = "max_queued_messages 7\ninclude_dir CONF_D\n"
    ours = "max_queued_messages 99\nmax_inflight_messages 99\n"
    conf = read(tmp_path, text, broker_tuner=ours, zz="max_inflight_bytes 5\n")
    assert conf.knobs == {"max_queued_messages": 7, "max_inflight_bytes": 5}
    assert {name: str(place) for name, place in conf.after_ours.items()} == {
        "max_inflight_bytes": f"{tmp_path}/conf.d/zz.conf:1"
    }
    assert read(tmp_path, text, original=b"max_inflight_messages 3").knobs["max_inflight_messages"] == 3
    assert read(tmp_path, text, ours=None).knobs["max_inflight_messages"] == 99


@pytest.mark.parametrize(
    ("line", "knob", "value"),
    [
        ("max_queued_messages abc", "max_queued_messages", 0),
        ("max_queued_messages 12abc", "max_queued_messages", 12),
        ("  max_queued_messages   12  # so", "max_queued_messages", 12),
        ("max_inflight_messages -1", "max_inflight_messages", 0),
        ("max_inflight_bytes 4294967296", "max_inflight_bytes", 0),
        ("max_packet_size 2147483647", "max_packet_size", 268_435_455),
        ("persistence 1", "persistence", True),
        ("persistence true\npersistence false", "persistence", False),
    ],
)
def test_values_as_mosquitto_takes_them(line: str, knob: str, value: object, tmp_path: Path) -> None:
    assert read(tmp_path, line).knobs == {knob: value}


@pytest.mark.parametrize(
    ("main", "words"),
    [
        ("\nmemory_limit 5000000000", r"mosquitto\.conf:2: memory_limit 5000000000: the tuner goes up to 2147483647"),
        ("persistence yes", r":1: persistence yes: Mosquitto takes true or false only"),
        ("max_inflight_messages 70000", r"must be a whole number from 1 to 65535"),
        ("include_dir /no/such/folder", r"/no/such/folder, which the config includes, cannot be read: No such file"),
    ],
)
def test_what_the_tuner_could_not_go_back_to(main: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(OperatorConfError, match=words):
        read(tmp_path, main)


def test_a_container_has_names_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "mosquitto.conf").write_text("include_dir /mosquitto/config/conf.d\nlog_dest file /mosquitto/log/m.log\n")
    conf = read_operator_conf(
        tmp_path / "mosquitto.conf", here=lambda path: Path(str(path).replace("/mosquitto/config", str(tmp_path)))
    )
    assert conf.includes(tmp_path / "conf.d" / "broker_tuner.conf")
    assert conf.log_files == (Path("/mosquitto/log/m.log"),)


WORDS = [
    *NAMES,
    "listener",
    "port",
    "bind_address",
    "include_dir",
    "protocol",
    "log_dest",
    "log_type",
    "pid_file",
    "user",
    "sys_interval",
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(b"include_dir " + b"x" * 5000)
@example(b"pid_file \xff\nlistener\nlistener 99999999999999999999\ninclude_dir\n")
@given(
    st.binary(max_size=200)
    | st.lists(st.tuples(st.sampled_from(WORDS), st.binary(max_size=12) | st.integers().map(lambda n: str(n).encode()))).map(
        lambda lines: b"\n".join(word.encode() + b" " + rest for word, rest in lines)
    )
)
def test_any_bytes(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mosquitto.conf").write_bytes(content)
    with contextlib.suppress(OperatorConfError):
        conf = read_operator_conf(tmp_path / "mosquitto.conf", tmp_path / "broker_tuner.conf")
        check_all(conf.baseline((2, 0, 11)))
        assert all(0 < one.port < 65_536 for one in conf.listeners)


@pytest.mark.parametrize(
    ("main", "files"),
    [
        ("max_inflight_messages 7\nmax_inflight_messages 8", {}),
        ("max_inflight_messages 7", {"a": "max_inflight_messages 8\n", "B": "max_inflight_messages 9\n"}),
        ("", {"a_x": "max_inflight_messages 8\n", "aZ": "max_inflight_messages 9\n"}),
        ("max_inflight_messages 12 # why", {}),
        ("max_inflight_messages 0x7", {"a": "# max_inflight_messages 3\n\n  max_inflight_messages 5 5\n"}),
    ],
)
def test_a_real_broker_agrees(main: str, files: dict[str, str], every_mosquitto: Path, tmp_path: Path) -> None:
    unit = FakeUnit(tmp_path / "unit", every_mosquitto, main=main)
    for name, text in files.items():
        (unit.conf_d / f"{name}.conf").write_text(text)
    wanted = read_operator_conf(unit.main).baseline((2, 0, 11))["max_inflight_messages"]
    unit.start()
    try:
        with Probe(Endpoint("127.0.0.1", unit.port), time.monotonic() + 10) as probe:
            assert probe.hello().receive_maximum == (wanted or None)
    finally:
        unit.stop()
