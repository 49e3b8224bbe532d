"""The thread behind a connection that is kept up: it tries when an attempt is due, and not before."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from brokertuner_tui.connection.tracker import ConnectionState, ConnectionTracker

_log = logging.getLogger(__name__)
_STOP_S = 2.0
"""For the thread to end; one that is in an attempt which cannot be cut short ends after it, at the latest with the process."""
_LONGEST_S = 3600.0


class KeptUp:
    """Calls `attempt` whenever the tracker says that one is due. `start` it once; `stop` may be called again.

    Args:
        attempt: makes one connection, tells the tracker `connected` and each `beat`, and stays until it is over. When it
            returns (it was asked to stop) or raises (with a message for the operator), nothing of the connection is left: no
            socket, no task. It asks `stopped` at least every second.
        wake: makes an attempt that waits look at `stopped`; called from another thread.
    """

    def __init__(self, tracker: ConnectionTracker, attempt: Callable[[], None], wake: Callable[[], None]) -> None:
        self._tracker, self._attempt, self._wake = tracker, attempt, wake
        self._changed = threading.Event()
        self._stopped = False
        self._thread: threading.Thread | None = None

    @property
    def stopped(self) -> bool:
        """Whether the attempt under way shall end."""
        return self._stopped

    @property
    def running(self) -> bool:
        """Whether it was started, and not stopped."""
        return self._thread is not None and not self._stopped

    def start(self) -> None:
        """Begins to connect; does not wait for it."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._tracker.name or "connection", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ends the connection and the thread."""
        self._stopped = True
        self._changed.set()
        self._wake()
        if self._thread is not None:
            self._thread.join(_STOP_S)

    def hurry(self) -> None:
        """The other end is believed to be back: the next attempt comes as early as the policy's first interval lets it."""
        self._tracker.hurry()
        self._changed.set()

    def _run(self) -> None:
        while not self._stopped:
            wait_s = self._tracker.due_in()
            if wait_s > 0:
                self._changed.wait(min(wait_s, _LONGEST_S))
                self._changed.clear()
                continue
            self._tracker.attempting()
            why = "closed"
            try:
                self._attempt()
            except Exception as error:
                # Whatever it was, it is this connection's trouble alone: told, and tried again when it is due.
                why = str(error) or type(error).__name__
                _log.debug("the connection %s: %s", self._tracker.name, why, exc_info=True)
            if self._stopped:
                break
            self._tracker.lost(why)
        if self._tracker.status().state is not ConnectionState.GIVEN_UP:
            self._tracker.release()
