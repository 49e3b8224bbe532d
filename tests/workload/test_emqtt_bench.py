"""The adapter for emqtt_bench, against its formats and a stand-in: the real one could not be run here."""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from brokertuner_tui.errors import ConfigError
from brokertuner_tui.mqtt.endpoint import Endpoint, Tls
from brokertuner_tui.workload.emqtt_bench import command
from brokertuner_tui.workload.emqtt_bench.command import Group
from brokertuner_tui.workload.emqtt_bench.load import EmqttBenchLoad
from brokertuner_tui.workload.emqtt_bench.output import Output, parse_metrics
from brokertuner_tui.workload.load import LoadError
from brokertuner_tui.workload.profile import Profile
from tests.waiting import eventually
from tests.workload.conftest import READY_S

PROFILE = Profile("plain", publishers=2, subscribers=2, topics=1, qos=1, payload_bytes=64, rate=100, slo_ms=5)

RECORDED = (
    "Start with 2 workers, addrs pool size: 1 and req interval: 20 ms \n \n"
    "\r sub total=2 rate=2.00/sec\n"
    "\r connect_succ total=2 rate=2.00/sec\n"
    "\r1s recv total=100 rate=100.00/sec\n"
    "\r12s pub total=1200 rate=100.00/sec\n"
    "\r12s publish_latency avg=3ms\n"
    "\r1m5s recv total=6500 rate=99.98/sec\n"
)


def test_recorded_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(RECORDED)
    output = Output(path)
    output.read()
    assert output.counters == {"sub": 2, "connect_succ": 2, "recv": 6500, "pub": 1200}
    assert (output.lost, output.trouble) == (0, "")
    with open(path, "a") as file:
        file.write("client(7): EXIT for {shutdown,tcp_closed}\n\r1m6s recv total=66")
    output.read()
    assert output.counters["recv"] == 6500  # half a line says nothing yet
    assert output.lost == 1
    assert "tcp_closed" in output.trouble
    with open(path, "a") as file:
        file.write("00 rate=100.00/sec\nclient(3): connect error - econnrefused\n")
    output.read()
    assert output.counters["recv"] == 6600
    assert output.trouble == "client(3): connect error - econnrefused"


def test_a_log_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    output = Output(tmp_path / "none")
    output.read()
    assert output.counters == {}


def test_metrics_text() -> None:
    text = (
        "# TYPE recv counter\n# HELP recv recv\nrecv 1200\n# TYPE e2e_latency histogram\n"
        'e2e_latency_bucket{le="1"} 10\ne2e_latency_bucket{le="5"} 900\ne2e_latency_bucket{le="+Inf"} 1200\n'
        'e2e_latency_count 1200\ne2e_latency_sum 4.2e3\nerlang_vm_memory{kind="x"} 5\n'
    )
    metrics = parse_metrics(text)
    assert metrics.counters["recv"] == 1200
    assert metrics.within_ms == {1.0: 10, 5.0: 900, float("inf"): 1200}
    assert (metrics + metrics - metrics).within_ms == metrics.within_ms


@pytest.mark.parametrize(
    ("changes", "groups"),
    [
        ({}, [Group("sub", 2, "t/0"), Group("pub", 2, "t/0")]),
        ({"topics": 2}, [Group("sub", 2, "t/%i"), Group("pub", 2, "t/%i")]),
        (
            {"topics": 2, "publishers": 5},
            [Group("sub", 1, "t/0"), Group("sub", 1, "t/1"), Group("pub", 3, "t/0"), Group("pub", 2, "t/1")],
        ),
        ({"subscribers": 0}, [Group("pub", 2, "t/0")]),
    ],
)
def test_processes_for_a_profile(changes: dict[str, int], groups: list[Group]) -> None:
    assert command.groups_of(replace(PROFILE, **changes), "t") == groups  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"client_rtt_ms": 50.0}, "client_rtt_ms"),
        ({"burst": (0.2, 0.8)}, "burst"),
        ({"offline_subscribers": 1}, "offline_subscribers"),
        ({"rate": 2001.0}, "rate = 2001"),
        ({"topics": 9, "publishers": 20, "subscribers": 20}, "topics = 9"),
    ],
)
def test_what_it_cannot_do_is_refused(changes: dict[str, object], word: str) -> None:
    with pytest.raises(LoadError, match=word):
        command.groups_of(replace(PROFILE, **changes), "t")  # type: ignore[arg-type]


def test_options() -> None:
    profile = replace(PROFILE, protocol=5, qos=2, window=7, payload_bytes=100)
    assert " ".join(command.arguments(profile, Group("pub", 2, "t/0"), Endpoint("h", 1884), "name", 9000)) == (
        "pub -h h -p 1884 -V 5 -c 2 -i 1 -t t/0 -q 2 --prefix name --payload-hdrs ts --prometheus --restapi 127.0.0.1:9000"
        " -s 92 -I 20 -F 7 -w"
    )
    known = Endpoint("h", 1884, username="ann")
    durable = command.arguments(replace(profile, clean_session=False), Group("sub", 2, "t/0"), known, "name", 9000)
    assert durable[-4:] == ["-C", "false", "-x", "3600"]
    assert durable[durable.index("-u") + 1] == "ann"
    assert command.interval_ms(replace(PROFILE, rate=0)) == 0


@pytest.mark.parametrize(
    ("endpoint", "wants"),
    [
        (Endpoint("h", 1883, username="ann", password="s3cret"), r"mqtt://h:1883 wants a password"),
        (Endpoint("h", 8883, tls=Tls()), r"mqtts://h:8883 wants TLS"),
        (Endpoint("h", 8080, transport="websockets"), r"ws://h:8080/mqtt wants WebSocket"),
    ],
)
def test_brokers_that_it_cannot_get_into(tmp_path: Path, endpoint: Endpoint, wants: str) -> None:
    load = EmqttBenchLoad(tmp_path)
    with pytest.raises(ConfigError, match=f"generator = 'emqtt_bench': the broker {wants}.*; use builtin") as error:
        load.start(PROFILE, endpoint)
    assert "s3cret" not in str(error.value)
    assert load.status().state == "stopped"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "emqtt_bench"
    path.write_text((Path(__file__).parent / "fake_emqtt_bench.py").read_text())
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def load(program: Path, tmp_path: Path) -> Iterator[EmqttBenchLoad]:
    made = EmqttBenchLoad(tmp_path / "logs", program)
    yield made
    made.stop()


def test_a_user_name_alone_is_no_secret(load: EmqttBenchLoad) -> None:
    load.start(PROFILE, Endpoint("127.0.0.1", 1, username="ann"))
    load.wait_ready(READY_S)


def test_a_window(load: EmqttBenchLoad) -> None:
    load.start(PROFILE, Endpoint("127.0.0.1", 1))
    load.wait_ready(READY_S)
    load.open_window()
    time.sleep(0.6)
    window = load.close_window()
    assert window.seconds >= 0.6
    assert window.received == pytest.approx(1000 * window.seconds, rel=0.3)
    assert window.sent == pytest.approx(100 * window.seconds, rel=0.3)
    assert window.expected == 2 * window.sent
    # A tenth lies in the bucket that ends at 5 ms, the SLO.
    assert window.on_time == pytest.approx(window.received / 10, abs=2)
    assert window.on_time + window.late == window.received
    assert (window.p50_ms, window.max_ms) == (10.0, 10.0)
    assert window.clients == 4
    status = load.status()
    assert status.state == "running"
    assert status.on_time_total == window.on_time
    assert eventually(lambda: load.status().received_total > 500)


def test_qos_0_is_counted_twice_by_the_tool(load: EmqttBenchLoad) -> None:
    load.start(replace(PROFILE, qos=0), Endpoint("127.0.0.1", 1))
    load.wait_ready(READY_S)
    load.open_window()
    time.sleep(0.6)
    window = load.close_window()
    assert window.sent == pytest.approx(100 * window.seconds, rel=0.3)


def test_without_latencies_nothing_is_on_time_and_that_is_said(load: EmqttBenchLoad, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_EMQTT_BENCH", "no-metrics")
    load.start(PROFILE, Endpoint("127.0.0.1", 1))
    load.wait_ready(READY_S)
    load.open_window()
    time.sleep(1.0)
    window = load.close_window()
    assert window.received > 100
    assert (window.on_time, window.late) == (0, window.received)
    assert "nothing counts as on time" in load.status().error


def test_a_broker_that_is_not_there(load: EmqttBenchLoad, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_EMQTT_BENCH", "refused")
    load.start(PROFILE, Endpoint("127.0.0.1", 1))
    assert eventually(lambda: load.status().error)
    with pytest.raises(LoadError, match=r"0 of 4 clients .* econnrefused"):
        load.wait_ready(0.1)


def test_a_program_that_ends_is_dead(load: EmqttBenchLoad, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_EMQTT_BENCH", "die")
    load.start(PROFILE, Endpoint("127.0.0.1", 1))
    with pytest.raises(LoadError, match="ended with exit code 1"):
        load.wait_ready(READY_S)
    assert load.status().state == "dead"
    with pytest.raises(LoadError):
        load.open_window()


def test_killed(load: EmqttBenchLoad) -> None:
    load.start(PROFILE, Endpoint("127.0.0.1", 1))
    load.wait_ready(READY_S)
    pid = load.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: load.status().state == "dead")
    load.restart()
    load.wait_ready(READY_S)
    assert load.status().pid != pid


def test_clients_that_are_lost_are_made_anew(load: EmqttBenchLoad, monkeypatch: pytest.MonkeyPatch) -> None:
    """emqtt_bench's processes live on without clients after a restart of the broker."""
    monkeypatch.setenv("FAKE_EMQTT_BENCH", "lose")
    load.start(PROFILE, Endpoint("127.0.0.1", 1))
    assert eventually(lambda: load.status().state == "reconnecting")
    monkeypatch.delenv("FAKE_EMQTT_BENCH")
    pid = load.status().pid
    load.wait_ready(READY_S)
    status = load.status()
    assert (status.state, status.connected, status.reconnects) == ("running", 4, 4)
    assert status.pid != pid
    load.expect_restart()
    load.wait_ready(READY_S)
    assert load.status().reconnects == 8


def test_not_installed(tmp_path: Path) -> None:
    load = EmqttBenchLoad(tmp_path, "no-such-emqtt-bench")
    with pytest.raises(LoadError, match="not installed"):
        load.start(PROFILE, Endpoint("127.0.0.1", 1))
    assert load.status().state == "stopped"
    assert "not installed" in load.status().error
    with pytest.raises(LoadError):
        load.restart()
