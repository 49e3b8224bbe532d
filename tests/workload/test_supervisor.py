"""When the supervisor checks, what it says, and that it never raises for a load that does not start."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.process.backoff import BackoffPolicy, Care
from brokertuner_tui.workload.load import LoadError, LoadImpossible, LoadStatus
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.supervisor import Checked, LoadSupervisor
from brokertuner_tui.workload.window import Window


class Clock:
    """Stands still unless it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeLoad:
    """A load whose health is set by the test."""

    def __init__(self) -> None:
        self.state, self.starts, self.broken, self.outside = "running", 0, False, False
        self.failure = LoadError("no numpy")

    def status(self) -> LoadStatus:
        error = "it crashed" if self.state == "dead" else ""
        return LoadStatus(self.state, 1, None, 1, 1, 0, 0, 0, 0, 0.0, error, outside=self.outside)

    def restart(self) -> None:
        if self.broken:
            raise self.failure
        self.starts += 1
        self.state = "running"

    def start(self, profile: Profile, endpoint: Endpoint) -> None:
        raise AssertionError

    def change(self, profile: Profile) -> None:
        raise AssertionError

    def wait_ready(self, deadline_s: float, cancelled: Callable[[], bool] = lambda: False) -> float:
        raise AssertionError

    def expect_restart(self) -> None:
        raise AssertionError

    def open_window(self) -> None:
        raise AssertionError

    def close_window(self, drain_s: float = 0.0) -> Window:
        raise AssertionError

    def stop(self) -> None:
        raise AssertionError


@pytest.mark.parametrize(("freq", "steps"), [(5, [1, 6, 11, 16]), (1, [*range(1, 20)]), (7, [1, 8, 15])])
def test_checks_at_the_first_step_and_every_so_many(freq: int, steps: list[int]) -> None:
    supervisor = LoadSupervisor(FakeLoad(), check_freq=freq)
    assert [step for step in range(1, 20) if supervisor.check(step) is not None] == steps


def test_restarts_what_is_dead_at_once_and_counts() -> None:
    load, clock = FakeLoad(), Clock()
    supervisor = LoadSupervisor(load, check_freq=5, clock=clock)
    for count, state in enumerate(("dead", "stopped", "dead"), start=1):
        clock.now += 60.0
        load.state = state
        checked = supervisor.check(count)
        assert checked is not None
        assert (checked.what, checked.restarts, checked.healthy) == ("restarted", count, False)
        assert "it crashed" in checked.message or state == "stopped"
    assert load.starts == supervisor.restarts == 3


def test_one_that_keeps_dying_is_restarted_more_and_more_slowly_and_then_given_up() -> None:
    load, clock = FakeLoad(), Clock()
    supervisor = LoadSupervisor(load, policy=BackoffPolicy(jitter=0.0), clock=clock)
    load.state = "dead"
    assert supervisor.look().what == "restarted"
    for wait_s in (0.5, 1.0, 2.0):
        load.state = "dead"
        assert f"the next attempt in {wait_s} s" in supervisor.look().message
        assert supervisor.look() == Checked("waiting", "", supervisor.restarts), "said once"
        assert supervisor.next_attempt_s() == wait_s
        clock.now += wait_s
        assert supervisor.look().what == "restarted"
    load.state = "dead"
    given_up = supervisor.look()
    assert given_up.care is Care.GIVEN_UP
    assert "5 failures in 60 s" in given_up.message
    assert "it crashed" in given_up.message
    clock.now += 1000.0
    assert supervisor.look().care is Care.GIVEN_UP
    assert load.starts == 4
    supervisor.begin_anew()
    assert supervisor.look().what == "restarted"


def test_one_that_others_kill_is_always_restarted_at_once() -> None:
    load, clock = FakeLoad(), Clock()
    supervisor = LoadSupervisor(load, clock=clock)
    for _ in range(20):
        clock.now += 5.0
        load.state, load.outside = "dead", True
        assert supervisor.look().what == "restarted"


def test_one_that_cannot_be_made_is_given_up_at_once() -> None:
    load = FakeLoad()
    load.state, load.broken, load.failure = "dead", True, LoadImpossible("emqtt_bench is not installed")
    given_up = LoadSupervisor(load).look()
    assert given_up.care is Care.GIVEN_UP
    assert "not installed" in given_up.message


def test_what_is_starting_or_reconnecting_is_left_alone() -> None:
    load = FakeLoad()
    supervisor = LoadSupervisor(load, check_freq=1)
    for step, state in enumerate(("starting", "reconnecting", "running"), start=1):
        load.state = state
        checked = supervisor.check(step)
        assert checked is not None
        assert checked.healthy
    assert load.starts == 0


def test_a_load_that_does_not_start_is_said_and_tried_again() -> None:
    load, clock = FakeLoad(), Clock()
    load.state, load.broken = "dead", True
    supervisor = LoadSupervisor(load, policy=BackoffPolicy(jitter=0.0), clock=clock)
    checked = supervisor.look()
    assert (checked.what, checked.restarts, checked.care) == ("failed", 0, Care.WAITING)
    assert "no numpy; the next attempt in 0.5 s" in checked.message
    load.broken = False
    assert supervisor.look().what == "waiting"
    clock.now += 0.5
    assert (supervisor.look().what, supervisor.restarts) == ("restarted", 1)


def test_says_so_every_hundred_healthy_steps() -> None:
    load = FakeLoad()
    supervisor = LoadSupervisor(load, check_freq=5)
    said = {step: checked.message for step in range(1, 260) if (checked := supervisor.check(step)) and checked.message}
    assert said == {101: "the load has been healthy for 100 steps", 201: "the load has been healthy for 200 steps"}
    load.state = "dead"
    supervisor.check(261)
    said = {step: checked.message for step in range(262, 400) if (checked := supervisor.check(step)) and checked.message}
    assert said == {366: "the load has been healthy for 100 steps"}


def test_by_hand() -> None:
    load = FakeLoad()
    supervisor = LoadSupervisor(load)
    assert supervisor.restart().what == "restarted"
    load.broken = True
    assert supervisor.restart().what == "failed"
    assert supervisor.restarts == 1
