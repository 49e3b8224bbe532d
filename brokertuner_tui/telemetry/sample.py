"""One reading of everything, and what it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from brokertuner_tui.broker.interface import BrokerStatus
from brokertuner_tui.connection.tracker import ConnectionStatus
from brokertuner_tui.workload.load import LoadStatus


@dataclass(frozen=True, slots=True)
class SysRates:
    """`$SYS` since the reading before; rates are differences of counters over the broker's own publishing period."""

    clients_connected: int = 0
    received_per_s: float = 0.0
    sent_per_s: float = 0.0
    dropped_per_s: float = 0.0
    heap_bytes: int = 0
    uptime_s: int = 0
    version: str = ""
    age_s: float = float("inf")
    """Since the uptime topic, the heartbeat, last came."""
    stale: bool = True
    reason: str = ""
    """Why it is stale, as far as that can be known: no connection, not let in, forbidden, switched off."""
    raw: Mapping[str, str] = field(default_factory=dict)
    """Topic (without `$SYS/broker/`) to its last payload."""


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """The broker's process, from the operating system; zeros while it is down."""

    pid: int | None = None
    cpu_percent: float = 0.0
    """Of one core, since the sample before."""
    rss_bytes: int = 0
    ctx_switches_per_s: float = 0.0
    cpu_s: float = 0.0
    """CPU time since the process began; with `switches`, what a difference over a window is taken of."""
    switches: int = 0
    """Context switches since the process began."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading; taken 2 to 4 times a second, also while tuning is paused and while the broker restarts."""

    at_s: float
    """time.monotonic()"""
    wall_s: float
    """time.time()"""
    broker: BrokerStatus
    load: LoadStatus
    sys: SysRates
    process: ProcessUsage
    sent_per_s: float
    """Messages a second by the load's own counters since the sample before."""
    received_per_s: float
    on_time_per_s: float
    connection: ConnectionStatus | None = None
    """To whoever has the broker, where that is an agent elsewhere."""
    connections: Mapping[str, ConnectionStatus] = field(default_factory=dict)
    """All that are kept up, by name: `agent`, `heartbeat`, `$SYS`; those that are not used are missing."""
