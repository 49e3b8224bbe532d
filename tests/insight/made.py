"""Trials of responses whose knobs are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from brokertuner_tui.agent.space import MosquittoSpace
from brokertuner_tui.env.slo import context
from brokertuner_tui.insight.points import Point
from brokertuner_tui.knobs import codec
from brokertuner_tui.knobs.catalogue import KnobValues, defaults
from brokertuner_tui.workload.profile import Profile

VERSION = (2, 1, 2)
FANOUT = Profile("fanout", subscribers=100, qos=1, rate=500.0, client_rtt_ms=50.0, slo_ms=10.0)
TELEMETRY = Profile("telemetry", publishers=20, subscribers=2, qos=0, rate=5000.0, slo_ms=2.0)


def trials(
    response: Callable[[KnobValues], float],
    count: int,
    *,
    noise: float,
    told: float | None = None,
    profile: Profile = FANOUT,
    held: KnobValues | None = None,
    seed: int = 0,
) -> list[Point]:
    """The default, then settings from all over the region that is worth it; every sixth trial is the best so far again.

    Args:
        noise: standard deviation of a trial.
        told: what the windows say of that; None: the truth.
        held: knobs that do not move.
    """
    rng = np.random.default_rng(seed)
    space = MosquittoSpace()
    floor = space.floor(np.array(context(profile, VERSION), dtype=np.float32))
    spread = space.snap(floor + (1 - floor) * rng.random((count, 11)))
    points: list[Point] = []
    for number, action in enumerate(spread, start=1):
        knobs = (defaults(VERSION) if number == 1 else codec.decode(action)) | dict(held or {})
        best = max(points, key=lambda point: point.goodput, default=None)
        if best is not None and number % 6 == 0:
            knobs = dict(best.knobs)
        goodput = max(0.0, response(knobs) + noise * float(rng.standard_normal()))
        points.append(Point(number, profile, VERSION, knobs, goodput, noise if told is None else told))
    return points


def fanout(knobs: KnobValues) -> float:
    """What a fan-out does on 2.1: half without set_tcp_nodelay, and in proportion to max_inflight_messages below 200."""
    in_flight = knobs["max_inflight_messages"] or 65_535
    return 50_000 * min(1.0, in_flight / 200) * (1.0 if knobs["set_tcp_nodelay"] else 0.5)
