"""What a person changes directly: checked, no trap, then in force and verified, and measured next."""

from __future__ import annotations

import time
from collections.abc import Mapping

from brokertuner_tui.broker.interface import Applied
from brokertuner_tui.errors import UsageError
from brokertuner_tui.knobs import validation
from brokertuner_tui.knobs.catalogue import Value, changed
from brokertuner_tui.tuning import events
from brokertuner_tui.tuning.guard import traps
from brokertuner_tui.tuning.guarding import Guarding
from brokertuner_tui.tuning.learner import Learner
from brokertuner_tui.tuning.operations import Operations, Tell


class ReadOnly(UsageError):
    """The broker is not to be changed by anybody."""


class ByHand:
    """A person's hands. Used by the session's thread."""

    def __init__(self, operations: Operations, learner: Learner, guarding: Guarding, tell: Tell, *, read_only: bool) -> None:
        self._operations, self._learner, self._guarding = operations, learner, guarding
        self._tell, self._read_only = tell, read_only

    def check_allowed(self) -> None:
        """Lets pass what may change the broker.

        Raises:
            ReadOnly: nothing may.
        """
        if self._read_only:
            raise ReadOnly("this session only reads (tuning.read_only): nothing was changed")

    def pin(self, knob: str, value: object) -> None:
        """The agent leaves `knob` at `value` (None: what it is now).

        Raises:
            UsageError: there is no such knob, or the value is not legal.
            TrapRefused: it can only do harm.
        """
        current = self._current()
        validation.get_knob(knob)
        legal = validation.check(knob, current[knob] if value is None else value)
        if legal != current[knob]:
            self._refuse_traps({**current, knob: legal}, (knob,))
        self._pin(knob, legal)

    def unpin(self, knob: str) -> None:
        """The agent may move `knob` again.

        Raises:
            UsageError: there is no such knob.
        """
        validation.get_knob(knob)
        self._learner.unpin(knob)
        self._tell(events.PinsChanged(time.time(), self._learner.pinned))

    def set(self, values: Mapping[str, object]) -> Applied:
        """Brings `values` into force now, and has them measured next.

        Raises:
            UsageError: a value is not legal, or can only do harm, or nothing may be changed; nothing was touched.
            ApplyFailed: they did not come into force.
        """
        self.check_allowed()
        before = self._current()
        wanted = before | {knob: validation.check(knob, value) for knob, value in values.items()}
        names = changed(before, wanted) or tuple(values)
        self._refuse_traps(wanted, changed(before, wanted))
        for knob in names:
            if knob in self._learner.pinned:
                self._pin(knob, wanted[knob])
        applied = self._operations.change(wanted, f"{', '.join(names)} set by the operator")
        self._learner.try_next(wanted)
        return applied

    def _current(self) -> dict[str, Value]:
        return dict(self._operations.in_force or self._learner.default)

    def _pin(self, knob: str, value: Value) -> None:
        self._learner.pin(knob, value)
        self._tell(events.PinsChanged(time.time(), self._learner.pinned))

    def _refuse_traps(self, wanted: Mapping[str, Value], asked: tuple[str, ...]) -> None:
        testbed = self._operations.testbed
        traps.refuse(wanted, asked, testbed.profile, testbed.version, self._guarding.heap_bytes)
