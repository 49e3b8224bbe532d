"""Live traffic described as a profile, for the agent to tell loads apart, and for whoever shows it."""

from __future__ import annotations

import math
from dataclasses import replace

from brokertuner_tui.config.settings import LiveSettings
from brokertuner_tui.workload.live import NAME
from brokertuner_tui.workload.live.figures import LiveFigures
from brokertuner_tui.workload.profile import Profile

_STEADY = 0.75
"""In powers of two. A half would be the nearest; what lies between two would then look like another load every window."""


def initial_profile(settings: LiveSettings) -> Profile:
    """What a live workload is described as before anything is known of it."""
    return Profile(NAME, qos=1, payload_bytes=max(24, settings.probe_payload_bytes), rate=1.0, slo_ms=settings.slo_ms)


def observed(before: Profile, figures: LiveFigures) -> Profile:
    """The traffic of a window as a profile, for the agent to tell loads apart: amounts to the nearest power of two, and kept as
    they were `before` unless they moved well beyond half way to the next, so that one and the same traffic looks the same.
    Who publishes and who subscribes is made up from the fan-out.
    """
    if figures.offered_per_s is None or figures.clients is None:
        return before
    fan_out = _steady(figures.fan_out, before.fan_out) if figures.fan_out else before.fan_out
    clients = _steady(max(2, figures.clients), before.clients)
    publishers = max(1, round(clients / (1 + fan_out)))
    subscribers = max(1, round(publishers * fan_out))
    payload = before.payload_bytes
    if figures.bytes_in_per_s and not figures.quiet:
        payload = max(24, round(_steady(figures.bytes_in_per_s / figures.offered_per_s, before.payload_bytes)))
    return replace(
        before,
        publishers=publishers,
        subscribers=subscribers,
        topics=publishers,
        rate=max(1.0, _steady(figures.offered_per_s, before.rate)),
        payload_bytes=payload,
    )


def _steady(value: float, before: float) -> float:
    """`before`, or the nearest power of two where that is no longer near."""
    if value <= 0:
        return 0.0
    if before > 0 and abs(math.log2(value / before)) <= _STEADY:
        return before
    return float(2 ** round(math.log2(value)))
