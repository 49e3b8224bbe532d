"""Signals as requests: the first one asks for an end in good order, Ctrl-C after that forces it."""

from __future__ import annotations

import os
import signal
from types import FrameType, TracebackType
from typing import Any

from brokertuner_tui.errors import ExitCode

_FORCED = b"\nbrokertuner-tui: forced to end; our own broker and load are ended, too\n"


class StopSignals:
    """While in force, SIGINT, SIGTERM and SIGHUP are noted in `received` instead of ending the process.

    Ctrl-C once a stop was asked for ends the process at once: the reaper ends its children, the store is consistent at
    every moment.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> ExitCode:
        """What a process that ended because of the signal says."""
        return ExitCode.INTERRUPTED if self.received == signal.SIGINT else ExitCode.TERMINATED

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            # Nothing that could wait: the main thread may be anywhere, with any lock.
            try:
                os.write(2, _FORCED)
            finally:
                os._exit(self.exit_code)
        if self.received is None:
            self.received = number
