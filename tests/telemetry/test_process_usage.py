"""CPU, memory and context switches of processes that come and go."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from brokertuner_tui.telemetry.process_usage import UsageMeter
from brokertuner_tui.telemetry.sample import ProcessUsage
from tests.waiting import eventually


@pytest.fixture
def busy() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-I", "-S", "-c", "while True: pass"])
    yield process
    process.kill()
    process.wait(20)


@pytest.fixture
def idle() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait(20)


def test_none() -> None:
    assert UsageMeter().read(None) == ProcessUsage()


def test_busy_and_idle(busy: subprocess.Popen[bytes], idle: subprocess.Popen[bytes]) -> None:
    meters = {busy.pid: UsageMeter(), idle.pid: UsageMeter()}
    for pid, meter in meters.items():
        meter.read(pid)
    time.sleep(1.0)
    usage = {pid: meter.read(pid) for pid, meter in meters.items()}
    assert usage[busy.pid].pid == busy.pid
    assert 3 < usage[busy.pid].cpu_percent < 150  # of one core; this machine may be busy
    assert usage[busy.pid].rss_bytes > 1_000_000
    assert usage[idle.pid].cpu_percent < 5


def test_context_switches() -> None:
    """Of a process that sleeps a thousand times a second."""
    process = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time\nwhile True: time.sleep(0.001)"])
    try:
        meter = UsageMeter()
        assert eventually(lambda: meter.read(process.pid).ctx_switches_per_s > 100)
    finally:
        process.kill()
        process.wait(20)


def test_a_first_reading_covers_the_life_of_the_process(busy: subprocess.Popen[bytes]) -> None:
    time.sleep(1.0)
    assert UsageMeter().read(busy.pid).cpu_percent > 3


def test_a_pid_that_changes(busy: subprocess.Popen[bytes], idle: subprocess.Popen[bytes]) -> None:
    """The new process's few CPU seconds are not taken for the difference to the old one's many."""
    meter = UsageMeter()
    assert eventually(lambda: meter.read(busy.pid).cpu_percent > 1)
    usage = meter.read(idle.pid)
    assert usage.pid == idle.pid
    assert usage.cpu_percent < 50
    assert usage.ctx_switches_per_s >= 0
    assert meter.read(None) == ProcessUsage()
    assert meter.read(idle.pid).pid == idle.pid


def test_a_process_that_is_gone(idle: subprocess.Popen[bytes]) -> None:
    meter = UsageMeter()
    assert meter.read(idle.pid).rss_bytes > 0
    idle.kill()
    idle.wait(20)
    assert meter.read(idle.pid) == ProcessUsage()


def test_time_that_stands_still() -> None:
    meter = UsageMeter(clock=lambda: 5.0)
    meter.read(os.getpid())
    assert meter.read(os.getpid()).cpu_percent == 0
