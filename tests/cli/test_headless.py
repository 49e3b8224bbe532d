"""A session without a screen ends as it should, whatever comes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import pytest

from brokertuner_tui.cli import output
from brokertuner_tui.cli.headless import NoGoodTrial, ReaderGone, drive
from brokertuner_tui.env.outcome import Verdict
from brokertuner_tui.errors import TunerError, UsageError
from brokertuner_tui.tuning.commands import Stop
from brokertuner_tui.tuning.events import Event, State
from tests.cli.fake_session import FakeSession, started, whole_run
from tests.store import made


class Kept:
    """Keeps what it is told."""

    def __init__(self, fail_at: int = 10**9) -> None:
        self.events: list[Event] = []
        self.stops: list[str] = []
        self.ended: list[TunerError | None] = []
        self._fail_at = fail_at

    def event(self, event: Event) -> None:
        self.events.append(event)
        if len(self.events) >= self._fail_at:
            raise BrokenPipeError

    def stopping(self, why: str) -> None:
        self.stops.append(why)

    def end(self, error: TunerError | None) -> None:
        self.ended.append(error)


def _signal(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def test_every_event_is_told_in_order() -> None:
    session, kept = FakeSession(whole_run()), Kept()
    assert drive(session, kept) == 0
    assert kept.events == whole_run() or [str(event) for event in kept.events] == [str(event) for event in whole_run()]
    assert kept.ended == [None]
    assert session.commands == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_a_signal_asks_for_an_end_in_good_order(number: int, code: int) -> None:
    before = signal.getsignal(number)
    told = [started(), made.trial(1), made.finished("r", state=State.CANCELLED)]
    session, kept = FakeSession(told, until_stopped=True, when_told=_signal(number)), Kept()
    assert drive(session, kept) == code
    assert session.commands == [Stop()]
    assert kept.stops == [f"{signal.Signals(number).name} received"]
    assert kept.ended == [None]
    assert signal.getsignal(number) is before


def test_several_signals_are_one_stop() -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)

    told = [started(), made.finished("r", state=State.CANCELLED)]
    session, kept = FakeSession(told, until_stopped=True, when_told=twice), Kept()
    assert drive(session, kept) == 143
    assert session.commands == [Stop()]


def test_a_reader_that_is_gone_stops_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "drop_stdout", lambda: None)  # pytest's stdout is still needed
    session, kept = FakeSession(whole_run(), until_stopped=True), Kept(fail_at=3)
    with pytest.raises(ReaderGone):
        drive(session, kept)
    assert session.commands == [Stop()]
    assert len(kept.events) == 3
    assert kept.ended == []


def test_the_sessions_error_is_raised_with_its_exit_code() -> None:
    error = UsageError("no such thing")
    session, kept = FakeSession([made.finished("", state=State.FAILED, reason="no such thing")], error=error), Kept()
    with pytest.raises(UsageError, match="no such thing"):
        drive(session, kept)
    assert kept.ended == [error]


def test_a_failure_without_an_error_is_one() -> None:
    with pytest.raises(TunerError, match="the disk is gone"):
        drive(FakeSession([made.finished("r", state=State.FAILED, reason="the disk is gone")]), Kept())


def test_a_run_without_one_good_trial_has_failed() -> None:
    told = [started(), made.trial(1, verdict=Verdict.INCONCLUSIVE), made.finished("r", default=None, best=None)]
    with pytest.raises(NoGoodTrial, match="not one of 1 trials"):
        drive(FakeSession(told), Kept())


def test_a_thread_that_ends_without_a_word_is_noticed() -> None:
    with pytest.raises(TunerError, match="without a word"):
        drive(FakeSession([started(), made.trial(1)]), Kept())


def test_only_the_main_thread_can_be_signalled() -> None:
    assert threading.current_thread() is threading.main_thread()  # or the tests above would prove nothing
