"""How often, and when, the agent may restart the broker."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from brokertuner_tui.config.hours import Hours

_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is allowed at one moment."""

    left: int | None
    """Restarts in this hour; None: there is no limit."""
    until: float | None
    """None is allowed before this time (seconds since the epoch); None: they are."""
    why: str = ""
    """Why there is none."""


class RestartBudget:
    """Counts restarts over the last hour; of those before the session what `recall` is told.

    Args:
        per_hour: None: as many as one likes.
        quiet: hours of the day, local time, without any.
        clock: seconds that never go back, for the hour; a clock that is set makes no restarts.
        wall: seconds since the epoch, for the hours of the day.
    """

    def __init__(
        self,
        per_hour: int | None,
        quiet: Sequence[Hours] = (),
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._per_hour, self._quiet = per_hour, tuple(quiet)
        self._clock, self._wall = clock, wall
        self._caused: deque[float] = deque()

    @property
    def limited(self) -> bool:
        """Whether there is any limit at all."""
        return self._per_hour is not None or bool(self._quiet)

    def note(self, restarts: int = 1) -> None:
        """So many were caused just now."""
        self._caused.extend([self._clock()] * restarts)

    def recall(self, at: Iterable[float]) -> None:
        """Restarts that this run caused in an earlier life, in seconds since the epoch."""
        now, wall = self._clock(), self._wall()
        ages = sorted((max(0.0, wall - moment) for moment in at), reverse=True)
        self._caused.extendleft(reversed([now - age for age in ages if age < _HOUR_S]))

    def allows(self, restarts: int = 1) -> bool:
        """Whether so many may be caused now."""
        now = self.allowance()
        return now.until is None and (now.left is None or now.left >= restarts)

    def allowance(self) -> Allowance:
        """How things stand."""
        now, wall = self._clock(), self._wall()
        while self._caused and now - self._caused[0] >= _HOUR_S:
            self._caused.popleft()
        left = None if self._per_hour is None else max(0, self._per_hour - len(self._caused))
        ends = self._quiet_until(wall)
        if ends is not None:
            return Allowance(left, ends, f"no restarts before {datetime.fromtimestamp(ends):%H:%M} (tuning.no_restarts)")
        if left == 0:
            why = f"{self._per_hour} restarts an hour are used up (tuning.restarts_per_hour)"
            if not self._caused:
                return Allowance(0, float("inf"), "restarts are not allowed (tuning.restarts_per_hour = 0)")
            # The oldest that has to fall out of the hour: roll-backs may have caused more than were allowed.
            oldest = self._caused[max(0, len(self._caused) - (self._per_hour or 0))] if self._per_hour else float("inf")
            return Allowance(0, wall + oldest + _HOUR_S - now, why)
        return Allowance(left, None)

    def _quiet_until(self, wall: float) -> float | None:
        """When the quiet hours that it is now end; they may follow each other. None: it is none."""
        moment = datetime.fromtimestamp(wall)
        began = moment
        # Each round goes to the end of one of them; a day of them without a gap never ends.
        for _ in range(2 * len(self._quiet) + 1):
            minute = moment.hour * 60 + moment.minute
            within = [hours for hours in self._quiet if minute in hours]
            if not within:
                break
            left = max((hours.end - minute - 1) % (24 * 60) + 1 for hours in within)
            moment = (moment + timedelta(minutes=left)).replace(second=0, microsecond=0)
        return None if moment == began else moment.timestamp()
