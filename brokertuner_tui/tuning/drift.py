"""Notices that the broker's config was changed behind our back, and says so; what is done about it is the run's."""

from __future__ import annotations

import time
from collections.abc import Callable

from brokertuner_tui.broker.interface import Broker, Difference
from brokertuner_tui.tuning import events

Tell = Callable[[events.Event], None]


class DriftCheck:
    """Looks when it is due, however often it is asked. Used by the session's thread.

    Args:
        every_s: from one look to the next.
        ask_every_s: from one connection that asks the broker for its limits to the next.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        broker: Broker,
        tell: Tell,
        *,
        every_s: float = 1.0,
        ask_every_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._broker, self._tell = broker, tell
        self._every_s, self._ask_every_s, self._clock = every_s, ask_every_s, clock
        self._looked_at = self._asked_at = float("-inf")
        self.differences: tuple[Difference, ...] = ()
        """Found last, and told."""
        self._fresh = False

    def look(self, *, ask: bool = False, now: bool = False) -> bool:
        """Whether it was changed; what is new is told.

        Args:
            ask: the broker may be asked, too, where that is due: not while a window is measured.
            now: look, whether it is due or not.
        """
        at = self._clock()
        asks = ask and at - self._asked_at >= self._ask_every_s
        if not (now or asks or at - self._looked_at >= self._every_s):
            return bool(self.differences)
        self._looked_at = at
        if asks:
            self._asked_at = at
        found, self._fresh = self._broker.drift(ask=asks), True
        if found != self.differences:
            self.differences = found
            self._tell(events.Drifted(time.time(), found))
        return bool(found)

    def is_news(self) -> bool:
        """Whether there was a look since this was asked last."""
        fresh, self._fresh = self._fresh, False
        return fresh
