"""How much the broker's process uses, from the operating system."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from brokertuner_tui.telemetry.sample import ProcessUsage


@dataclass(frozen=True, slots=True)
class _Mark:
    at: float
    cpu_s: float
    switches: int


class UsageMeter:
    """CPU, memory and context switches of a process that may be replaced by another at any time.

    Mosquitto has one thread, and the kernel counts switches by thread: the main one's are all there are.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._process: psutil.Process | None = None
        self._last: _Mark | None = None

    def read(self, pid: int | None) -> ProcessUsage:
        """Usage of `pid` since the reading before, or since its start if that was of another process; zeros without one."""
        if pid is None:
            self._forget()
            return ProcessUsage()
        try:
            # A PID that was given away again is another process: is_running() compares the time of creation.
            if self._process is None or self._process.pid != pid or not self._process.is_running():
                self._process = psutil.Process(pid)
                age_s = max(0.01, time.time() - self._process.create_time())
                self._last = _Mark(self._clock() - age_s, 0.0, 0)
            with self._process.oneshot():
                times = self._process.cpu_times()
                switches = self._process.num_ctx_switches()
                rss = self._process.memory_info().rss
        except psutil.Error:
            self._forget()
            return ProcessUsage()
        now = _Mark(self._clock(), times.user + times.system, switches.voluntary + switches.involuntary)
        last, self._last = self._last or now, now
        seconds = now.at - last.at
        if seconds <= 0:
            return ProcessUsage(pid, 0.0, rss, 0.0, now.cpu_s, now.switches)
        return ProcessUsage(
            pid=pid,
            cpu_percent=max(0.0, 100 * (now.cpu_s - last.cpu_s) / seconds),
            rss_bytes=rss,
            ctx_switches_per_s=max(0.0, (now.switches - last.switches) / seconds),
            cpu_s=now.cpu_s,
            switches=now.switches,
        )

    def _forget(self) -> None:
        self._process = self._last = None
