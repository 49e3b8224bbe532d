"""Looks after the load: restarts one that has died or hangs, and counts. It knows no front end: it returns what happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from brokertuner_tui.errors import TunerError
from brokertuner_tui.workload.load import Load

HEALTHY_REPORT_STEPS = 100


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check, or a restart by hand, came to."""

    what: Literal["healthy", "restarted", "failed"]
    message: str
    """One sentence for the operator; empty when there is nothing to say."""
    restarts: int
    """Restarts so far, this one included."""

    @property
    def healthy(self) -> bool:
        """Whether the load was found well."""
        return self.what == "healthy"


class LoadSupervisor:
    """Checks a load at the first step and every `check_freq` steps.

    Used by the thread that uses the load. Nothing is raised for a load that does not start: it is said, and tried again at
    the next check.
    """

    def __init__(self, load: Load, check_freq: int = 5) -> None:
        self._load = load
        self._check_freq = max(1, check_freq)
        self._checked_at: int | None = None
        self._healthy_since: int | None = None
        self._reports = 0
        self.restarts = 0
        """Successful restarts, also those by hand."""

    def check(self, step: int) -> Checked | None:
        """Checks the load if `step` is due; None if it is not."""
        if self._checked_at is not None and 0 <= step - self._checked_at < self._check_freq:
            return None
        self._checked_at = step
        status = self._load.status()
        if status.state in ("dead", "stopped"):
            return self._revive(status.error or "the load does not run")
        if self._healthy_since is None or step < self._healthy_since:
            self._healthy_since, self._reports = step, 0
        healthy_steps = step - self._healthy_since
        message = ""
        if healthy_steps // HEALTHY_REPORT_STEPS > self._reports:
            self._reports = healthy_steps // HEALTHY_REPORT_STEPS
            message = f"the load has been healthy for {healthy_steps} steps"
        return Checked("healthy", message, self.restarts)

    def restart(self) -> Checked:
        """Restarts the load because the operator wants it, healthy or not."""
        return self._revive("as asked")

    def _revive(self, reason: str) -> Checked:
        self._healthy_since = None
        try:
            self._load.restart()
        except TunerError as error:
            message = f"the load does not start and is tried again in {self._check_freq} steps: {error}"
            return Checked("failed", message, self.restarts)
        self.restarts += 1
        return Checked("restarted", f"the load was restarted ({reason}); restart {self.restarts}", self.restarts)
