"""Open loops: the right number at the right time, bursts at the same mean rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokertuner_tui.workload.generator.pacer import Schedule
from brokertuner_tui.workload.profile import Profile

PROFILES = st.builds(
    Profile,
    st.just("test"),
    rate=st.floats(0.5, 200_000),
    burst=st.none() | st.tuples(st.floats(0.05, 2), st.floats(0.05, 2)),
)


@given(PROFILES, st.integers(0, 100_000))
def test_a_message_is_due_when_it_is_said_to_be(profile: Profile, number: int) -> None:
    schedule = Schedule(profile)
    when = schedule.when(number)
    assert schedule.due(when + 1e-6) >= number + 1
    if number and when > 1e-3:
        assert schedule.due(when - 1e-3) <= number + 1


@given(PROFILES, st.lists(st.floats(0, 100), min_size=2, max_size=2))
def test_due_never_falls_and_keeps_the_mean_rate(profile: Profile, moments: list[float]) -> None:
    schedule = Schedule(profile)
    early, late = sorted(moments)
    assert schedule.due(early) <= schedule.due(late)
    period = sum(profile.burst) if profile.burst else 1.0
    assert abs(schedule.due(late) - profile.rate * late) <= profile.rate * period + 2


def test_bursts() -> None:
    schedule = Schedule(Profile("test", rate=1000, burst=(0.2, 0.8)))
    assert schedule.due(0.1) == pytest.approx(500, abs=2)
    assert schedule.due(0.2) == schedule.due(0.9) == pytest.approx(1000, abs=2)
    assert schedule.due(1.1) == pytest.approx(1500, abs=2)
    assert schedule.when(1000) == pytest.approx(1.0)
