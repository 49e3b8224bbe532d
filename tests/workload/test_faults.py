"""The broker dies, the generator dies or hangs, the parent dies: each is noticed, said, and got over."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from brokertuner_tui.mqtt import packets
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.workload.builtin import BuiltinLoad
from brokertuner_tui.workload.load import LoadError
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.supervisor import LoadSupervisor
from tests.waiting import eventually
from tests.workload.conftest import READY_S, Bench

MakeBench = Callable[[Path], Bench]
PROFILE = Profile("twenty", publishers=10, subscribers=10, topics=10, qos=1, rate=1000, window=100, slo_ms=5000)


def goes_on(bench: Bench) -> None:
    bench.load.open_window()
    time.sleep(0.3)
    window = bench.load.close_window(10.0)
    assert window.clients == 20
    assert window.received >= window.expected > 0
    # Neither the outage nor anything else is blamed on this window.
    assert (window.lost, window.missing) == (0, 0)


def test_an_announced_restart(bench: Bench) -> None:
    bench.start(PROFILE)
    took = []
    for _ in range(5):
        bench.load.expect_restart()
        bench.broker.restart()
        took.append(bench.load.wait_ready(READY_S))
        goes_on(bench)
    assert eventually(lambda: bench.load.status().reconnects == 100)
    assert min(took) < 1.0  # about 5 ms on a machine that does nothing else


def test_whoever_throws_its_clients_out_gets_no_burst_before_its_time(make_bench: MakeBench, every_mosquitto: Path) -> None:
    """Else a broker that does so would have more to deliver in a window than one that serves them."""
    bench = make_bench(every_mosquitto)
    bursts = replace(PROFILE, rate=20, burst=(0.2, 59.8))  # up to 1,200 messages, once a minute
    bench.start(bursts)
    assert eventually(lambda: bench.load.status().received_total > 600)
    time.sleep(0.6)  # it is over, and a report later than that has come
    burst = bench.load.status().sent_total
    for _ in range(3):
        bench.broker.restart()
        bench.load.wait_ready(READY_S)
        time.sleep(0.3)
        assert bench.load.status().sent_total == burst
    assert eventually(lambda: bench.load.status().reconnects == 60)


def test_a_crash_without_warning(bench: Bench) -> None:
    bench.start(PROFILE)
    pid = bench.broker.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: bench.load.status().state == "reconnecting")
    assert eventually(lambda: bench.load.status().error)
    assert bench.load.status().connected == 0
    with pytest.raises(LoadError, match=r"0 of 20 clients .* ECONNREFUSED"):
        bench.load.wait_ready(0.2)
    bench.broker.restart()
    bench.load.wait_ready(READY_S)
    goes_on(bench)
    assert bench.load.status().error == ""


def test_nothing_is_sent_while_nobody_listens(bench: Bench) -> None:
    bench.start(PROFILE)
    bench.broker.stop()
    assert eventually(lambda: bench.load.status().state == "reconnecting")
    time.sleep(0.3)
    before = bench.load.status().sent_total
    time.sleep(0.6)
    assert bench.load.status().sent_total == before


def test_no_broker_at_all(tmp_path: Path) -> None:
    load = BuiltinLoad(tmp_path / "logs")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        load.start(PROFILE, Endpoint("127.0.0.1", taken.getsockname()[1]))
        try:
            with pytest.raises(LoadError, match=r"0 of 20 clients of the load are connected after 0.3 s: ECONNREFUSED"):
                load.wait_ready(0.3)
            with pytest.raises(LoadError, match="cancelled"):
                load.wait_ready(READY_S, lambda: True)
        finally:
            load.stop()


def test_an_unknown_host(tmp_path: Path) -> None:
    load = BuiltinLoad(tmp_path)
    with pytest.raises(LoadError, match=r"no-such-host\.invalid"):
        load.start(PROFILE, Endpoint("no-such-host.invalid", 1883))
    assert load.status().state == "stopped"
    assert "no-such-host.invalid" in load.status().error


class Bouncer(threading.Thread):
    """A broker that takes a CONNECT and refuses it."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.heard = b""

    def run(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with sock:
                self.heard = sock.recv(4096) or self.heard
                sock.sendall(b"\x20\x02\x00\x05")


@pytest.fixture
def bouncer() -> Iterator[Bouncer]:
    thread = Bouncer()
    thread.start()
    yield thread
    thread.listener.shutdown(socket.SHUT_RDWR)
    thread.listener.close()
    thread.join(10)


def test_a_broker_that_refuses_is_named_and_gets_our_credentials(bouncer: Bouncer, tmp_path: Path) -> None:
    load = BuiltinLoad(tmp_path)
    load.start(Profile("one"), Endpoint("127.0.0.1", bouncer.port, username="ann", password="s3cret"))
    try:
        pid = load.status().pid
        assert b"s3cret" not in Path(f"/proc/{pid}/cmdline").read_bytes()
        with pytest.raises(LoadError, match="CONNACK code 5"):
            load.wait_ready(1.0)
        assert b"\x00\x03ann\x00\x06s3cret" in bouncer.heard
    finally:
        load.stop()


def test_a_killed_generator_is_restarted_by_the_supervisor(bench: Bench) -> None:
    bench.start(PROFILE)
    supervisor = LoadSupervisor(bench.load, check_freq=5)
    first = supervisor.check(1)
    assert first is not None
    assert first.healthy
    bench.load.open_window()
    pid = bench.load.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(LoadError, match="by signal 9"):
        bench.load.close_window(5.0)
    assert bench.load.status().state == "dead"
    assert "signal 9" in bench.load.status().error
    checked = supervisor.look()
    assert (checked.what, checked.restarts) == ("restarted", 1)
    assert "signal 9" in checked.message
    bench.load.wait_ready(READY_S)
    goes_on(bench)
    assert bench.load.status().pid != pid


def test_a_hung_generator_is_restarted_by_the_supervisor(bench: Bench) -> None:
    bench.start(PROFILE)
    other = replace(PROFILE, name="changed", publishers=3)
    bench.load.change(other)
    supervisor = LoadSupervisor(bench.load)
    pid = bench.load.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    assert eventually(lambda: bench.load.status().state == "dead")
    assert "has not reported" in bench.load.status().error
    checked = supervisor.check(1)
    assert checked is not None
    assert checked.what == "restarted"
    bench.load.wait_ready(READY_S)
    status = bench.load.status()
    assert status.profile == other  # its last configuration
    assert status.pid != pid


def test_hung_in_a_window(bench: Bench) -> None:
    bench.start(PROFILE)
    bench.load.open_window()
    pid = bench.load.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(LoadError, match="did not answer 'close'"):
        bench.load.close_window()
    assert time.monotonic() - began < 10


class Generator:
    """The process alone, spoken to over its socket."""

    def __init__(self) -> None:
        self.sock, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "brokertuner_tui.workload.generator", str(theirs.fileno())], pass_fds=(theirs.fileno(),)
            )
        self.file = self.sock.makefile("rb")

    def ask(self, **command: object) -> dict[str, object]:
        self.sock.sendall(json.dumps({"id": 1} | command).encode() + b"\n")
        while True:
            answer = json.loads(self.file.readline())
            assert isinstance(answer, dict)
            if "re" in answer:
                return answer


@pytest.fixture
def generator() -> Iterator[Generator]:
    made = Generator()
    yield made
    made.file.close()
    made.sock.close()
    if made.process.poll() is None:
        made.process.kill()
    made.process.wait()


def test_it_ends_at_once_when_the_parent_is_gone(generator: Generator, bench: Bench) -> None:
    bench.broker.start(bench.knobs())
    begun = generator.ask(
        cmd="start",
        profile=PROFILE.as_dict(),
        endpoint=Endpoint(bench.broker.host, bench.broker.port).as_dict(),
        token="t",
        prefix="bt",
        late_acks=False,
        id=1,
    )
    assert "error" not in begun
    assert generator.ask(cmd="ready") == {"re": 1}
    generator.file.close()
    generator.sock.close()
    assert generator.process.wait(10) == 0


def test_it_minds_term_but_not_interrupts(generator: Generator) -> None:
    assert "unknown command" in str(generator.ask(cmd="nonsense")["error"])
    generator.process.send_signal(signal.SIGINT)
    assert "no load" in str(generator.ask(cmd="open")["error"])
    generator.process.send_signal(signal.SIGTERM)
    assert generator.process.wait(10) == -signal.SIGTERM


def test_by_hand_it_says_what_it_is() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "brokertuner_tui.workload.generator"], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 2
    assert "brokertuner-tui" in ended.stderr


def test_connections_are_made_in_one_round_trip(bouncer: Bouncer, tmp_path: Path) -> None:
    """A subscriber's SUBSCRIBE comes right behind its CONNECT."""
    load = BuiltinLoad(tmp_path)
    load.start(Profile("one", publishers=1, subscribers=1), Endpoint("127.0.0.1", bouncer.port))
    try:
        assert eventually(lambda: bytes((packets.SUBSCRIBE << 4 | 2,)) in bouncer.heard)
    finally:
        load.stop()
