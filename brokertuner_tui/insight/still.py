"""Knobs that nothing can be said of, and why: pinned, inert under this load, or never moved."""

from __future__ import annotations

from collections.abc import Sequence

from brokertuner_tui.insight.points import Point
from brokertuner_tui.insight.results import Status
from brokertuner_tui.insight.words import value_text
from brokertuner_tui.knobs.catalogue import NAMES
from brokertuner_tui.workload.profile import Profile

Why = tuple[Status, str]


def why_still(points: Sequence[Point]) -> dict[str, Why]:
    """By the knob's name; those that may matter are not in it. `points` are of one load, at least one."""
    return {name: why for name in NAMES if (why := _why(name, points)) is not None}


def _why(name: str, points: Sequence[Point]) -> Why | None:
    values = {point.knobs[name] for point in points}
    if len(values) == 1:
        value = value_text(name, next(iter(values)))
        if points[-1].pinned is not None and name in points[-1].pinned:
            return "pinned", f"pinned at {value}"
    if why := _inert(name, points):
        return "inert", why
    return ("not moved", f"always {value}") if len(values) == 1 else None


def _inert(name: str, points: Sequence[Point]) -> str:
    last = points[-1]
    persists = any(bool(point.knobs["persistence"]) for point in points)
    return inert_under(last.profile, name, persists=persists, in_percent=last.in_percent)


def inert_under(profile: Profile, name: str, *, persists: bool, in_percent: bool) -> str:
    """Why a knob cannot matter under a load; empty: it can.

    Args:
        persists: whether persistence is on, or was once.
        in_percent: it is live traffic.
    """
    if name == "autosave_interval" and not persists:
        return "persistence was always off"
    if in_percent:
        return ""  # of live traffic nobody says what is in it
    parts = profile.members
    if name in ("max_inflight_messages", "max_inflight_bytes") and all(part.qos == 0 for part in parts):
        return "only QoS 0 messages"
    if name == "queue_qos0_messages":
        if all(part.qos > 0 for part in parts):
            return "no QoS 0 messages"
        if all(part.clean_session and not part.offline_subscribers for part in parts):
            return "no persistent sessions"
    return ""
