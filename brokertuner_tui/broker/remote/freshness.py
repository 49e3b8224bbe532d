"""Which telemetry is younger than a change, when the two clocks have nothing to do with each other."""

from __future__ import annotations

from brokertuner_tui.connection.link import Reading


class Freshness:
    """The agent samples on its own; a heartbeat brings its last sample, which may be older than the heartbeat.

    So the first heartbeat that was asked for after a change shows which sample was the last before it, at the latest; every
    other sample after that is younger than the change. Calls are serialised by its user.
    """

    def __init__(self) -> None:
        self._after: int | None = None
        self._old: object = None

    def changed(self, beats: int) -> None:
        """Something was changed when `beats` heartbeats had been asked for."""
        self._after, self._old = beats, None

    def fits(self, reading: Reading) -> bool:
        """Whether `reading` is younger than the last change."""
        if self._after is None:
            return True
        if reading.beat <= self._after:
            return False
        at = (reading.data.get("at_s"), reading.data.get("wall_s"))
        if self._old is None:
            self._old = at
        if at == self._old:
            return False
        self._after = None
        return True
