"""Telemetry of a broker whose process is not on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from brokertuner_tui.telemetry.sample import ProcessUsage, SysRates


@dataclass(frozen=True, slots=True)
class Told:
    """One reading, as somebody on the broker's host took it."""

    at_s: float
    """That host's monotonic clock: for differences only."""
    sys: SysRates
    process: ProcessUsage


@runtime_checkable
class TellsUsage(Protocol):
    """A broker that brings its telemetry itself; of any other, `/proc` and `$SYS` are read from here."""

    def told(self) -> Told | None:
        """The last reading; None before the first, and while nobody can be asked. Never waits."""
