"""Which process runs a run: a PID alone may be another process later, or after a reboot."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


def boot_id() -> str:
    """Linux's identity of this boot; empty where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Owner:
    """A process on this machine."""

    pid: int
    created_at: float
    """Seconds since the epoch."""
    boot_id: str

    @classmethod
    def this_process(cls) -> Owner:
        """The process that calls."""
        from brokertuner_tui.process.identity import Identity

        identity = Identity.of(os.getpid())
        return cls(identity.pid, identity.created_at, boot_id())

    def alive(self) -> bool:
        """Whether this very process still runs."""
        from brokertuner_tui.process.identity import Identity

        return self.boot_id == boot_id() and Identity(self.pid, self.created_at).alive()
