"""The wire between the screen and the session."""

from __future__ import annotations

import threading
import time

from brokertuner_tui.errors import ConnectionFailed
from brokertuner_tui.tui.link import SessionLike, SessionLink
from brokertuner_tui.tuning import commands, events
from brokertuner_tui.tuning.events import State
from tests.tui.fake_session import START, FakeSession, StillSession, history


def opened(link: SessionLink) -> None:
    link.open()
    made(link)


def made(link: SessionLink) -> None:
    deadline = time.monotonic() + 10
    while link._session is None and link.error is None and time.monotonic() < deadline:
        time.sleep(0.005)


def test_events_come_out_in_order_and_wake_is_called() -> None:
    woken = threading.Event()
    _, told = history(3)
    session = StillSession(told)
    link = SessionLink(lambda: session, woken.set)
    opened(link)
    assert woken.wait(5)
    kept = [event for event in told if not isinstance(event, events.Sampled | events.PhaseChanged)]
    drained = [event for event in link.drain() if not isinstance(event, events.Sampled | events.PhaseChanged)]
    assert drained == kept
    assert link.drain() == []
    assert not link.ended
    assert link.close(5)
    assert link.ended
    assert isinstance(session.sent[-1], commands.Stop)
    assert link.summary is not None


def test_commands_that_come_too_early_wait_for_the_session() -> None:
    go = threading.Event()
    session = StillSession([])

    def make() -> SessionLike:
        go.wait(10)
        return session

    link = SessionLink(make, lambda: None)
    link.open()
    link.send(commands.Pause())
    link.send(commands.Pin("persistence"))
    assert link.drain() == []
    assert not link.ended
    go.set()
    made(link)
    assert link.close(10)
    assert session.sent == [commands.Pause(), commands.Pin("persistence"), commands.Stop()]


def test_leaving_before_there_is_a_session_starts_none() -> None:
    go = threading.Event()
    session = FakeSession()

    def make() -> SessionLike:
        go.wait(10)
        return session

    link = SessionLink(make, lambda: None)
    link.open()
    link.send(commands.Stop())
    go.set()
    assert link.close(10)
    assert link.ended
    assert session.sent == []
    assert not session._thread.is_alive()


def test_a_session_that_cannot_be_made_is_a_run_that_failed() -> None:
    def make() -> SessionLike:
        raise ConnectionFailed("there is no broker at the other end")

    woken = threading.Event()
    link = SessionLink(make, woken.set)
    opened(link)
    assert woken.wait(5)
    [finished] = link.drain()
    assert isinstance(finished, events.RunFinished)
    assert finished.state is State.FAILED
    assert finished.reason == "there is no broker at the other end"
    assert isinstance(link.error, ConnectionFailed)
    assert link.ended
    assert link.close(1)


def test_a_bug_in_the_making_is_told_too() -> None:
    def make() -> SessionLike:
        raise ZeroDivisionError("division by zero")

    link = SessionLink(make, lambda: None)
    opened(link)
    assert str(link.error) == "ZeroDivisionError: division by zero"


def test_a_screen_that_is_gone_does_not_harm_the_session() -> None:
    def wake() -> None:
        raise RuntimeError("Event loop is closed")

    session = StillSession([])
    link = SessionLink(wake=wake, make=lambda: session)
    opened(link)
    session.tell(events.Notice(START, "after the end"))
    assert link.close(5)


def test_waiting_for_the_end_is_bounded() -> None:
    session = StillSession([], ends=False)
    link = SessionLink(lambda: session, lambda: None)
    opened(link)
    began = time.monotonic()
    assert not link.close(0.3)
    assert time.monotonic() - began < 5
    session.end()


def test_nothing_was_opened() -> None:
    link = SessionLink(lambda: StillSession([]), lambda: None)
    assert link.ended
    assert link.close(0.1)
