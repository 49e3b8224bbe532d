"""The loads there are, as a table and as JSON."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table

from brokertuner_tui.config.load import Loaded
from brokertuner_tui.config.workloads import DEFAULT
from brokertuner_tui.store.plain import finite
from brokertuner_tui.workload.profile import Phase, Profile, Workload


def as_data(loaded: Loaded) -> list[dict[str, Any]]:
    """One object a load, with its figures or its phases."""
    return [
        _entry(loaded.workloads[name], loaded.sources.get(f"workload.{name}", DEFAULT)) for name in sorted(loaded.workloads)
    ]


def _entry(workload: Workload, source: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": workload.name, "source": source}
    if len(workload.phases) == 1:
        entry |= finite({**workload.phases[0].profile.as_dict(), "name": workload.name})
        return entry
    return entry | {"phases": [{"use": phase.profile.name, "seconds": phase.seconds} for phase in workload.phases]}


def as_table(loaded: Loaded) -> Table:
    """A row a load."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("Workload", no_wrap=True)
    for title in ("Pub → sub", "Topics", "QoS", "Payload B", "Rate/s", "Window", "RTT ms", "SLO ms"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("Beyond that", overflow="fold")
    for name in sorted(loaded.workloads):
        workload = loaded.workloads[name]
        if len(workload.phases) == 1:
            table.add_row(name, *_figures(workload.phases[0].profile))
        else:
            table.add_row(name, *[""] * 8, ", ".join(_phase(phase) for phase in workload.phases) + ", round and round")
    return table


def _figures(profile: Profile) -> list[str]:
    return [
        f"{profile.publishers} → {profile.subscribers}",
        str(profile.topics),
        str(profile.qos),
        f"{profile.payload_bytes:,}",
        f"{profile.rate:,.0f}" if profile.rate else "closed loop",
        f"{profile.window:,}",
        f"{profile.client_rtt_ms:g}",
        f"{profile.slo_ms:g}",
        _beyond(profile),
    ]


def _beyond(profile: Profile) -> str:
    parts = []
    if profile.burst is not None:
        parts.append(f"bursts of {profile.burst[0]:g} s, {profile.burst[1]:g} s off")
    if not profile.clean_session:
        parts.append("persistent sessions")
    if profile.offline_subscribers:
        parts.append(f"{profile.offline_subscribers} subscribers away")
    if profile.protocol == 5:
        parts.append("MQTT 5")
    return ", ".join(parts)


def _phase(phase: Phase) -> str:
    return f"{phase.profile.name} {phase.seconds:g} s"
