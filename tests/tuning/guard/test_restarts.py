"""How often, and when, the agent may restart the broker."""

from __future__ import annotations

import re
from datetime import datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from brokertuner_tui.config.hours import Hours
from brokertuner_tui.tuning.guard.restarts import RestartBudget

NOON = datetime(2026, 3, 10, 12, 0, 30).timestamp()


class Clocks:
    """Both, moved by hand."""

    def __init__(self, wall: float = NOON) -> None:
        self.now, self.wall_now = 1000.0, wall

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.wall_now += seconds

    def budget(self, per_hour: int | None, *quiet: str) -> RestartBudget:
        hours = [Hours.parse(text) for text in quiet]
        return RestartBudget(per_hour, hours, clock=lambda: self.now, wall=lambda: self.wall_now)


def test_without_limits_there_are_none() -> None:
    budget = Clocks().budget(None)
    budget.note(1000)
    assert budget.allows()
    assert not budget.limited


def test_an_hour_holds_so_many_and_gives_them_back_one_by_one() -> None:
    clocks = Clocks()
    budget = clocks.budget(2)
    assert budget.allows(2)
    assert not budget.allows(3)
    budget.note()
    clocks.advance(600)
    budget.note()
    gone = budget.allowance()
    assert gone.left == 0
    assert gone.until == pytest.approx(clocks.wall_now + 3000)
    assert "2 restarts an hour" in gone.why
    clocks.advance(3001)
    assert budget.allowance().left == 1
    budget.note(3)  # roll-backs are never forbidden, but they count
    assert budget.allowance().left == 0
    clocks.advance(600)
    assert not budget.allows(), "the last three of them fill the hour"
    clocks.advance(3000)
    assert budget.allows(2)


def test_a_clock_that_is_set_makes_no_restarts() -> None:
    clocks = Clocks()
    budget = clocks.budget(1)
    budget.note()
    clocks.wall_now += 3700
    assert not budget.allows()


def test_none_an_hour_is_none() -> None:
    clocks = Clocks()
    budget = clocks.budget(0)
    clocks.advance(10_000)
    assert not budget.allows()
    assert "restarts_per_hour = 0" in budget.allowance().why


def test_quiet_hours_end_and_may_follow_each_other() -> None:
    clocks = Clocks()
    budget = clocks.budget(None, "11:00-13:00", "13:00-14:30", "22:00-06:00")
    allowance = budget.allowance()
    assert allowance.until == datetime(2026, 3, 10, 14, 30).timestamp()
    assert "14:30" in allowance.why
    clocks.advance(3 * 3600)
    assert budget.allows()
    clocks.advance(8 * 3600)  # 23:00
    assert budget.allowance().until == datetime(2026, 3, 11, 6, 0).timestamp()


def test_a_day_of_quiet_hours_never_ends() -> None:
    assert Clocks().budget(None, "00:00-24:00").allowance().until is not None
    assert not Clocks().budget(5, "00:00-12:00", "12:00-00:00").allows()


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 23), st.integers(0, 59), st.integers(0, 1439))
def test_hours_hold_what_lies_between_them(hour: int, minute: int, end_hour: int, end_minute: int, at: int) -> None:
    hours = Hours.parse(f"{hour:02}:{minute:02}-{end_hour:02}:{end_minute:02}")
    start, end = hour * 60 + minute, end_hour * 60 + end_minute
    if start < end:
        assert (at in hours) == (start <= at < end)
    elif start > end:
        assert (at in hours) == (at >= start or at < end)
    else:
        assert at in hours, "from midnight to midnight is a whole day"
    assert sum(minute in hours for minute in range(1440)) == hours.length


@given(st.text(max_size=14) | st.from_regex(r"[0-9]{1,3}:[0-9]{1,3}-[0-9]{1,3}:[0-9]{1,3}"))
def test_other_texts_are_no_hours(text: str) -> None:
    assume(not re.fullmatch(r"\s*([01]?\d|2[0-3]):[0-5]\d\s*-\s*(([01]?\d|2[0-3]):[0-5]\d|24:00)\s*", text))
    with pytest.raises(ValueError, match="is no time of day"):
        Hours.parse(text)


@pytest.mark.parametrize("text", ["25:00-26:00", "22-6", "22:00", "٢٢:٠٠-٠٦:٠٠", "22:00-06:00\nx", "-1:00-2:00", "24:00-06:00"])
def test_near_misses_are_no_hours(text: str) -> None:
    with pytest.raises(ValueError, match="is no time of day"):
        Hours.parse(text)
