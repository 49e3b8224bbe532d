"""What the keeper does about a broker, look by look; the broker, the clock and chance are the test's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from brokertuner_tui.broker.interface import Applied, ApplyFailed, Broker, BrokerStatus, BrokerStopped
from brokertuner_tui.broker.keeper import BrokerKeeper, Hands
from brokertuner_tui.connection.tracker import ConnectionState, ConnectionStatus
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import KnobValues
from brokertuner_tui.process.backoff import BackoffPolicy, Care

GOOD: Mapping[str, Any] = {"max_queued_messages": 100}
TRIED: Mapping[str, Any] = {"max_queued_messages": 7}
BASELINE: Mapping[str, Any] = {"max_queued_messages": 1000}


def applied(knobs: KnobValues) -> Applied:
    return Applied("restart", knobs, (), 2, 1, 0.0, 0.0, 0.0, 0.0, 0.0, ())


class Fake:
    """A broker that lives or not, and hands that work or not."""

    def __init__(self, **policy: Any) -> None:
        self.now = 1000.0
        self.lives, self.outside, self.silent = True, False, ""
        self.works: Callable[[KnobValues], bool] = lambda _: True
        self.stopped = False
        self.last_good: Mapping[str, Any] | None = GOOD
        self.baseline = BASELINE
        self.done: list[tuple[str, KnobValues]] = []
        self._last = applied(TRIED)
        hands = Hands(self.revive, self.restart, self.apply)
        self.keeper = BrokerKeeper(
            cast("Broker", self), hands, lambda: self.silent, BackoffPolicy(jitter=0.0, **policy), clock=lambda: self.now
        )
        self.now += 100.0

    def alive(self) -> bool:
        return self.lives

    def status(self) -> BrokerStatus:
        error = "" if self.lives else "the broker ended by signal 11"
        state = "listening" if self.lives else "failed"
        status = BrokerStatus("listening", "127.0.0.1", 1883, None, None, (2, 0, 21), 0, TRIED, self._last)
        return replace(status, state=cast("Any", state), error=error, outside=self.outside)

    def dies(self, *, outside: bool = False) -> None:
        self.lives, self.outside = False, outside

    def revive(self) -> Applied:
        return self._try("revive", self._last.knobs)

    def restart(self) -> Applied:
        self.silent = ""
        return self._try("restart", self._last.knobs)

    def apply(self, knobs: KnobValues) -> Applied:
        return self._try("apply", knobs)

    def _try(self, what: str, knobs: KnobValues) -> Applied:
        self.done.append((what, knobs))
        if self.stopped:
            raise BrokerStopped("by somebody")
        if not self.works(knobs):
            raise ApplyFailed("it ended with exit code 1", log="Error: no")
        self.lives, self._last = True, applied(knobs)
        return self._last


def test_one_that_is_well_is_left_alone() -> None:
    fake = Fake()
    for _ in range(10):
        assert fake.keeper.look().care is Care.UP
    assert fake.done == []


def test_the_first_death_is_mended_at_once() -> None:
    fake = Fake()
    fake.dies()
    report = fake.keeper.look("an outcome's reason")
    assert (report.care, report.reason, report.news) == (Care.BACK, "an outcome's reason", True)
    assert fake.done == [("revive", TRIED)]
    assert fake.keeper.look().care is Care.UP


def test_one_that_keeps_dying_waits_longer_and_longer_and_each_wait_is_said_once() -> None:
    fake = Fake(give_up=100)
    fake.dies()
    assert fake.keeper.look().care is Care.BACK
    for wait_s in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0):
        fake.dies()
        report = fake.keeper.look()
        assert (report.care, report.news) == (Care.WAITING, True)
        assert f"the next attempt in {wait_s:.1f} s" in report.reason
        assert fake.keeper.next_attempt_s() == wait_s
        assert not fake.keeper.look().news
        fake.now += wait_s
        assert fake.keeper.look().care is Care.BACK


def test_kills_from_outside_are_mended_at_once_however_many() -> None:
    fake = Fake()
    for _ in range(50):
        fake.now += 2.0
        fake.dies(outside=True)
        assert fake.keeper.look().care is Care.BACK


def until_decided(fake: Fake) -> Care:
    for _ in range(20):
        report = fake.keeper.look()
        if report.care is not Care.WAITING:
            return report.care
        fake.now += fake.keeper.next_attempt_s()
    raise AssertionError("neither back nor given up")


def test_what_does_not_come_up_is_given_up_with_its_words_after_the_last_known_good_was_tried_once() -> None:
    fake = Fake()
    fake.works = lambda _: False
    fake.dies()
    assert until_decided(fake) is Care.GIVEN_UP
    report = fake.keeper.look()
    assert "5 failures in 60 s" in report.reason
    assert "it ended with exit code 1" in report.reason
    assert not report.news
    assert [what for what, _ in fake.done] == ["revive"] * 4 + ["apply"]
    assert fake.done[-1] == ("apply", GOOD)
    fake.now += 1000.0
    assert fake.keeper.look().care is Care.GIVEN_UP
    assert len(fake.done) == 5


@pytest.mark.parametrize(("last_good", "wanted"), [(GOOD, GOOD), (None, BASELINE), (TRIED, BASELINE)])
def test_the_last_known_good_may_save_it(last_good: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> None:
    fake = Fake()
    fake.last_good = last_good
    fake.works = lambda knobs: knobs != TRIED
    fake.dies()
    assert until_decided(fake) is Care.BACK
    assert fake.done[-1] == ("apply", wanted)
    assert fake.keeper.look().care is Care.UP


def test_begin_anew_tries_again_at_once() -> None:
    fake = Fake()
    fake.works = lambda _: False
    fake.dies()
    assert until_decided(fake) is Care.GIVEN_UP
    fake.works = lambda _: True
    fake.keeper.begin_anew()
    assert fake.keeper.look().care is Care.BACK


def test_what_somebody_else_brings_back_is_up_again() -> None:
    fake = Fake()
    fake.works = lambda _: False
    fake.dies()
    assert until_decided(fake) is Care.GIVEN_UP
    fake.lives = True
    assert fake.keeper.look().care is Care.BACK
    assert fake.keeper.look().care is Care.UP


def test_one_that_hangs_is_restarted_and_not_suspected_at_once() -> None:
    fake = Fake()
    fake.silent = "the broker has not answered for 3.2 s"
    report = fake.keeper.look()
    assert (report.care, report.reason) == (Care.BACK, "the broker has not answered for 3.2 s")
    assert fake.done == [("restart", TRIED)]
    fake.silent = "the broker has not answered for 3.4 s"
    assert fake.keeper.look().care is Care.UP, "it has had no time to answer yet"


def test_one_that_somebody_stopped_is_left_to_them() -> None:
    fake = Fake()
    fake.stopped = True
    fake.dies(outside=True)
    for _ in range(5):
        report = fake.keeper.look()
        assert (report.care, report.reason) == (Care.STOPPED, "somebody stopped the broker")
    assert len(fake.done) == 1, "nobody is asked all the time"
    fake.stopped = False
    fake.now += 1.0
    assert fake.keeper.look().care is Care.BACK


class Behind(Fake):
    """One whose agent looks after it."""

    state = ConnectionState.CONNECTED

    @property
    def connection(self) -> ConnectionStatus:
        return ConnectionStatus("agent", self.state, 0.0, 0, 1, None, "", None)

    def watch_connection(self, callback: Callable[[ConnectionStatus], None]) -> None:
        raise AssertionError

    def retry_connection(self) -> None:
        raise AssertionError


def test_one_that_an_agent_has_is_left_to_the_agent_for_a_while() -> None:
    fake = Behind()
    fake.dies()
    report = fake.keeper.look()
    assert (report.care, report.news) == (Care.WAITING, True)
    fake.now += 59.0
    assert fake.keeper.look().care is Care.WAITING
    fake.now += 2.0
    report = fake.keeper.look()
    assert report.care is Care.GIVEN_UP
    assert "by signal 11" in report.reason
    assert fake.done == []
    fake.lives = True
    assert fake.keeper.look().care is Care.BACK


def test_while_the_agent_is_away_nothing_is_known() -> None:
    fake = Behind()
    fake.dies()
    fake.state = ConnectionState.DISCONNECTED
    assert fake.keeper.look().care is Care.UP


def test_whatever_a_hand_says_is_an_attempt_that_failed() -> None:
    fake = Fake()

    def broken() -> Applied:
        raise TunerError("nobody can say how it is")

    keeper = BrokerKeeper(cast("Broker", fake), Hands(broken, broken, fake.apply), clock=lambda: fake.now)
    fake.dies()
    report = keeper.look()
    assert report.care is Care.WAITING
    assert "nobody can say how it is; the next attempt in" in report.reason
