"""The commands that wait for a run: some are obeyed at once, the others between two trials."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable

from brokertuner_tui.tuning import commands

_LIGHT = (commands.Pause, commands.Resume, commands.Step, commands.Pin, commands.Unpin)
"""Commands that touch neither broker nor load: obeyed in the middle of a trial, too."""
_POLL_S = 0.05


class Inbox:
    """Used by the session's thread; anybody may put commands into its queue.

    Args:
        obey: carries one out at once.
    """

    def __init__(self, arriving: queue.SimpleQueue[commands.Command], obey: Callable[[commands.Command], None]) -> None:
        self._arriving, self._obey = arriving, obey
        self._waiting: list[commands.Command] = []
        """Taken in the middle of a trial, to be obeyed after it."""

    @property
    def is_empty(self) -> bool:
        """Whether none of those that were taken waits."""
        return not self._waiting

    def is_asked(self) -> bool:
        """Takes commands; whether one of them waits to be obeyed."""
        while True:
            try:
                command = self._arriving.get_nowait()
            except queue.Empty:
                return bool(self._waiting)
            if isinstance(command, _LIGHT) and not self._waiting:
                self._obey(command)
            else:
                self._waiting.append(command)

    def obey_all(self) -> None:
        """Until none waits."""
        while self.is_asked():
            self._obey(self._waiting.pop(0))

    def idle(self, seconds: float) -> bool:
        """Waits for a command, which stays to be obeyed; whether none came."""
        try:
            self._waiting.append(self._arriving.get(timeout=seconds))
        except queue.Empty:
            return True
        return False

    def listen(self, seconds: float) -> bool:
        """Waits; ends early when there is a command to be obeyed. Whether it was as long as was asked for."""
        deadline = time.monotonic() + seconds
        while not self.is_asked():
            left = deadline - time.monotonic()
            if left <= 0:
                return True
            time.sleep(min(left, _POLL_S))
        return False
