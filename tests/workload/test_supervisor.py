"""When the supervisor checks, what it says, and that it never raises for a load that does not start."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.workload.load import LoadError, LoadStatus
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.supervisor import LoadSupervisor
from brokertuner_tui.workload.window import Window


class FakeLoad:
    """A load whose health is set by the test."""

    def __init__(self) -> None:
        self.state, self.starts, self.broken = "running", 0, False

    def status(self) -> LoadStatus:
        return LoadStatus(self.state, 1, None, 1, 1, 0, 0, 0, 0, 0.0, "it crashed" if self.state == "dead" else "")

    def restart(self) -> None:
        if self.broken:
            raise LoadError("no numpy")
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


def test_restarts_what_is_dead_and_counts() -> None:
    load = FakeLoad()
    supervisor = LoadSupervisor(load, check_freq=1)
    for count, state in enumerate(("dead", "stopped", "dead"), start=1):
        load.state = state
        checked = supervisor.check(count)
        assert checked is not None
        assert (checked.what, checked.restarts, checked.healthy) == ("restarted", count, False)
        assert "it crashed" in checked.message or state == "stopped"
    assert load.starts == supervisor.restarts == 3


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
    load = FakeLoad()
    load.state, load.broken = "dead", True
    supervisor = LoadSupervisor(load, check_freq=5)
    checked = supervisor.check(1)
    assert checked is not None
    assert (checked.what, checked.restarts) == ("failed", 0)
    assert "no numpy" in checked.message
    assert [supervisor.check(step) for step in range(2, 6)] == [None] * 4
    load.broken = False
    checked = supervisor.check(6)
    assert checked is not None
    assert (checked.what, checked.restarts) == ("restarted", 1)


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
