"""The latency probe: a tiny mix of profiles, one a QoS, and how much of it a broker can be asked to bear."""

from __future__ import annotations

from collections.abc import Sequence

from brokertuner_tui.config.settings import LiveSettings
from brokertuner_tui.workload.profile import Profile

PACKETS_IN = {0: 1, 1: 2, 2: 4}
"""Packets that the broker receives for one message of a QoS, from its publisher and its subscriber together."""
LEAST_PER_S = 1.0
"""At each QoS; a quarter of an hour of less would still be too few samples for a p99."""
_PAIR_S = 0.001
_WORTH_CHANGING = 1.25


def qos_levels(settings: LiveSettings) -> tuple[int, ...]:
    """The probe's QoS, each once, ascending."""
    return tuple(sorted({int(part) for part in settings.probe_qos.split(",")}))


def profile(settings: LiveSettings, rate: float) -> Profile:
    """A publisher and a subscriber for each QoS, `rate` messages a second each, in pairs.

    The second of a pair meets what Nagle's algorithm does to a connection whose last packet is not yet acknowledged; single
    messages never would.
    """
    parts = [
        Profile(
            f"probe qos {qos}",
            qos=qos,
            payload_bytes=settings.probe_payload_bytes,
            rate=rate,
            window=20,
            burst=(_PAIR_S, max(_PAIR_S, 2 / rate - _PAIR_S)),
            slo_ms=settings.slo_ms,
        )
        for qos in qos_levels(settings)
    ]
    return Profile.mix("probe", parts)


def packets_per_s(levels: Sequence[int], rate: float) -> float:
    """What the broker receives of a probe of `rate` messages a second at each QoS of `levels`."""
    return rate * sum(PACKETS_IN[qos] for qos in levels)


def fitting_rate(settings: LiveSettings, others_packets_per_s: float | None, now: float) -> float:
    """Messages a second at each QoS: what was asked for, no more than its share, `LEAST_PER_S` at least.

    Args:
        others_packets_per_s: what the broker receives beside the probe; None: not known, and then nothing holds it back.
        now: the present rate; kept unless it is too high, or could be higher by a quarter.
    """
    wanted, share = settings.probe_rate, settings.probe_share
    least = min(wanted, LEAST_PER_S)
    if others_packets_per_s is None or share == 1:
        return wanted
    fits = others_packets_per_s * share / (1 - share) / packets_per_s(qos_levels(settings), 1.0)
    if fits >= wanted or fits <= least:
        return wanted if fits >= wanted else least
    # A little below the limit, so that small changes of the traffic do not have it changed each time.
    return now if fits / _WORTH_CHANGING <= now <= fits else max(least, 0.9 * fits)
