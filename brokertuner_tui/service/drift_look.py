"""Looks every second whether the broker is still as it was left; heartbeats and `/state` bring it to whoever asks."""

from __future__ import annotations

import logging

from brokertuner_tui.broker.interface import Difference, told
from brokertuner_tui.service.changes import Changes
from brokertuner_tui.service.hosted import Hosted
from brokertuner_tui.service.rounds import Rounds

_log = logging.getLogger(__name__)


class DriftLook:
    """A thread that has the looking done between two changes, by the thread that makes them.

    Args:
        every_s: from one look to the next.
    """

    def __init__(self, host: Hosted, changes: Changes, *, every_s: float = 1.0) -> None:
        self._host, self._changes = host, changes
        self._seen: tuple[Difference, ...] = ()
        self._rounds = Rounds("drift", every_s, self._look)

    def close(self) -> None:
        """Ends it, before the changes are closed."""
        self._rounds.close()

    def _look(self) -> None:
        found = self._changes.between(self._host.drift)
        if found and found != self._seen:
            _log.warning("%s", told(found))
        self._seen = found
