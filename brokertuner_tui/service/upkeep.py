"""Sees to it that the service's broker stays up, whoever asks for it or not."""

from __future__ import annotations

from brokertuner_tui.service.alone import AloneHost
from brokertuner_tui.service.changes import Changes
from brokertuner_tui.service.rounds import Rounds


class Upkeep:
    """A thread that looks, and has what is to be done about it done between two changes, by the thread that makes them.

    Args:
        every_s: from one look to the next.
    """

    def __init__(self, host: AloneHost, changes: Changes, *, every_s: float = 0.1) -> None:
        self._host, self._changes = host, changes
        self._was_down = False
        self._rounds = Rounds("upkeep", every_s, self._look)

    def close(self) -> None:
        """Ends it, before the changes are closed."""
        self._rounds.close()

    def _look(self) -> None:
        down = bool(self._host.trouble())
        if down or self._was_down:  # that it is up again is for the keeper to know, too
            self._changes.between(self._host.look_after)
        self._was_down = down
