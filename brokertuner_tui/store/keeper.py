"""What there was no room for is kept, in order, until there is."""

from __future__ import annotations

from collections import deque
from contextlib import suppress

from brokertuner_tui.errors import TunerError
from brokertuner_tui.store.change import Change
from brokertuner_tui.store.errors import NoRoom
from brokertuner_tui.store.writer import Writer


class Keeper:
    """A Writer before another one. A write that finds no room waits in memory, and all later ones behind it.

    What waits was not acknowledged: `put` raised NoRoom, and `settle` is False until it is written. Few writes can gather: a
    session pauses for as long as `why_full` says something.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._kept: deque[Change] = deque()

    def put(self, change: Change) -> None:
        """See Writer.

        Raises:
            NoRoom: the change waits, and is written before any other as soon as `why_full` (or another `put`) finds room.
            TunerError: it was not kept.
        """
        self._kept.append(change)
        self._write()

    def retry(self) -> bool:
        """Tries what waits for room; whether nothing waits any more.

        Raises:
            TunerError: it can never be written.
        """
        with suppress(NoRoom):
            self._write()
        return not self._kept

    def settle(self, timeout_s: float) -> bool:
        """See Writer."""
        return self._writer.settle(timeout_s) and not self._kept

    @property
    def why_full(self) -> str:
        """See Writer; what waits is tried first.

        Raises:
            TunerError: it can never be written.
        """
        try:
            self._write()
        except NoRoom as error:
            return str(error)
        return self._writer.why_full

    def close(self) -> None:
        """See Writer; what waits is tried once more."""
        with suppress(TunerError):
            self._write()
        self._writer.close()

    def _write(self) -> None:
        while self._kept:
            try:
                self._writer.put(self._kept[0])
            except NoRoom:
                raise
            except BaseException:
                self._kept.clear()
                raise
            self._kept.popleft()
