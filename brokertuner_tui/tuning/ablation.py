"""Measures what each knob of the best setting is worth: `insight/ablation.py` says why, `insight/weighing.py` what it says."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from brokertuner_tui.env.outcome import Outcome
from brokertuner_tui.insight.ablation import BEST, SIMPLEST, Ablation, AblationWindow
from brokertuner_tui.insight.still import inert_under
from brokertuner_tui.insight.weighing import weigh
from brokertuner_tui.knobs.catalogue import NAMES, KnobValues, Value, changed, needs_restart
from brokertuner_tui.tuning import events
from brokertuner_tui.tuning.confirm import measured
from brokertuner_tui.tuning.guarding import Guarding
from brokertuner_tui.tuning.incumbents import Incumbent
from brokertuner_tui.tuning.learner import Learner
from brokertuner_tui.tuning.operations import Operations, Tell

_TO_THE_SIMPLEST = 2
"""The simpler setting is measured so many times as often as a knob: more depends on it."""


@dataclass(slots=True)
class _Ablating:
    """What is known while it goes on."""

    best: Incumbent
    default: KnobValues
    profile: str
    measure: Callable[[KnobValues], Outcome]
    interrupted: Callable[[], bool]
    broke: Callable[[KnobValues], bool]
    windows: list[AblationWindow] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    dropped: tuple[str, ...] = ()
    over: bool = False
    """Whether nothing more can be measured."""

    def without(self, *names: str) -> dict[str, Value]:
        """The best setting, with knobs set back."""
        return {**self.best.knobs, **{name: self.default[name] for name in names}}

    def window(self, turn: int, of: str) -> None:
        """Measures one; what cannot be measured, or breaks the SLO, is left out from then on."""
        knobs = self.without(*(() if of == BEST else self.dropped if of == SIMPLEST else (of,)))
        if of != BEST and self.broke(knobs):
            return self._leave_out(of, "breaks the SLO without it", broke=True)
        outcome = measured(knobs, self.measure, self.interrupted)
        if outcome is None or outcome.window is None:
            if of == BEST or self.interrupted():
                self.over = True
            return self._leave_out(of, "it could not be measured without it")
        if outcome.profile.name != self.profile:
            self.over = True  # the load is another one now
            return None
        self.windows.append(AblationWindow(turn, of, outcome.window))
        if self.broke(knobs):
            self.over = self.over or of == BEST
            return self._leave_out(of, "breaks the SLO without it", broke=True)
        return None

    def _leave_out(self, of: str, why: str, *, broke: bool = False) -> None:
        if of == SIMPLEST:
            self.dropped = ()
        elif of != BEST and not self.over:
            self.left_out[of] = why
            self.broken += [of] * broke

    def forget(self, turn: int) -> None:
        """A turn that was not finished says nothing."""
        self.windows = [window for window in self.windows if window.turn != turn]

    def found(self, at: float) -> Ablation:
        """What came of it."""
        return Ablation(
            at,
            self.profile,
            self.best.trial,
            dict(self.best.knobs),
            dict(self.default),
            tuple(self.windows),
            dict(self.left_out),
            tuple(self.broken),
            self.dropped,
        )


def ablate(
    best: Incumbent,
    default: KnobValues,
    knobs: Sequence[str],
    turns: int,
    profile: str,
    *,
    idle: Sequence[str],
    left_out: dict[str, str],
    measure: Callable[[KnobValues], Outcome],
    interrupted: Callable[[], bool],
    broke: Callable[[KnobValues], bool],
    progress: Callable[[int, int], None],
) -> Ablation | None:
    """Measures the best setting, and it without each knob, `turns` times in turns; then, if some of the knobs show no worth,
    the best without any of them. None: not one turn was finished.

    The order within a turn is drawn, so that no setting always follows the same one.

    Args:
        knobs: which ones are set back.
        profile: the load's; windows under another one end it.
        idle: knobs that the best changes and that cannot matter: the simplest setting does without them.
        left_out: knobs that are not, and why.
        broke: whether a setting broke the SLO when it was measured last.
    """
    state = _Ablating(best, default, profile, measure, interrupted, broke, left_out=dict(left_out))
    order = random.Random(best.trial)
    for turn in range(1, turns + 1):
        these = [BEST, *(name for name in knobs if name not in state.left_out)]
        order.shuffle(these)
        _measure_turn(state, turn, these, turns * (1 + len(knobs)), progress)
        if state.over:
            return state.found(time.time()) if state.windows else None
    weighed = weigh(state.found(time.time()))
    if weighed is None:
        return None
    worthless = [name for name, worth in weighed.knobs.items() if not worth.matters and name not in state.broken]
    state.dropped = tuple(name for name in NAMES if name in worthless or name in idle)
    if state.dropped == tuple(worthless[:1]):
        return state.found(time.time())  # the best without one knob has been measured
    for turn in range(turns + 1, turns + 1 + _TO_THE_SIMPLEST * turns):
        if not state.dropped or state.over:
            break
        these = [BEST, SIMPLEST] if turn % 2 else [SIMPLEST, BEST]
        _measure_turn(state, turn, these, len(state.windows) + 2 * (turns + _TO_THE_SIMPLEST * turns + 1 - turn), progress)
    return state.found(time.time())


def _measure_turn(state: _Ablating, turn: int, these: Sequence[str], total: int, progress: Callable[[int, int], None]) -> None:
    for of in these:
        state.window(turn, of)
        if state.over:
            return state.forget(turn)
        progress(len(state.windows), max(total, len(state.windows)))
    return None


class Ablator:
    """Decides which knobs of the best are set back, and has it measured. Used by the session's thread.

    Args:
        turns: how often each is measured; 0: none is.
        measure: one window with these knobs in force, judged.
        interrupted: whether somebody wants something else, or there is no more time.
    """

    def __init__(
        self,
        operations: Operations,
        learner: Learner,
        guarding: Guarding,
        turns: int,
        tell: Tell,
        *,
        measure: Callable[[KnobValues], Outcome],
        interrupted: Callable[[], bool],
    ) -> None:
        self._operations, self._learner, self._guarding = operations, learner, guarding
        self._turns, self._tell = turns, tell
        self._measure, self._interrupted = measure, interrupted

    def ablate(self, best: Incumbent, confirmed: events.Confirmed) -> Ablation | None:
        """What each knob of `best`, which was `confirmed`, is worth; None: nothing was measured."""
        profile, default = self._operations.testbed.profile, self._learner.default
        changes, persists, is_live = changed(default, best.knobs), bool(best.knobs["persistence"]), confirmed.best.in_percent
        idle = [name for name in changes if inert_under(profile, name, persists=persists, in_percent=is_live)]
        knobs = [name for name in changes if name not in idle]
        if not self._turns or not knobs:
            return None
        restarting = [name for name in knobs if needs_restart(best.knobs, {**best.knobs, name: default[name]})]
        # In every turn it goes there and back, at most before every window; then so may the simplest, and what is left.
        in_a_turn = min(2 * len(restarting), 1 + len(knobs))
        restarts = self._turns * in_a_turn + (2 * _TO_THE_SIMPLEST * self._turns + 2) * bool(restarting)
        left_out = {}
        if restarting and not self._guarding.may_restart(restarts):
            left_out = dict.fromkeys(restarting, f"it takes {restarts} restarts, and there are not as many left")
        knobs = [name for name in knobs if name not in left_out]
        self._tell(events.Notice(time.time(), _said(knobs, left_out)))
        if not knobs:
            return None
        return ablate(
            best,
            default,
            knobs,
            self._turns,
            confirmed.profile,
            idle=idle,
            left_out=left_out,
            measure=self._measure,
            interrupted=self._interrupted,
            broke=lambda knobs: self._guarding.has_broken(confirmed.profile, knobs),
            progress=lambda done, total: self._tell(events.ConfirmStep(time.time(), done, total, "knobs")),
        )


def _said(knobs: Sequence[str], left_out: dict[str, str]) -> str:
    """What is going to be measured, and what not."""
    why = f"{', '.join(left_out)}: {next(iter(left_out.values()))}" if left_out else ""
    if not knobs:
        return f"what the knobs of the best setting are worth is not measured: {why}"
    what = knobs[0] if len(knobs) == 1 else f"each of {len(knobs)} knobs"
    told = f"what {what} of the best setting is worth is measured: the best without it, in turns"
    return f"{told}; not {why}" if why else told
