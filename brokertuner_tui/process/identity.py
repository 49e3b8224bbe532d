"""Who a process is: its PID alone may be given to another one later."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil


def boot_id() -> str:
    """Linux's identity of this boot; empty where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


SAME_S = 0.1
"""Seconds by which start times of one process may differ: /proc counts in ticks of 10 ms from boot."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A process: its PID, and when it was created (seconds since the epoch)."""

    pid: int
    created_at: float

    @classmethod
    def of(cls, pid: int) -> Identity:
        """The process that has `pid` now.

        Raises:
            ProcessLookupError: there is none.
        """
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            raise ProcessLookupError(f"no process {pid}") from None

    def alive(self) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created_at) < SAME_S
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


def is_halted(pid: int | None) -> bool:
    """Whether somebody has stopped the process by a signal (SIGSTOP), so that it hangs."""
    try:
        return pid is not None and psutil.Process(pid).status() == psutil.STATUS_STOPPED
    except psutil.Error:
        return False
