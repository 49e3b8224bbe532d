"""When something that keeps failing is tried again, and when no more. Pure: the clock comes from outside.

The shape is Pebble's (0.5 s, doubled up to 30 s, forgotten after 30 s up), with a limit as init systems have one.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Care(StrEnum):
    """How something that is kept up stands."""

    UP = "up"
    BACK = "back"
    """Up again: brought back in this moment."""
    WAITING = "waiting"
    """Down; the next attempt is not due yet, or is somebody else's to make."""
    STOPPED = "stopped"
    """Somebody stopped it on purpose, and that is left to them."""
    GIVEN_UP = "given up"
    """Down, and nothing more is tried until somebody says so."""

    @property
    def up(self) -> bool:
        """Whether it can be worked with."""
        return self in (Care.UP, Care.BACK)


@dataclass(frozen=True, slots=True)
class BackoffPolicy:
    """The wait after failure n in a row is `interval_s(n)`, made longer by up to `jitter` of it, and never above the cap.

    Raises:
        ValueError: the numbers make no sense together.
    """

    base_s: float = 0.5
    factor: float = 2.0
    cap_s: float = 30.0
    jitter: float = 0.2
    reset_after_s: float = 30.0
    """Up for so long, and what was before is forgotten."""
    grace_s: float = 1.0
    """Up for so long, it has started: that somebody ends it later says nothing against it."""
    give_up: int = 5
    within_s: float = 60.0
    """So many failures in so long, and it is given up."""

    def __post_init__(self) -> None:
        """Checks the numbers."""
        if not 0 < self.base_s <= self.cap_s or self.factor < 1 or not 0 <= self.jitter < 1:
            raise ValueError("0 < base <= cap, factor at least 1, jitter at least 0 and below 1")
        if min(self.reset_after_s, self.within_s) <= 0 or self.grace_s < 0 or self.give_up < 1:
            raise ValueError("times must be greater than 0, and at least one failure must be allowed")

    def interval_s(self, failures: int) -> float:
        """The shortest wait after so many failures in a row: none after the first, then growing up to the cap."""
        if failures <= 1:
            return 0.0
        try:
            return min(self.cap_s, self.base_s * self.factor ** (failures - 2))
        except OverflowError:
            return self.cap_s


class Backoff:
    """Counts the failures of one thing. Its owner says `failed` (it died, or an attempt to start it did not work) and `up`
    (it has started), and asks `due_in_s` before it tries again. It is taken to be up at first. Used by one thread.

    Args:
        clock: seconds, monotonic; `chance`: a number from 0 to 1.
    """

    def __init__(
        self,
        policy: BackoffPolicy | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.policy = policy or BackoffPolicy()
        self._clock, self._chance = clock, chance
        self._failures = 0
        self._recent: deque[float] = deque(maxlen=self.policy.give_up)
        self._due_at = clock()
        self._up_since: float | None = clock()

    @property
    def failures(self) -> int:
        """In a row."""
        return self._failures

    @property
    def given_up(self) -> bool:
        """Whether nothing more should be tried, until `begin_anew`."""
        full = len(self._recent) == self.policy.give_up
        return full and self._recent[-1] - self._recent[0] <= self.policy.within_s

    def due_in_s(self) -> float:
        """Seconds until the next attempt may begin; 0: now; infinite: it is given up."""
        return float("inf") if self.given_up else max(0.0, self._due_at - self._clock())

    def failed(self, *, by_others: bool = False) -> None:
        """It has ended, or did not start.

        Args:
            by_others: somebody ended it. That is no failure of its own, unless it had only just started.
        """
        now = self._clock()
        up_s = now - self._up_since if self._up_since is not None else None
        self._up_since = None
        if up_s is not None and up_s >= self.policy.reset_after_s:
            self.begin_anew()
        if by_others and up_s is not None and up_s >= self.policy.grace_s:
            self._due_at = now
            return
        self._failures += 1
        self._recent.append(now)
        wait_s = self.policy.interval_s(self._failures)
        self._due_at = now + min(self.policy.cap_s, wait_s * (1 + self.policy.jitter * self._chance()))

    def up(self) -> None:
        """It has started."""
        if self._up_since is None:
            self._up_since = self._clock()

    def begin_anew(self) -> None:
        """Whoever is in charge wants it tried again: everything is forgotten."""
        self._failures = 0
        self._recent.clear()
        self._due_at = self._clock()
