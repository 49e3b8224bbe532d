"""What a person changes directly: checked, no trap, then in force and verified, and measured next."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping

from brokertuner_tui.broker.interface import Applied, ApplyFailed
from brokertuner_tui.errors import TunerError, UsageError
from brokertuner_tui.knobs import validation
from brokertuner_tui.knobs.catalogue import Value, changed
from brokertuner_tui.tuning import commands, events
from brokertuner_tui.tuning.attempts import Retry
from brokertuner_tui.tuning.guard import traps
from brokertuner_tui.tuning.guarding import Guarding
from brokertuner_tui.tuning.learner import Learner
from brokertuner_tui.tuning.operations import Operations, Tell
from brokertuner_tui.tuning.proposals import WAITS, Proposals
from brokertuner_tui.tuning.trials import Trials


class ReadOnly(UsageError):
    """The broker is not to be changed by anybody."""


class ByHand:
    """A person's hands. Used by the session's thread."""

    def __init__(
        self,
        operations: Operations,
        learner: Learner,
        guarding: Guarding,
        trials: Trials,
        proposals: Proposals,
        tell: Tell,
        *,
        read_only: bool,
        pause: Callable[[str], None],
        resume: Callable[[], None],
        retry: Retry,
    ) -> None:
        self._operations, self._learner, self._guarding = operations, learner, guarding
        self._trials, self._proposals = trials, proposals
        self._tell, self._read_only = tell, read_only
        self._pause, self._resume, self._retry = pause, resume, retry

    def obey(self, command: commands.Command) -> None:
        """Does what is asked of broker, load, pins or proposals.

        Raises:
            TunerError: it is refused, or did not work.
        """
        with contextlib.suppress(ApplyFailed):  # told by now
            match command:
                case commands.Pin(knob, value):
                    self.pin(knob, value)
                case commands.Unpin(knob):
                    self.unpin(knob)
                case commands.SetKnob(knob, value):
                    self._set_now({knob: value})
                case commands.SetKnobs(values, reply):
                    answer(reply, lambda: self._set_now(values))
                case commands.RestartBroker(reply):
                    answer(reply, self._restart_broker)
                case commands.RestartLoad():
                    self._operations.restart_load()
                case commands.ApplyBest():
                    self._apply_best()
                case commands.ApplyDefaults():
                    self._go_to(self._learner.default, "the defaults were asked for", "back to the defaults")
                case commands.ApplyProposal(reply):
                    answer(reply, self._apply_proposal)
                case commands.SkipProposal():
                    self._skip_proposal()

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

    def _set_now(self, values: Mapping[str, object]) -> Applied:
        applied = self._retry("not brought into force yet", lambda: self.set(values))
        self._trials.forget()
        return applied

    def _restart_broker(self) -> Applied:
        self.check_allowed()
        return self._operations.restart_broker("restarted by the operator")

    def _apply_proposal(self) -> Applied:
        self.check_allowed()
        applied = self._retry("not brought into force yet", self._proposals.apply)
        self._resume()
        return applied

    def _skip_proposal(self) -> None:
        self._proposals.skip()
        if self._proposals.make(self._trials.done + 1):
            self._pause(WAITS)

    def _apply_best(self) -> None:
        self.check_allowed()
        best = self._learner.best(self._operations.testbed.profile)
        if best is None:
            self._tell(events.Notice(time.time(), "there is no best setting yet: no trial has succeeded", "warning"))
            return
        self._go_to(best.knobs, "the best was asked for", f"the best so far, of trial {best.trial}")

    def _go_to(self, knobs: Mapping[str, Value], asked: str, why: str) -> None:
        """Pauses with what was measured before in force."""
        self.check_allowed()
        self._pause(asked)
        self._trials.forget()
        if self._operations.apply(knobs, why):
            self._guarding.confirm_by_hand()

    def _current(self) -> dict[str, Value]:
        return dict(self._operations.last_in_force or self._learner.default)

    def _pin(self, knob: str, value: Value) -> None:
        self._learner.pin(knob, value)
        self._tell(events.PinsChanged(time.time(), self._learner.pinned))

    def _refuse_traps(self, wanted: Mapping[str, Value], asked: tuple[str, ...]) -> None:
        testbed = self._operations.testbed
        traps.refuse(wanted, asked, testbed.profile, testbed.version, self._guarding.heap_bytes)


def answer(reply: commands.Reply | None, action: Callable[[], Applied]) -> None:
    """Does it, and says what came of it to whoever asked.

    Raises:
        TunerError: it did not work.
    """
    try:
        applied = action()
    except TunerError as error:
        if reply is not None:
            reply(error)
        raise
    if reply is not None:
        reply(applied)
