"""The back-off keeps to its policy whatever happens when."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokertuner_tui.process.backoff import Backoff, BackoffPolicy

seconds = st.floats(0.001, 100.0)
policies = st.builds(
    BackoffPolicy,
    base_s=st.floats(0.01, 2.0),
    factor=st.floats(1.0, 4.0),
    cap_s=st.floats(2.0, 60.0),
    jitter=st.floats(0.0, 0.99),
    reset_after_s=st.floats(5.0, 60.0),
    grace_s=st.floats(0.0, 4.0),
    give_up=st.integers(1, 8),
    within_s=st.floats(1.0, 120.0),
)


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def made(policy: BackoffPolicy, chances: Iterable[float] = ()) -> tuple[Backoff, Clock]:
    clock, given_chances = Clock(), iter(chances)
    return Backoff(policy, clock=clock, chance=lambda: next(given_chances, 0.5)), clock


@given(policies, st.lists(st.tuples(seconds, st.floats(0.0, 1.0)), min_size=1, max_size=30))
def test_waits_are_never_shorter_than_the_policy_and_never_longer_than_the_cap(
    policy: BackoffPolicy, attempts: list[tuple[float, float]]
) -> None:
    backoff, clock = made(policy, [chance for _, chance in attempts])
    for in_a_row, (took_s, _) in enumerate(attempts, start=1):
        clock.now += took_s
        backoff.failed()
        if backoff.given_up:
            assert backoff.due_in_s() == float("inf")
            return
        wait_s = backoff.due_in_s()
        assert policy.interval_s(in_a_row) - 1e-6 <= wait_s <= policy.cap_s + 1e-6
        clock.now += wait_s
        assert backoff.due_in_s() == pytest.approx(0.0, abs=1e-9)


@given(policies, st.lists(seconds, min_size=1, max_size=30))
def test_it_is_given_up_exactly_when_so_many_failures_fall_into_the_time(policy: BackoffPolicy, gaps: list[float]) -> None:
    backoff, clock = made(policy)
    backoff.failed()
    times = [clock.now]
    for gap in gaps:
        if backoff.given_up:
            break
        clock.now += gap
        backoff.failed()
        times.append(clock.now)
    recent = times[-policy.give_up :]
    expected = len(recent) == policy.give_up and recent[-1] - recent[0] <= policy.within_s
    assert backoff.given_up == expected
    backoff.begin_anew()
    assert not backoff.given_up
    assert backoff.due_in_s() == 0.0


@given(policies, st.integers(1, 7), st.floats(0.0, 200.0))
def test_only_long_enough_up_makes_it_forget(policy: BackoffPolicy, failures: int, up_s: float) -> None:
    backoff, clock = made(policy)
    for _ in range(failures):
        backoff.failed()
    began = clock.now
    backoff.up()
    clock.now += up_s
    up_s = clock.now - began  # as floating point has it
    backoff.failed()
    assert backoff.failures == (1 if up_s >= policy.reset_after_s else failures + 1)


def test_the_first_restart_is_at_once_and_then_it_doubles_up_to_the_cap() -> None:
    backoff, clock = made(BackoffPolicy(jitter=0.0, within_s=1.0))
    waits = []
    for _ in range(10):
        backoff.failed()
        waits.append(backoff.due_in_s())
        clock.now += waits[-1] + 1.0
    assert waits == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_the_fifth_failure_in_a_minute_is_the_last() -> None:
    backoff, clock = made(BackoffPolicy())
    for _ in range(4):
        backoff.failed()
        assert not backoff.given_up
        clock.now += backoff.due_in_s()
    backoff.failed()
    assert backoff.given_up


def test_kills_from_outside_do_not_add_up_unless_it_had_only_just_started() -> None:
    policy = BackoffPolicy()
    backoff, clock = made(policy)
    for _ in range(20):
        clock.now += policy.grace_s
        backoff.failed(by_others=True)
        assert (backoff.failures, backoff.due_in_s()) == (0, 0.0)
        backoff.up()
    for _ in range(policy.give_up):
        clock.now += policy.grace_s / 2
        backoff.failed(by_others=True)
        backoff.up()
    assert backoff.given_up


@pytest.mark.parametrize(
    "wrong", [{"base_s": 0.0}, {"base_s": 31.0}, {"factor": 0.5}, {"jitter": 1.0}, {"give_up": 0}, {"within_s": 0.0}]
)
def test_numbers_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must be|base"):
        BackoffPolicy(**wrong)  # type: ignore[arg-type]
