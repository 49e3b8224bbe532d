"""Which process did something: a PID alone may be another process later, on another machine, or after a reboot."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from brokertuner_tui.process.identity import Identity, boot_id

__all__ = ["Owner", "boot_id"]


@dataclass(frozen=True, slots=True)
class Owner:
    """A process on some machine."""

    pid: int
    created_at: float
    """Seconds since the epoch."""
    boot_id: str
    host: str = ""
    """The machine's (or the container's) name; empty in records that are older than it: this machine."""

    @classmethod
    def this_process(cls) -> Owner:
        """The process that calls."""
        identity = Identity.of(os.getpid())
        return cls(identity.pid, identity.created_at, boot_id(), socket.gethostname())

    @property
    def is_elsewhere(self) -> bool:
        """Whether it runs where we cannot look (containers of one machine share its boot, not its processes)."""
        return self.host not in ("", socket.gethostname())

    def alive(self) -> bool:
        """Whether this very process still runs, as far as can be seen from here: one on another machine may."""
        if self.is_elsewhere:
            return True
        return self.boot_id == boot_id() and Identity(self.pid, self.created_at).alive()
