"""Outcomes made by hand."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from brokertuner_tui.broker.interface import Applied
from brokertuner_tui.env.outcome import Outcome, Timings, Usage, Verdict
from brokertuner_tui.knobs.catalogue import KnobValues, Version, defaults
from brokertuner_tui.knobs.codec import decode
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.window import Window

OPEN = Profile("open", 1, 100, 1, 1, 64, 500.0, 1000, 50.0, slo_ms=10.0)
"""50,000 deliveries a second are offered."""
CLOSED = Profile("closed", 10, 10, 10, 1, 64, 0.0, 200, slo_ms=50.0)

VERSIONS = ((2, 0, 11), (2, 0, 21), (2, 1, 2))


def window(on_time: int = 0, late: int = 0, seconds: float = 1.0, **changes: Any) -> Window:
    """A window with so many deliveries."""
    values: dict[str, Any] = {
        "seconds": seconds,
        "sent": 500,
        "expected": 50_000,
        "received": on_time + late,
        "on_time": on_time,
        "late": late,
        "lost": 0,
        "missing": 0,
        "duplicated": 0,
        "p50_ms": 1.0,
        "p90_ms": 2.0,
        "p95_ms": 3.0,
        "p99_ms": 4.0,
        "max_ms": 5.0,
        "histogram": (),
        "on_time_slices": (),
        "slice_s": 0.1,
        "clients": 101,
        "reconnects": 0,
        "generator_cpu": 0.5,
    }
    return Window(**(values | changes))


def outcome(
    measured: Window | None,
    profile: Profile = OPEN,
    version: Version = (2, 0, 21),
    usage: Usage | None = None,
    how: str | None = "reload",
    knobs: KnobValues | None = None,
) -> Outcome:
    """A trial that measured this."""
    values = knobs if knobs is not None else defaults(version)
    applied = None if how is None else Applied(how, values, (), 1, None, 0, 0, 0, 0, 0, ())  # type: ignore[arg-type]
    verdict = Verdict.OK if measured is not None else Verdict.FAILED
    return Outcome(values, profile, version, verdict, "", applied, measured, usage or Usage(), None, Timings())


counts = st.integers(0, 10**9)
numbers = st.floats(0, 1e12) | st.sampled_from([float("inf")])
windows = st.builds(
    window,
    on_time=counts,
    late=counts,
    seconds=st.floats(1e-3, 3600),
    sent=counts,
    expected=counts,
    lost=counts,
    missing=counts,
    duplicated=counts,
    p50_ms=numbers,
    p99_ms=numbers,
    clients=counts,
    generator_cpu=st.floats(0, 64),
)
usages = st.builds(
    Usage,
    cpu_percent=st.floats(0, 1e5),
    rss_bytes=st.integers(0, 2**50),
    ctx_switches_per_s=st.floats(0, 1e9),
)
profiles = st.builds(
    Profile,
    name=st.just("any"),
    publishers=st.integers(1, 10_000),
    subscribers=st.integers(0, 300),
    topics=st.integers(1, 200),
    qos=st.integers(0, 2),
    payload_bytes=st.integers(24, 2**24),
    rate=st.just(0.0) | st.floats(1e-3, 1e7),
    window=st.integers(1, 65_535),
    client_rtt_ms=st.floats(0, 60_000),
    clean_session=st.booleans(),
    offline_subscribers=st.integers(0, 10_000),
    protocol=st.sampled_from([4, 5]),
    burst=st.none() | st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)),
    slo_ms=st.floats(0.001, 600_000),
)
settings_of_knobs = st.lists(st.floats(-1, 1), min_size=11, max_size=11).map(decode)
outcomes = st.builds(
    outcome,
    windows,
    profiles,
    st.sampled_from(VERSIONS),
    usages,
    st.sampled_from(["start", "restart", "reload", "none", None]),
    settings_of_knobs,
)
