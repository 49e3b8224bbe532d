"""The loads there are, as a table and as JSON."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from brokertuner_tui.cli.output import one_line
from brokertuner_tui.cli.tables import add_numbers, new_table
from brokertuner_tui.config.load import Loaded
from brokertuner_tui.config.workloads import DEFAULT
from brokertuner_tui.store.plain import finite
from brokertuner_tui.workload import live
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


def as_view(loaded: Loaded) -> tuple[Table, Text]:
    """A row a steady load, and a line for what does not fit into columns."""
    table = new_table("Workload")
    add_numbers(table, "Pub → sub", "Topics", "QoS", "Bytes", "Rate/s", "Window", "RTT ms", "SLO ms")
    notes = []
    for name in sorted(loaded.workloads):
        workload = loaded.workloads[name]
        if len(workload.phases) == 1:
            profile = workload.phases[0].profile
            if name == live.NAME:
                notes.append(one_line(f"{name}: the traffic that is really there, watched by a probe ([live])"))
                continue
            if profile.parts:
                notes.append(one_line(f"{name}: {_together(profile)}"))
                continue
            table.add_row(one_line(name), *_figures(profile))
            note = _beyond(profile)
        else:
            note = ", ".join(_phase(phase) for phase in workload.phases) + ", round and round"
        notes += [one_line(f"{name}: {note}")] if note else []
    return table, Text("\n".join(notes))


def _together(mix: Profile) -> str:
    names = ", ".join(part.name for part in mix.parts)
    rate = f"{mix.rate:,.0f}/s in all" if mix.rate else "closed loops among them"
    return f"all at once: {names}; {rate}, {mix.publishers} → {mix.subscribers}"


def _figures(profile: Profile) -> list[str]:
    return [
        f"{profile.publishers} → {profile.subscribers}",
        str(profile.topics),
        str(profile.qos),
        f"{profile.payload_bytes:,}",
        f"{profile.rate:,.0f}" if profile.rate else "closed",
        f"{profile.window:,}",
        f"{profile.client_rtt_ms:g}",
        f"{profile.slo_ms:g}",
    ]


def _beyond(profile: Profile) -> str:
    parts = []
    if not profile.rate:
        parts.append("closed loop, as fast as the window allows")
    if profile.burst is not None:
        parts.append(f"bursts of {profile.burst[0]:g} s, {profile.burst[1]:g} s off")
    if not profile.clean_session:
        parts.append("persistent sessions")
    if profile.offline_subscribers:
        parts.append(f"{profile.offline_subscribers} subscribers away")
    if profile.connects:
        parts.append(f"{profile.connects:g} clients a second come and go")
    if profile.protocol == 5:
        parts.append("MQTT 5")
    return ", ".join(parts)


def _phase(phase: Phase) -> str:
    return f"{phase.profile.name} {phase.seconds:g} s"
