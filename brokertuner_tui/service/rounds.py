"""Something that is done again and again beside the service's changes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from brokertuner_tui.errors import TunerError

_log = logging.getLogger(__name__)
_END_S = 60.0
"""A round may have to wait for a change that is under way."""


class Rounds:
    """A thread that calls `look` every `every_s` seconds; what cannot be looked at now is looked at in the next round."""

    def __init__(self, name: str, every_s: float, look: Callable[[], None]) -> None:
        self._name, self._every_s, self._look = name, every_s, look
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends it, before the changes are closed."""
        self._stopped.set()
        self._thread.join(_END_S)
        if self._thread.is_alive():
            _log.error("the thread %r has not ended in %g s and is left", self._name, _END_S)

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            try:
                self._look()
            except TunerError as error:
                _log.debug("%s: %s", self._name, error)
