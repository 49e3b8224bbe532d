"""How a run ends: the best is compared with the default, and what is to stay is brought into force."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from brokertuner_tui.broker.interface import ApplyFailed, BrokerUnavailable
from brokertuner_tui.env.outcome import Outcome
from brokertuner_tui.knobs.catalogue import KnobValues
from brokertuner_tui.tuning import events
from brokertuner_tui.tuning.confirm import Confirmation, confirm
from brokertuner_tui.tuning.events import Left
from brokertuner_tui.tuning.learner import Learner
from brokertuner_tui.tuning.operations import Operations, Tell

if TYPE_CHECKING:  # importing the store imports SQLAlchemy
    from brokertuner_tui.tuning.recorder import Recorder

T = TypeVar("T")


class Retry(Protocol):
    """See `attempts.attempt`."""

    def __call__(self, what: str, action: Callable[[], T]) -> T:
        """What `action` gives."""


class Ending:
    """Confirms, and leaves the broker with what was asked for. Used by the session's thread.

    Args:
        measure: one window with these knobs in force.
        interrupted: whether somebody wants something else.
        retry: does something, again where it fails for a passing reason.
    """

    def __init__(
        self,
        operations: Operations,
        learner: Learner,
        recorder: Recorder,
        pairs: int,
        tell: Tell,
        *,
        measure: Callable[[KnobValues], Outcome],
        interrupted: Callable[[], bool],
        retry: Retry,
    ) -> None:
        self._operations, self._learner, self._recorder = operations, learner, recorder
        self._pairs = pairs
        self._tell = tell
        self._measure, self._interrupted, self._retry = measure, interrupted, retry
        self.confirmation: Confirmation | None = None
        self.conf_path: Path | None = None

    def confirm(self) -> None:
        """Measures the best and the default in turns, keeps the verdict, and writes the config to take away."""
        best = self._learner.best(self._operations.testbed.profile)
        if best is None:
            return self._warn("no trial succeeded: there is nothing to confirm")
        self.confirmation = confirm(
            self._learner.default,
            best.knobs,
            best.trial,
            self._pairs,
            measure=self._measure,
            interrupted=self._interrupted,
            progress=lambda done, total: self._tell(events.ConfirmStep(time.time(), done, total)),
        )
        if self.confirmation is None:
            return self._warn("the best setting was not confirmed: interrupted, or it could not be measured again")
        self._recorder.confirmation(self.confirmation)
        self.conf_path = self._recorder.conf()
        self._tell(self.confirmation.event)
        return None

    def leave(self, wanted: Left) -> tuple[Left, str]:
        """Brings what is to be left into force; gives what it was, and why if it is something else."""
        if wanted == "current":
            return "current", ""
        if self._operations.agent_is_away():
            return "current", "the broker's agent cannot be reached: what was in force last stays"
        confirmed = self.confirmation.event if self.confirmation else None
        if wanted == "best" and confirmed is not None and confirmed.better:
            if self._apply(confirmed.best_knobs, "the best, confirmed"):
                return "best", ""
            return "current", "the best setting did not come into force"
        reason = ""
        if wanted == "best":
            reason = "no setting was confirmed" + (" to be better than the default" if confirmed else "")
        if self._apply(self._learner.default, "back to the defaults"):
            return "default", reason
        return "current", "the defaults did not come into force"

    def _apply(self, knobs: KnobValues, why: str) -> bool:
        try:
            self._retry(f"{why}: not yet", lambda: self._operations.change(knobs, why))
        except (ApplyFailed, BrokerUnavailable):
            return False  # told by now
        return True

    def _warn(self, message: str) -> None:
        self._tell(events.Notice(time.time(), message, "warning"))
