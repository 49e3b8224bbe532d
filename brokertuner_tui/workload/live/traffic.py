"""Live traffic described as a profile, for the agent to tell loads apart, and for whoever shows it."""

from __future__ import annotations

import math
from dataclasses import replace

from brokertuner_tui.config.settings import LiveSettings
from brokertuner_tui.workload.live import NAME
from brokertuner_tui.workload.live.figures import LiveFigures
from brokertuner_tui.workload.profile import Profile


def initial_profile(settings: LiveSettings) -> Profile:
    """What a live workload is described as before anything is known of it."""
    return Profile(NAME, qos=1, payload_bytes=max(24, settings.probe_payload_bytes), rate=1.0, slo_ms=settings.slo_ms)


def observed(before: Profile, figures: LiveFigures) -> Profile:
    """The traffic of a window as a profile, for the agent to tell loads apart: amounts to the nearest power of two, so that
    one and the same traffic looks the same. Who publishes and who subscribes is made up from the fan-out.
    """
    if figures.offered_per_s is None or figures.clients is None:
        return before
    fan_out = _power_of_two(figures.fan_out) if figures.fan_out else before.fan_out
    clients = _power_of_two(max(2, figures.clients))
    publishers = max(1, round(clients / (1 + fan_out)))
    subscribers = max(1, round(publishers * fan_out))
    payload = before.payload_bytes
    if figures.bytes_in_per_s and not figures.quiet:
        payload = max(24, round(_power_of_two(figures.bytes_in_per_s / figures.offered_per_s)))
    return replace(
        before,
        publishers=publishers,
        subscribers=subscribers,
        topics=publishers,
        rate=max(1.0, _power_of_two(figures.offered_per_s)),
        payload_bytes=payload,
    )


def _power_of_two(value: float) -> float:
    return float(2 ** round(math.log2(value))) if value > 0 else 0.0
