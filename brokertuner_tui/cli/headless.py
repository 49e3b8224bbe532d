"""Runs a session without a screen: its events go to a reporter, signals become commands."""

from __future__ import annotations

import signal
from typing import Protocol

from brokertuner_tui.cli import output
from brokertuner_tui.cli.signals import StopSignals
from brokertuner_tui.env.outcome import Verdict
from brokertuner_tui.errors import ExitCode, TunerError
from brokertuner_tui.tuning.commands import Command, Stop
from brokertuner_tui.tuning.events import Event, RunFinished, State, TrialFinished
from brokertuner_tui.tuning.stream import EventStream

_POLL_S = 0.1
_JOIN_S = 60.0


class Session(Protocol):
    """What is asked of `tuning.session.TuningSession` here."""

    events: EventStream
    error: TunerError | None

    def start(self) -> None:
        """Begins."""

    def send(self, command: Command, /) -> None:
        """Asks for something."""

    def join(self, timeout_s: float | None = None) -> bool:
        """Waits for the end; whether it came."""


class Reporter(Protocol):
    """Shows what happens, in whatever form."""

    def event(self, event: Event) -> None:
        """Something happened.

        Raises:
            BrokenPipeError: nobody reads any more.
        """

    def stopping(self, why: str) -> None:
        """The session was asked to end."""

    def end(self, error: TunerError | None) -> None:
        """Nothing follows."""


class NoGoodTrial(TunerError):
    """All trials are done, and not one of them could be measured."""


class ReaderGone(TunerError):
    """Nobody reads stdout any more; the session was ended in good order."""


def drive(session: Session, reporter: Reporter) -> int:
    """Runs `session` to its end; gives the exit code.

    Raises:
        TunerError: the session failed.
        ReaderGone: so is the reader of stdout; the session was ended in good order.
    """
    subscription = session.events.subscribe()
    watch = _Watch()
    with StopSignals() as signals:
        session.start()
        while watch.finished is None:
            if signals.received is not None and not watch.stopping:
                watch.stopping = True
                session.send(Stop())
                reporter.stopping(f"{signal.Signals(signals.received).name} received")
            event = subscription.get(_POLL_S)
            if event is not None:
                _tell(event, session, reporter, watch)
            elif session.join(0.0) and not watch.over(subscription.drain(), session, reporter):
                break
        session.join(_JOIN_S)
        error = session.error or watch.error()
        if not watch.broken:
            _end(reporter, error, watch)
    if watch.broken:
        output.drop_stdout()
        raise ReaderGone("nobody reads stdout any more: the run was ended before its time, in good order")
    if signals.received is not None:
        return signals.exit_code
    if error is not None:
        raise error
    return ExitCode.DONE


class _Watch:
    """What `drive` has seen so far."""

    def __init__(self) -> None:
        self.finished: RunFinished | None = None
        self.stopping = False
        self.broken = False
        self.trials = self.good = 0

    def over(self, rest: list[Event], session: Session, reporter: Reporter) -> bool:
        """The thread has ended: what it left in the queue; whether the last event was among it."""
        for event in rest:
            _tell(event, session, reporter, self)
        return self.finished is not None

    def error(self) -> TunerError | None:
        """What is wrong with an end that the session takes for a good one."""
        if self.finished is None:
            return TunerError("the session ended without a word")
        if self.finished.state is State.COMPLETED and self.trials and not self.good:
            return NoGoodTrial(f"not one of {self.trials} trials could be measured")
        if self.finished.state is State.FAILED:
            return TunerError(self.finished.reason or "the session failed")
        return None


def _end(reporter: Reporter, error: TunerError | None, watch: _Watch) -> None:
    try:
        reporter.end(error)
    except BrokenPipeError:
        watch.broken = True


def _tell(event: Event, session: Session, reporter: Reporter, watch: _Watch) -> None:
    if isinstance(event, RunFinished):
        watch.finished = event
    elif isinstance(event, TrialFinished):
        watch.trials += 1
        watch.good += event.verdict is Verdict.OK
    if not watch.broken:
        try:
            reporter.event(event)
        except BrokenPipeError:
            watch.broken = watch.stopping = True
            session.send(Stop())
