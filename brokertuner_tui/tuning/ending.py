"""How a run ends: the best is compared with the default, and what is to stay is brought into force."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from brokertuner_tui.broker.interface import ApplyFailed, BrokerUnavailable
from brokertuner_tui.env.outcome import Outcome, Verdict
from brokertuner_tui.knobs.catalogue import KnobValues, needs_restart
from brokertuner_tui.tuning import events
from brokertuner_tui.tuning.ablation import Ablator
from brokertuner_tui.tuning.attempts import Retry
from brokertuner_tui.tuning.confirm import Confirmation, confirm
from brokertuner_tui.tuning.events import Left
from brokertuner_tui.tuning.guarding import Guarding
from brokertuner_tui.tuning.learner import Learner
from brokertuner_tui.tuning.operations import Operations, Tell

if TYPE_CHECKING:  # importing the store imports SQLAlchemy
    from brokertuner_tui.tuning.recorder import Recorder

log = logging.getLogger(__name__)
_EXPLAIN_S = 2.0


class Ending:
    """Confirms, and leaves the broker with what was asked for. Used by the session's thread.

    Args:
        measure: one window with these knobs in force.
        pairs: of windows, default and best.
        turns: windows of the best without each of its knobs.
        interrupted: whether somebody wants something else.
        late: whether there is no time for one more window.
        retry: does something, again where it fails for a passing reason.
    """

    def __init__(
        self,
        operations: Operations,
        learner: Learner,
        recorder: Recorder,
        pairs: int,
        turns: int,
        tell: Tell,
        *,
        measure: Callable[[KnobValues], Outcome],
        interrupted: Callable[[], bool],
        late: Callable[[], bool],
        retry: Retry,
        guarding: Guarding,
    ) -> None:
        self._operations, self._learner, self._recorder = operations, learner, recorder
        self._pairs = pairs
        self._tell = tell
        self._measure, self._interrupted, self._retry = measure, interrupted, retry
        self._guarding = guarding
        self._ablator = Ablator(
            operations, learner, guarding, turns, tell, measure=self._judged, interrupted=lambda: interrupted() or late()
        )
        self._explained = 0
        """Trials that are explained."""
        self._broke = False
        """A window of the confirmation broke the SLO."""
        self.confirmation: Confirmation | None = None
        self.conf_path: Path | None = None

    def confirm(self) -> None:
        """Measures the best and the default in turns, keeps the verdict, and writes the config to take away; if the best is
        better, measures what each of its knobs is worth."""
        best = self._learner.best(self._operations.testbed.profile)
        if best is None:
            return self._warn("no trial succeeded: there is nothing to confirm")
        if reason := self._why_not(best.knobs):
            return self._warn(f"the best setting is not confirmed: {reason}")
        self._broke = False
        self.confirmation = confirm(
            self._learner.default,
            best.knobs,
            best.trial,
            self._pairs,
            measure=self._judged,
            interrupted=lambda: self._broke or self._interrupted(),
            progress=lambda done, total: self._tell(events.ConfirmStep(time.time(), done, total)),
        )
        if self._broke:
            self.confirmation = None
            return self._warn("the best setting is not confirmed: the SLO was broken while it was compared with the default")
        if self.confirmation is None:
            return self._warn("the best setting was not confirmed: interrupted, or it could not be measured again")
        self._recorder.confirmation(self.confirmation)
        self.conf_path = self._recorder.conf()
        self._tell(self.confirmation.event)
        confirmed = self.confirmation.event
        if confirmed.better and (found := self._ablator.ablate(best, confirmed)) is not None:
            self._recorder.ablation(found)
            self._explained = 0  # it is explained anew
        return None

    def keep_proposal(self, knobs: KnobValues, why: str) -> None:
        """Writes what was proposed last, and was not applied, as the config to take away."""
        self.conf_path = self._recorder.proposal(knobs, self._operations.testbed.version, why)

    def leave(self, wanted: Left) -> tuple[Left, str]:
        """Brings what is to be left into force; gives what it was, and why if it is something else.

        What broke the SLO is never left; nor is what was not confirmed, where there is an SLO.
        """
        try:
            return self._bring_into_force(wanted)
        finally:
            self._explain()

    def _explain(self) -> None:
        """Says what the run taught: last of all, and not for long. What takes longer is done when somebody asks for it."""
        from brokertuner_tui.insight.explaining import OutOfTime, explain_points

        trials = self._recorder.trials
        if trials == self._explained or not self._recorder.measured:
            return
        try:
            loads = explain_points(self._recorder.measured, self._recorder.ablations, limit_s=_EXPLAIN_S)
        except OutOfTime:
            log.info("explaining the run takes longer than %s s: `runs show` does it", _EXPLAIN_S)
            return
        self._explained = trials
        self._recorder.insight(trials, loads)
        if self.conf_path is not None and self.confirmation is not None:
            self._recorder.conf(loads)
        self._tell(events.Explained(time.time(), trials, loads))

    def _bring_into_force(self, wanted: Left) -> tuple[Left, str]:
        if self._operations.agent_is_away():
            return (
                "current",
                "" if wanted == "current" else "the broker's agent cannot be reached: what was in force last stays",
            )
        if wanted == "current":
            return "current", self._guarding.keep_current()
        confirmed = self.confirmation.event if self.confirmation else None
        if wanted == "best" and confirmed is not None and confirmed.better:
            if reason := self._guarding.why_not_to(confirmed.best_knobs):
                return "current", self._guarding.keep_current() or reason
            if self._apply(confirmed.best_knobs, "the best, confirmed"):
                return "best", ""
            return "current", "the best setting did not come into force"
        reason = ""
        if wanted == "best":
            reason = "no setting was confirmed" + (" to be better than the default" if confirmed else "")
        if why := self._guarding.why_not_to(self._learner.default):
            stays = self._guarding.keep_current() or "the last known good stays"
            return "current", "; ".join(part for part in (reason, why, stays) if part)
        if self._apply(self._learner.default, "back to the defaults"):
            return "default", reason
        return "current", "the defaults did not come into force"

    def _apply(self, knobs: KnobValues, why: str) -> bool:
        try:
            with self._guarding.counting():
                self._retry(f"{why}: not yet", lambda: self._operations.change(knobs, why))
            self._guarding.confirm_by_hand()
        except (ApplyFailed, BrokerUnavailable):
            return False  # told by now
        return True

    def _why_not(self, best: KnobValues) -> str:
        """Why the two are not compared; empty: they are."""
        default = self._learner.default
        profile = self._operations.testbed.profile.name
        if self._guarding.has_broken(profile, default):
            return "the default breaks the SLO, and is not brought into force again to be measured"
        # Each pair goes from one to the other, the first may need one more, and so does what is left in force.
        restarts = self._pairs + 2 if needs_restart(default, best) else 1
        return "" if self._guarding.may_restart(restarts) else f"it takes {restarts} restarts, and there are not as many left"

    def _judged(self, knobs: KnobValues) -> Outcome:
        outcome = self._measure(knobs)
        if outcome.verdict is not Verdict.OK:
            return outcome
        judgement = self._guarding.judge(0, outcome, time.monotonic())
        if judgement.breach:
            self._broke = True
            self._learner.ban(outcome.profile, knobs)
        return outcome

    def _warn(self, message: str) -> None:
        self._tell(events.Notice(time.time(), message, "warning"))
