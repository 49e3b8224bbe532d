"""The mode `recommend`: what is in force is measured, and a person applies what is proposed, or not."""

from __future__ import annotations

import time

from brokertuner_tui.broker.interface import Applied
from brokertuner_tui.errors import UsageError
from brokertuner_tui.knobs.catalogue import changed, needs_restart
from brokertuner_tui.tuning import events
from brokertuner_tui.tuning.guard import traps
from brokertuner_tui.tuning.guarding import Guarding
from brokertuner_tui.tuning.learner import Choice, Learner
from brokertuner_tui.tuning.operations import Operations, Tell

WAITS = "a proposal waits"


class Proposals:
    """What was proposed last. Used by the session's thread."""

    def __init__(self, operations: Operations, learner: Learner, guarding: Guarding, tell: Tell) -> None:
        self._operations, self._learner, self._guarding, self._tell = operations, learner, guarding, tell
        self.waiting: Choice | None = None
        """What a person is asked about."""
        self._applied: Choice | None = None

    def make(self, trial: int) -> bool:
        """Asks the agent, and tells what it says; whether there is anything to propose.

        Args:
            trial: the one that would measure it.
        """
        in_force = self._operations.in_force or self._guarding.good
        profile, heap = self._operations.testbed.profile, self._guarding.heap_bytes
        self.waiting = choice = self._learner.suggest(profile, in_force, heap_bytes=heap)
        if choice is None:
            self._tell(events.Notice(time.time(), "nothing to propose: the agent would leave what is in force"))
            return False
        self._tell(
            events.Proposed(
                time.time(),
                trial=trial,
                knobs=dict(choice.knobs),
                changed=changed(in_force, choice.knobs),
                needs_restart=needs_restart(in_force, choice.knobs),
                source=choice.source,
                why=choice.why,
            )
        )
        return True

    def apply(self) -> Applied:
        """Brings what was proposed into force; the next trial measures it.

        Raises:
            UsageError: nothing was proposed, or it has become a trap since.
            ApplyFailed: it did not come into force.
        """
        choice = self._asked()
        before, testbed = self._operations.in_force or self._guarding.good, self._operations.testbed
        names = changed(before, choice.knobs)
        traps.refuse(choice.knobs, names, testbed.profile, testbed.version, self._guarding.heap_bytes)
        applied = self._operations.change(choice.knobs, "the proposal, applied by the operator")
        self.waiting, self._applied = None, choice
        return applied

    def applied_by_hand(self) -> None:
        """A person has brought it into force without us; the next trial measures it."""
        self.waiting, self._applied = None, self._asked()

    def skip(self) -> None:
        """It is not made again.

        Raises:
            UsageError: nothing was proposed.
        """
        self._learner.skip(self._asked())
        self.waiting = None

    def take(self) -> Choice | None:
        """What was applied and is to be measured now; once."""
        applied, self._applied = self._applied, None
        return applied

    def drop(self) -> None:
        """Something else was brought into force."""
        self.waiting = self._applied = None

    def _asked(self) -> Choice:
        if self.waiting is None:
            raise UsageError("no proposal waits: the mode `recommend` makes one after each window")
        return self.waiting
