"""Looks every second whether the broker is still as it was left; heartbeats and `/state` bring it to whoever asks."""

from __future__ import annotations

import contextlib
import logging
import threading

from brokertuner_tui.broker.interface import Difference, told
from brokertuner_tui.errors import TunerError
from brokertuner_tui.service.changes import Changes
from brokertuner_tui.service.hosted import Hosted

_log = logging.getLogger(__name__)


class DriftLook:
    """A thread that has the looking done between two changes, by the thread that makes them.

    Args:
        every_s: from one look to the next.
    """

    def __init__(self, host: Hosted, changes: Changes, *, every_s: float = 1.0) -> None:
        self._host, self._changes, self._every_s = host, changes, every_s
        self._seen: tuple[Difference, ...] = ()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drift", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends it, before the changes are closed."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            with contextlib.suppress(TunerError):  # what cannot be looked at now is looked at in the next round
                found = self._changes.between(self._host.drift)
                if found and found != self._seen:
                    _log.warning("%s", told(found))
                self._seen = found
