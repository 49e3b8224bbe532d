"""Sees to it that the service's broker stays up, whoever asks for it or not."""

from __future__ import annotations

import contextlib
import threading

from brokertuner_tui.errors import TunerError
from brokertuner_tui.service.alone import AloneHost
from brokertuner_tui.service.changes import Changes


class Upkeep:
    """A thread that looks, and has what is to be done about it done between two changes, by the thread that makes them.

    Args:
        every_s: from one look to the next.
    """

    def __init__(self, host: AloneHost, changes: Changes, *, every_s: float = 0.1) -> None:
        self._host, self._changes, self._every_s = host, changes, every_s
        self._was_down = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends it, before the changes are closed."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            with contextlib.suppress(TunerError):  # what cannot be looked at now is looked at in the next round
                down = bool(self._host.trouble())
                if down or self._was_down:  # that it is up again is for the keeper to know, too
                    self._changes.between(self._host.look_after)
                self._was_down = down
