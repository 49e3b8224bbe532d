"""The connections on the screen: in a few words, and one line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from brokertuner_tui.tui import ink
from brokertuner_tui.tui.format import plural
from brokertuner_tui.tui.ink import BETTER, BOLD, HAND, QUIET, WORSE, line

if TYPE_CHECKING:
    from brokertuner_tui.connection.tracker import ConnectionStatus
    from brokertuner_tui.tui.model import Model

_STATES = {
    "connected": ("●", BETTER),
    "degraded": ("●", HAND),
    "connecting": ("↻", HAND),
    "disconnected": ("○", WORSE),
    "given up": ("✗", WORSE),
}
_PASSING = 2
"""So many attempts belong to any restart of the broker."""


def ago(status: ConnectionStatus, now: float) -> str:
    """When the other end was heard last: `1 s ago`, `never`."""
    return "never" if status.last_heartbeat is None else f"{max(0.0, now - status.last_heartbeat):.0f} s ago"


def brief(model: Model, now: float, width: int) -> Content | None:
    """All of them in one line, those that are not well with what was tried; None where there is none."""
    parts = []
    for name, status in model.connections.items():
        glyph, style = _STATES[status.state]
        if status.state == "connected":
            seen = "" if status.last_heartbeat is None else f" {max(0.0, now - status.last_heartbeat):.0f} s"
            parts.append(line((f"{glyph} ", style), (f"{name}{seen}", QUIET)))
        else:
            tried = f", {plural(status.attempts, 'attempt')}" if status.attempts else ""
            parts.append(line((f"{glyph} ", style), (f"{name} {status.state}{tried}", style)))
    return ink.fit(parts, width, "  ") if parts else None


def beat(model: Model, now: float) -> Content | None:
    """The heartbeat in two words; None where there is none."""
    status = model.connections.get("heartbeat")
    if status is None:
        return None
    if (ill := ailing(model)) is not None:
        return ill
    style = _STATES[status.state][1]
    seen = "none" if status.last_heartbeat is None else f"{max(0.0, now - status.last_heartbeat):.0f} s"
    return line(("beat ", QUIET), (seen, "" if status.state == "connected" else style))


def ailing(model: Model) -> Content | None:
    """The first that has been away for longer than a restart takes; None where all are well."""
    for name, status in model.connections.items():
        if status.state == "given up" or (status.state in ("connecting", "disconnected") and status.attempts > _PASSING):
            return line((f"○ {name}: attempt {status.attempts}", WORSE))
    return None


def panel(model: Model, now: float, width: int) -> list[Content]:
    """Everything about each of them; empty where there is none."""
    rows = []
    for name, status in model.connections.items():
        glyph, style = _STATES[status.state]
        facts = [
            line((f"{glyph} ", style), (f"{name:<9}", BOLD), (f" {status.state}", style)),
            line(("attempts ", QUIET), f"{status.attempts}", (f" of {status.attempts_total} in all", QUIET)),
            line(("last heartbeat ", QUIET), ago(status, now)),
        ]
        if status.next_attempt_s:
            facts.append(line(("next in ", QUIET), f"{status.next_attempt_s:.0f} s"))
        rows.append(ink.fit(facts, width))
        if status.last_error:
            rows += ink.hanging(Content("  "), status.last_error, width, style)
    return rows
