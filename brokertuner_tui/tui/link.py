"""The wire between the screen and a session that runs in a thread of its own.

The session is made in a short-lived thread, too: what it imports must not hold up the first frame. Nothing here waits, but
`close`, which is called when the screen is gone.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from brokertuner_tui.errors import TunerError
from brokertuner_tui.tui.lazy import LazyModule

if TYPE_CHECKING:
    from brokertuner_tui.tuning import commands, events
    from brokertuner_tui.tuning.commands import Command
    from brokertuner_tui.tuning.events import Event, RunFinished
    from brokertuner_tui.tuning.stream import EventStream, Subscription
else:
    commands = LazyModule("brokertuner_tui.tuning.commands")
    events = LazyModule("brokertuner_tui.tuning.events")

log = logging.getLogger(__name__)


class SessionLike(Protocol):
    """What the screen needs of a session."""

    events: EventStream
    error: TunerError | None
    summary: RunFinished | None

    def start(self) -> None:
        """Begins; returns at once."""

    def send(self, command: Command) -> None:
        """Asks for something; from any thread."""

    def join(self, timeout_s: float | None = None) -> bool:
        """Waits for the end; whether it has ended."""


class SessionLink:
    """Makes the session, hands commands to it, and gives its events out.

    Args:
        make: makes the session; called in another thread.
        wake: called from another thread when there are events to drain; must be quick.
    """

    def __init__(self, make: Callable[[], SessionLike], wake: Callable[[], None]) -> None:
        self._make, self._wake = make, wake
        self._lock = threading.Lock()
        self._session: SessionLike | None = None
        self._subscription: Subscription | None = None
        self._early: list[Command] = []
        """Sent before there was a session."""
        self._opener: threading.Thread | None = None
        self._failure: RunFinished | None = None
        self._broken: TunerError | None = None

    def open(self) -> None:
        """Begins to make the session and starts it; returns at once."""
        self._opener = threading.Thread(target=self._open, name="session-opener", daemon=True)
        self._opener.start()

    def _open(self) -> None:
        try:
            session = self._make()
            self._subscription = session.events.subscribe(self._quietly_wake)
            with self._lock:
                if any(isinstance(command, commands.Stop) for command in self._early):
                    return  # the operator has left already: nothing is started
                session.start()
                self._session = session
            for command in self._early:
                session.send(command)
        except Exception as error:
            log.exception("the session could not be made")
            self._broken = error if isinstance(error, TunerError) else TunerError(f"{type(error).__name__}: {error}")
            self._failure = events.RunFinished(
                time.time(), "", events.State.FAILED, str(self._broken), 0, 0.0, None, None, None, "nothing", 0, 0, None
            )
            self._quietly_wake()

    def _quietly_wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the screen's loop is closed
            self._wake()

    def send(self, command: Command) -> None:
        """Hands a command to the session, as soon as there is one."""
        with self._lock:
            session = self._session
            if session is None:
                self._early.append(command)
                return
        session.send(command)

    def drain(self) -> list[Event]:
        """The events that came since the last call, oldest first. Never waits."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            return [failure]
        return self._subscription.drain() if self._subscription is not None else []

    @property
    def error(self) -> TunerError | None:
        """Why there is no session, or why it failed."""
        return self._broken or (self._session.error if self._session else None)

    @property
    def summary(self) -> RunFinished | None:
        """How the run ended, once it has."""
        return self._session.summary if self._session else None

    @property
    def ended(self) -> bool:
        """Whether there is nothing (left) that runs."""
        if self._opener is None or self._broken is not None:
            return True
        if self._opener.is_alive():
            return False
        return self._session is None or self._session.join(0)

    def close(self, timeout_s: float) -> bool:
        """Asks the session to stop and waits for it; whether it has ended in time."""
        deadline = time.monotonic() + timeout_s
        if not self.ended:
            self.send(commands.Stop())
        if self._opener is not None:
            self._opener.join(max(0.0, deadline - time.monotonic()))
        session = self._session
        return session is None or self._broken is not None or session.join(max(0.0, deadline - time.monotonic()))
