"""What a run does when the broker's config was changed behind our back: nothing, until it is clear what counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from brokertuner_tui.broker.drift import is_proposal
from brokertuner_tui.broker.interface import Applied, told
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import changed
from brokertuner_tui.tuning import events
from brokertuner_tui.tuning.by_hand import ByHand
from brokertuner_tui.tuning.current_state import CurrentState
from brokertuner_tui.tuning.drift import DriftCheck
from brokertuner_tui.tuning.inbox import Inbox
from brokertuner_tui.tuning.learner import Learner
from brokertuner_tui.tuning.operations import Operations, Tell
from brokertuner_tui.tuning.proposals import Proposals
from brokertuner_tui.tuning.trials import Trials

_IDLE_S = 0.1


class StandingBack:
    """Used by the session's thread.

    Args:
        resume: goes on with what was done before.
    """

    def __init__(
        self,
        drift: DriftCheck,
        operations: Operations,
        learner: Learner,
        trials: Trials,
        proposals: Proposals,
        by_hand: ByHand,
        inbox: Inbox,
        state: CurrentState,
        tell: Tell,
        *,
        resume: Callable[[], None],
    ) -> None:
        self._drift, self._operations, self._learner = drift, operations, learner
        self._trials, self._proposals, self._by_hand = trials, proposals, by_hand
        self._inbox, self._state, self._tell, self._resume = inbox, state, tell, resume
        self.stands_back = False
        """Paused because of a drift, and for no other reason."""

    def wait(self) -> None:
        """There is a drift: waits a moment for the operator to say what counts."""
        if self._proposal_was_applied():
            return
        if not self._state.is_paused:
            self.stands_back = True
            self._state.pause(told(self._drift.differences))
        if self._inbox.idle(_IDLE_S):
            self._operations.follow_schedule()

    def go_on(self, why: str) -> None:
        """The drift is settled: back to work, if that is what was left for it."""
        self._tell(events.Notice(time.time(), why, "info"))
        if self.stands_back:
            self.stands_back = False
            self._resume()

    def reconcile(self, keep: Literal["ours", "theirs"]) -> Applied:
        """Does as the operator has decided.

        Raises:
            ApplyFailed: the broker does not run with it; that was told.
            TunerError: there is nothing to reconcile, or it is refused.
        """
        if not self._drift.look(ask=True, now=True):
            raise TunerError("the broker's config is as we left it: there is nothing to reconcile")
        if keep == "ours":
            self._by_hand.check_allowed()
        before = dict(self._operations.last_in_force or self._learner.default)
        applied = self._operations.settle_drift(keep)
        if keep == "theirs":
            for knob in changed(before, applied.knobs):
                if knob in self._learner.pinned:
                    self._by_hand.pin(knob, applied.knobs[knob])
            self._learner.try_next(applied.knobs)
            self._trials.forget()
        if not self._drift.look(now=True):
            self.go_on("ours is in force again" if keep == "ours" else "going on with what somebody else has set")
        return applied

    def refuse_while_drifted(self) -> None:
        """Lets pass what needs the broker's config to be as we left it.

        Raises:
            TunerError: it is not.
        """
        if self._drift.look(now=True):
            raise TunerError(f"{told(self._drift.differences)}; say first which of the two counts (reconcile: ours or theirs)")

    def _proposal_was_applied(self) -> bool:
        """Whether a person has done by hand just what was proposed, and the broker has read it: that is an answer, too."""
        waiting, ours = self._proposals.waiting, self._operations.last_in_force
        if waiting is None or ours is None or not self._drift.is_news():
            return False
        if not is_proposal(self._drift.differences, ours, waiting.knobs) or not self._operations.accept_proposal():
            return False
        self._proposals.applied_by_hand()
        self._drift.look(now=True)
        self.stands_back = False
        self._tell(events.Notice(time.time(), "the proposal was applied by hand", "info"))
        self._resume()
        return True
