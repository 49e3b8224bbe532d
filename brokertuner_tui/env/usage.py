"""What the broker used in a window: read from its process, or told by whoever sits beside it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

import psutil

from brokertuner_tui.broker.interface import Broker
from brokertuner_tui.env.outcome import Usage
from brokertuner_tui.telemetry.source import TellsUsage, Told


class UsageGauge(Protocol):
    """One window's; made when it opens."""

    def poll(self) -> None:
        """Called every few milliseconds while the window is open."""

    def close(self) -> Usage:
        """The window is over; zeros where nothing is known."""


def open_gauge(broker: Broker) -> UsageGauge:
    """The gauge for `broker`."""
    return ToldGauge(broker) if isinstance(broker, TellsUsage) else ProcessGauge(broker.status().pid)


@dataclass(frozen=True, slots=True)
class _Counters:
    """The broker's process at one moment, to take differences of."""

    at: float
    cpu_s: float
    switches: int


class ProcessGauge:
    """Of a process of this machine."""

    def __init__(self, pid: int | None) -> None:
        self._pid = pid
        self._before = _counters(pid)

    def poll(self) -> None:
        """Nothing to do: the kernel counts."""

    def close(self) -> Usage:
        """See `UsageGauge`."""
        try:
            rss = psutil.Process(self._pid).memory_info().rss
        except psutil.Error:
            rss = 0
        return _usage(self._before, _counters(self._pid), rss)


class ToldGauge:
    """Of a process elsewhere: from the first to the last reading that came while the window was open.

    What is told is up to two thirds of a second old, so the readings before would tell of what was before the window.
    """

    def __init__(self, broker: TellsUsage) -> None:
        self._broker = broker
        told = broker.told()
        self._old_at = told.at_s if told is not None else None
        self._first: Told | None = None
        self._last: Told | None = None

    def poll(self) -> None:
        """Takes in what has come."""
        told = self._broker.told()
        if told is None or told.at_s == self._old_at:
            return
        if self._first is None or self._first.process.pid != told.process.pid:
            self._first = told
        self._last = told

    def close(self) -> Usage:
        """See `UsageGauge`."""
        self.poll()
        first, last = self._first, self._last
        if first is None or last is None:
            return Usage()
        if first is last:
            process = last.process
            return Usage(process.cpu_percent, process.rss_bytes, process.ctx_switches_per_s)
        before = _Counters(first.at_s, first.process.cpu_s, first.process.switches)
        after = _Counters(last.at_s, last.process.cpu_s, last.process.switches)
        return _usage(before, after, last.process.rss_bytes)


def _counters(pid: int | None) -> _Counters:
    try:
        process = psutil.Process(pid)
        times, switches = process.cpu_times(), process.num_ctx_switches()
    except psutil.Error:
        return _Counters(time.perf_counter(), 0.0, 0)
    return _Counters(time.perf_counter(), times.user + times.system, switches.voluntary + switches.involuntary)


def _usage(before: _Counters, after: _Counters, rss_bytes: int) -> Usage:
    elapsed = max(after.at - before.at, 1e-9)
    return Usage(
        cpu_percent=max(0.0, 100 * (after.cpu_s - before.cpu_s) / elapsed),
        rss_bytes=rss_bytes,
        ctx_switches_per_s=max(0.0, (after.switches - before.switches) / elapsed),
    )
