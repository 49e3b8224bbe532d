"""Open loops: the right number at the right time, bursts at the same mean rate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brokertuner_tui.workload.generator.link import DOWN, UP
from brokertuner_tui.workload.generator.pacer import PACE_NS, Pacer, Schedule, pause_s
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


class FakePublisher:
    """Owes; never sends."""

    def __init__(self) -> None:
        self.phase, self.owed, self.blocked = UP, 0, False


class FakeLoop:
    """Notes who may send."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def can_send(self, publisher: object) -> None:
        self.told.append(publisher)


def pacer_of(profile: Profile) -> tuple[Pacer, list[FakePublisher], FakeLoop]:
    publishers, loop = [FakePublisher() for _ in range(profile.publishers)], FakeLoop()
    return Pacer(profile, cast("Any", loop), cast("Any", publishers)), publishers, loop


@settings(max_examples=50)
@given(st.integers(1, 7), st.floats(10, 5000), st.lists(st.floats(0.0001, 0.05), min_size=1, max_size=60))
def test_publishers_take_turns_and_owe_what_is_due(count: int, rate: float, steps: list[float]) -> None:
    profile = Profile("test", publishers=count, rate=rate)
    pacer, publishers, _ = pacer_of(profile)
    now = 1_000_000_000
    pacer.start(now)
    for step in steps:
        now += round(step * 1e9)
        pacer.work(now)
    owed = [publisher.owed for publisher in publishers]
    assert max(owed) - min(owed) <= 1 or max(owed) == int(rate / count) + 1
    assert sum(owed) <= Schedule(profile).due((now - 1_000_000_000) / 1e9)


def test_a_backlog_is_a_second_at_most_and_whoever_is_away_owes_nothing() -> None:
    pacer, (first, second), loop = pacer_of(Profile("test", publishers=2, rate=1000))
    second.phase = DOWN
    pacer.start(0)
    pacer.work(60_000_000_000)
    assert (first.owed, second.owed) == (501, 0)
    assert all(told is first for told in loop.told)
    first.blocked = True
    loop.told.clear()
    pacer.work(61_000_000_000)
    assert loop.told == []


@pytest.mark.parametrize(
    ("away", "back", "sent"),
    [
        # Back before the next burst: it comes at its time, and nothing is caught up with.
        (0.05, 0.30, 250 + 1000),
        (0.05, 0.15, 250 + 250 + 1000),  # back in the same burst: the rest of it
        (0.30, 1.10, 1000 + 500),  # back in the midst of the next one
        (0.30, 0.90, 1000 + 1000),
    ],
)
def test_who_begins_again_goes_on_where_the_schedule_is(away: float, back: float, sent: int) -> None:
    pacer, (publisher,), _ = pacer_of(Profile("test", rate=1000, burst=(0.2, 0.8)))
    pacer.start(0)
    owed = 0
    for now in (step / 1000 for step in range(1200)):
        if now == back:
            pacer.start(round(now * 1e9))
        if now <= away or now >= back:
            pacer.work(round(now * 1e9))
            owed += publisher.owed
            publisher.owed = 0
    assert owed == pytest.approx(sent, abs=10)


def test_says_when_to_come_again() -> None:
    pacer, (publisher,), _ = pacer_of(Profile("test", rate=100))
    pacer.start(0)
    assert pacer.work(0) == 10_000_000
    assert pacer.work(5_000_000) == 10_000_000
    assert publisher.owed == 1
    fast, _, _ = pacer_of(Profile("test", rate=1_000_000))
    fast.start(0)
    assert fast.work(0) == PACE_NS  # not for each message


def test_a_busy_load_pauses_for_no_more_than_a_hundredth_of_the_slo_and_not_with_a_small_window() -> None:
    pipeline = Profile("test", publishers=10, subscribers=10, topics=10, rate=0, window=200, slo_ms=50)
    assert 0 < pause_s(pipeline) <= 0.0005
    assert pause_s(replace(pipeline, slo_ms=10)) == pytest.approx(0.0001)
    assert pause_s(replace(pipeline, slo_ms=2)) == 0
    assert pause_s(replace(pipeline, publishers=1, window=20)) == 0
    assert pause_s(replace(pipeline, rate=5000)) == 0
    assert pause_s(replace(pipeline, rate=40_000)) > 0
    assert pause_s(replace(pipeline, rate=500, subscribers=100, topics=1)) == 0  # 50,000 deliveries, 500 each
    assert pause_s(replace(pipeline, rate=10_000, burst=(0.1, 0.9))) > 0


def test_bursts() -> None:
    schedule = Schedule(Profile("test", rate=1000, burst=(0.2, 0.8)))
    assert schedule.due(0.1) == pytest.approx(500, abs=2)
    assert schedule.due(0.2) == schedule.due(0.9) == pytest.approx(1000, abs=2)
    assert schedule.due(1.1) == pytest.approx(1500, abs=2)
    assert schedule.when(1000) == pytest.approx(1.0)
