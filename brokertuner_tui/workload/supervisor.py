"""Looks after the load: restarts one that has died or hangs, and counts. It knows no front end: it returns what happened."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from brokertuner_tui.errors import TunerError
from brokertuner_tui.process.backoff import Backoff, BackoffPolicy, Care
from brokertuner_tui.workload.load import Load, LoadStatus

HEALTHY_REPORT_STEPS = 100
_CARE = {"healthy": Care.UP, "restarted": Care.BACK, "failed": Care.WAITING, "waiting": Care.WAITING, "given up": Care.GIVEN_UP}


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check, or a restart by hand, came to."""

    what: Literal["healthy", "restarted", "failed", "waiting", "given up"]
    message: str
    """One sentence for the operator; empty when there is nothing to say."""
    restarts: int
    """Restarts so far, this one included."""

    @property
    def healthy(self) -> bool:
        """Whether the load was found well."""
        return self.what == "healthy"

    @property
    def care(self) -> Care:
        """The same, as for a broker."""
        return _CARE[self.what]


class LoadSupervisor:
    """`look` sees at once that a load is gone; `check` also counts the steps that it was well.

    Used by the thread that uses the load. Nothing is raised for a load that does not start: it is said, and tried again at the
    pace of the back-off, until it is given up.

    Args:
        check_freq: steps between two checks that report.
        clock: seconds, monotonic; `chance`: see `Backoff`.
    """

    def __init__(
        self,
        load: Load,
        check_freq: int = 5,
        policy: BackoffPolicy | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._load = load
        self._check_freq = max(1, check_freq)
        self._backoff = Backoff(policy, clock=clock, chance=chance)
        self._down = ""
        """Why it is down; empty while it is well."""
        self._gave_up = ""
        self._checked_at: int | None = None
        self._healthy_since: int | None = None
        self._reports = 0
        self.restarts = 0
        """Successful restarts, also those by hand."""

    def next_attempt_s(self) -> float:
        """Seconds until the next attempt; 0: now."""
        if self._gave_up:
            return float("inf")
        return self._backoff.due_in_s() if self._down else 0.0

    def look(self) -> Checked:
        """Restarts a load that is gone, if that is due; the message is empty unless there is news."""
        status = self._load.status()
        if status.state not in ("dead", "stopped"):
            self._down = self._gave_up = ""
            return self._checked("healthy")
        self._healthy_since = None
        if self._gave_up:
            return self._checked("given up")
        fresh = not self._down
        if fresh:
            self._fell(status)
        if self._backoff.given_up:
            return self._give_up()
        if self._backoff.due_in_s() > 0:
            return self._checked("waiting", self._next() if fresh else "")
        return self._revive(self._down)

    def check(self, step: int) -> Checked | None:
        """`look`, and at the first step and every `check_freq` steps what is to be said of a healthy load; None: nothing."""
        seen = self.look()
        due = self._checked_at is None or not 0 <= step - self._checked_at < self._check_freq
        if due:
            self._checked_at = step
        if not seen.healthy:
            return seen
        return self._healthy(step) if due else None

    def restart(self) -> Checked:
        """Restarts the load because the operator wants it, healthy or not."""
        self._backoff.begin_anew()
        self._down = self._gave_up = ""
        return self._revive("as asked")

    def begin_anew(self) -> None:
        """Somebody in charge wants it tried again."""
        self._backoff.begin_anew()
        self._gave_up = ""

    # -- inside --------------------------------------------------------------------------------------------------------

    def _healthy(self, step: int) -> Checked:
        if self._healthy_since is None or step < self._healthy_since:
            self._healthy_since, self._reports = step, 0
        healthy_steps = step - self._healthy_since
        if healthy_steps // HEALTHY_REPORT_STEPS > self._reports:
            self._reports = healthy_steps // HEALTHY_REPORT_STEPS
            return self._checked("healthy", f"the load has been healthy for {healthy_steps} steps")
        return self._checked("healthy")

    def _fell(self, status: LoadStatus) -> None:
        self._down = status.error or "the load does not run"
        # One that nobody runs has not failed: an agent that was started anew, for example, knows of none.
        self._backoff.failed(by_others=status.outside or status.state == "stopped")

    def _revive(self, reason: str) -> Checked:
        self._healthy_since = None
        try:
            self._load.restart()
        except TunerError as error:
            self._down = str(error)
            self._backoff.failed()
            if self._backoff.given_up or not error.passes:
                return self._give_up()
            return self._checked("failed", self._next())
        self._down = ""
        self._backoff.up()
        self.restarts += 1
        return self._checked("restarted", f"the load was restarted ({reason}); restart {self.restarts}")

    def _give_up(self) -> Checked:
        policy = self._backoff.policy
        after = f" after {policy.give_up} failures in {policy.within_s:g} s" if self._backoff.given_up else ""
        self._gave_up = f"the load was given up{after} (restart it to try again): {self._down}"
        return self._checked("given up", self._gave_up)

    def _next(self) -> str:
        return f"the load does not run: {self._down}; the next attempt in {self._backoff.due_in_s():.1f} s"

    def _checked(self, what: Literal["healthy", "restarted", "failed", "waiting", "given up"], message: str = "") -> Checked:
        return Checked(what, message, self.restarts)
