"""When a connection is tried again: pure logic, with a clock of its own."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokertuner_tui.connection.policy import CAP_S, POLICIES, PolicyName, ReconnectPolicy
from brokertuner_tui.connection.tracker import ConnectionState, ConnectionStatus, ConnectionTracker


class Clock:
    """Goes on when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@st.composite
def policies(draw: st.DrawFn) -> ReconnectPolicy:
    """Any that is allowed."""
    base = draw(st.floats(0.01, 10))
    heartbeat = draw(st.floats(0.1, 10))
    return ReconnectPolicy(
        connect_timeout_s=1.0,
        heartbeat_s=heartbeat,
        heartbeat_timeout_s=heartbeat * draw(st.floats(1.5, 10)),
        base_interval_s=base,
        factor=draw(st.floats(1, 10)),
        cap_s=draw(st.floats(base, CAP_S)),
        jitter=draw(st.floats(0, 0.9)),
        max_attempts=draw(st.none() | st.integers(1, 50)),
    )


@given(policies(), st.integers(0, 5000))
def test_the_interval_grows_to_the_cap_and_never_beyond(policy: ReconnectPolicy, failures: int) -> None:
    assert policy.base_interval_s <= policy.interval_s(failures) <= policy.interval_s(failures + 1) <= policy.cap_s <= CAP_S
    assert policy.interval_s(1) == policy.base_interval_s
    if policy.factor > 1.1:
        assert policy.interval_s(5000) == policy.cap_s


@given(
    policies(),
    st.lists(st.tuples(st.sampled_from(["fail", "succeed", "short-lived"]), st.floats(0, 5), st.floats(0, 1)), max_size=60),
)
def test_attempts_are_never_closer_than_the_policy_says(policy: ReconnectPolicy, story: list[tuple[str, float, float]]) -> None:
    clock, chance = Clock(), [0.0]
    tracker = ConnectionTracker(policy, clock=clock, wall=clock, chance=lambda: chance[0])
    last: float | None = None
    shortest = 0.0
    failures = 0
    for what, seconds, luck in story:
        chance[0] = luck
        due = tracker.due_in()
        if due == float("inf"):
            assert tracker.status().state is ConnectionState.GIVEN_UP
            assert policy.max_attempts is not None
            assert failures >= policy.max_attempts
            return
        assert due <= policy.interval_s(failures) + 1e-9
        clock.now += due
        tracker.attempting()
        if last is not None:
            assert clock.now - last >= shortest - 1e-9
        last = clock.now
        shortest = policy.shortest_s(failures + 1)
        if what == "fail":
            clock.now += seconds
            failures += 1
            tracker.lost("no")
        else:
            tracker.connected()
            failures = 0
            shortest = policy.shortest_s(1)
            clock.now += seconds if what == "succeed" else 0.0
            tracker.lost("cut")


def test_after_a_success_the_interval_is_back_at_its_base() -> None:
    clock = Clock()
    tracker = ConnectionTracker(POLICIES["default"], clock=clock, chance=lambda: 0.0)
    waits = []
    for _ in range(8):
        clock.now += tracker.due_in()
        tracker.attempting()
        tracker.lost("no")
        waits.append(tracker.due_in())
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert tracker.status().attempts == 8
    clock.now += tracker.due_in()
    tracker.attempting()
    tracker.connected()
    assert tracker.status().attempts == 0
    clock.now += 100
    tracker.lost("cut")
    assert tracker.due_in() == 0, "a connection that stood for long is made anew at once"
    tracker.attempting()
    tracker.lost("no")
    assert tracker.due_in() == 0.5


def test_ten_minutes_without_a_network_cost_few_attempts_and_are_survived() -> None:
    for name, policy in POLICIES.items():
        clock = Clock()
        tracker = ConnectionTracker(policy, clock=clock, chance=lambda: 1.0)
        tracker.attempting()
        tracker.connected()
        cut_at = clock.now = clock.now + 50
        tracker.lost("cut")
        attempts = 0
        while clock.now < cut_at + 600:
            clock.now += tracker.due_in()
            tracker.attempting()
            attempts += 1
            tracker.lost("no")
        assert tracker.status().state is ConnectionState.DISCONNECTED, name
        assert tracker.due_in() <= policy.cap_s
        assert attempts <= 600 / policy.shortest_s(10_000) + 20, name


def test_silence_makes_it_degraded_and_then_dead() -> None:
    clock = Clock()
    policy = POLICIES["default"]
    tracker = ConnectionTracker(policy, clock=clock, wall=clock)
    tracker.attempting()
    tracker.connected()
    assert tracker.silence_left_s() == policy.heartbeat_timeout_s
    clock.now += policy.heartbeat_timeout_s * 0.6
    status = tracker.status()
    assert status.state is ConnectionState.DEGRADED
    assert status.state.usable
    assert "late" in status.last_error
    tracker.beat()
    assert tracker.status().state is ConnectionState.CONNECTED
    tracker.beat(unwell="its broker is down")
    assert tracker.status().state is ConnectionState.DEGRADED
    assert tracker.status().last_error == "its broker is down"
    clock.now += policy.heartbeat_timeout_s
    assert tracker.silence_left_s() == 0


def test_a_heartbeat_that_comes_late_does_not_bring_a_lost_connection_back() -> None:
    tracker = ConnectionTracker(POLICIES["default"])
    tracker.attempting()
    tracker.connected()
    tracker.lost("cut")
    tracker.beat()
    assert tracker.status().state is ConnectionState.DISCONNECTED


def test_it_is_given_up_and_tried_again_when_asked() -> None:
    clock = Clock()
    policy = dataclasses.replace(POLICIES["default"], max_attempts=3)
    seen: list[ConnectionStatus] = []
    tracker = ConnectionTracker(policy, "there", clock=clock)
    tracker.watch(seen.append)
    for _ in range(3):
        clock.now += tracker.due_in()
        tracker.attempting()
        tracker.lost("no")
    assert tracker.due_in() == float("inf")
    assert tracker.status().state is ConnectionState.GIVEN_UP
    assert tracker.status().last_error == "no"
    with pytest.raises(RuntimeError):
        tracker.attempting()
    tracker.retry()
    clock.now += tracker.due_in()
    tracker.attempting()
    tracker.connected()
    assert [status.state.value for status in seen] == [
        *["connecting", "disconnected"] * 2,
        *["connecting", "given up", "disconnected", "connecting", "connected"],
    ]


def test_closing_it_ourselves_is_no_loss_that_anybody_is_told_of() -> None:
    seen: list[ConnectionStatus] = []
    tracker = ConnectionTracker(POLICIES["default"])
    tracker.attempting()
    tracker.connected()
    tracker.watch(seen.append)
    tracker.release()
    assert not tracker.status().state.usable
    assert seen == []
    assert 0 < tracker.due_in() <= POLICIES["default"].base_interval_s


@pytest.mark.parametrize(
    "change",
    [
        {"cap_s": 61.0},
        {"cap_s": 0.1},
        {"heartbeat_timeout_s": 0.5},
        {"jitter": 1.0},
        {"factor": 0.9},
        {"max_attempts": 0},
        {"base_interval_s": 0.0},
    ],
)
def test_policies_that_make_no_sense_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        dataclasses.replace(POLICIES["default"], **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", POLICIES)
def test_ten_minutes_away_cost_few_attempts(name: PolicyName) -> None:
    """Every attempt fails at once, and chance always takes the most: once the cap is reached, one attempt in each interval."""
    policy, clock = POLICIES[name], Clock()
    tracker = ConnectionTracker(policy, clock=clock, wall=clock, chance=lambda: 1.0)
    began, made = clock.now, list[float]()
    while clock.now - began < 600 and tracker.due_in() < float("inf"):
        clock.now += tracker.due_in()
        tracker.attempting()
        made.append(clock.now)
        tracker.lost("refused")
    at_cap = next(n for n in range(1, 100) if policy.interval_s(n) == policy.cap_s)
    assert len(made) <= at_cap + 1 + 600 / policy.shortest_s(at_cap)
    gaps = [after - before for before, after in zip(made[at_cap:], made[at_cap + 1 :], strict=False)]
    assert min(gaps) >= (1 - policy.jitter) * policy.cap_s - 1e-6


def test_hurry_forgets_a_long_wait_but_not_the_distance() -> None:
    policy, clock = POLICIES["default"], Clock()
    tracker = ConnectionTracker(policy, clock=clock, wall=clock, chance=lambda: 0.0)
    for _ in range(8):
        clock.now += tracker.due_in()
        tracker.attempting()
        tracker.lost("refused")
    assert tracker.due_in() == policy.cap_s
    tracker.hurry()
    assert tracker.due_in() == pytest.approx(policy.base_interval_s)
    clock.now += policy.base_interval_s
    tracker.attempting()
    tracker.hurry()  # nothing to hurry: one is under way
    assert tracker.status().state is ConnectionState.CONNECTING
    tracker.give_up("no")
    tracker.hurry()
    assert tracker.status().state is ConnectionState.DISCONNECTED
