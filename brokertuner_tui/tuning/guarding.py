"""The session's side of the guard: what is known to be good, what is put back at once, and when a person has to decide."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from brokertuner_tui.env.outcome import Outcome, Verdict
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import KnobValues, Value, needs_restart
from brokertuner_tui.telemetry.sample import Sample
from brokertuner_tui.tuning import events
from brokertuner_tui.tuning.events import SloVerdict
from brokertuner_tui.tuning.guard.restarts import Allowance, RestartBudget
from brokertuner_tui.tuning.guard.slo import Judgement, SloGuard
from brokertuner_tui.tuning.guard.traps import heap_in_use
from brokertuner_tui.tuning.operations import Operations, Tell


class Guarding:
    """Confirms what has proven itself, and rolls back what has not. Used by the session's thread.

    Args:
        baseline: what to go back to where even the last known good does not come into force any more.
        limit: after so many windows in a row that nothing can be said of, a person has to decide; None: never.
    """

    def __init__(
        self,
        slo: SloGuard,
        budget: RestartBudget,
        operations: Operations,
        tell: Tell,
        *,
        baseline: Callable[[], KnobValues],
        limit: int | None,
    ) -> None:
        self._slo, self._budget, self._operations, self._tell = slo, budget, operations, tell
        self._baseline, self._limit = baseline, limit
        self.good: dict[str, Value] = dict(operations.in_force or baseline())
        """What was confirmed last; the baseline at the start."""
        self.stuck = ""
        """Why a person has to decide; empty: nobody has to."""
        self._broken: dict[str, list[dict[str, Value]]] = {}
        """Settings that missed the SLO when they were measured last, by profile."""
        self._unsure = 0
        self._was_told = False
        self._allowance: Allowance | None = None

    # -- judging a trial -----------------------------------------------------------------------------------------------

    def judge(self, number: int, outcome: Outcome, over_s: float) -> Judgement:
        """What a trial means for the broker; if it broke the SLO, or failed, the last known good is back when this returns.

        Args:
            over_s: when its window was over (time.monotonic()), or the trial given up.
        """
        judgement = self._slo.judge(outcome, good=self.good)
        if outcome.verdict is Verdict.FAILED:
            # Not what is judged: the broker did not take it, or died of it.
            judgement = Judgement(SloVerdict.FAIL, judgement.reasons, judgement.in_a_row)
        self._remember(outcome, judgement)
        back = judgement.breach or outcome.verdict is Verdict.FAILED or outcome.cut_short
        self._tell_judged(number, judgement, back)
        if back:
            self._roll_back(outcome, judgement, over_s)
        elif outcome.verdict is Verdict.OK and (judgement.verdict is SloVerdict.PASS or dict(outcome.knobs) == self.good):
            self._confirm(outcome)
        self._count_unsure(judgement)
        return judgement

    def floor(self, profile: str, floor: float | None, knobs: KnobValues) -> float | None:
        """The share in time below which live traffic is not made to suffer any longer; `floor` is what caution says."""
        limit = self._slo.floor(profile) if dict(knobs) != self.good else None
        known = [value for value in (floor, limit) if value is not None]
        return max(known) if known else None

    def early(self, knobs: KnobValues, profile: str) -> Callable[[Sample | None, float], str] | None:
        """What tells why a window need not be finished; None: every one is."""
        if not self._slo.active or dict(knobs) == self.good:
            return None
        return lambda sample, share: self._slo.early(sample, share, profile)

    def wants_good(self, profile: str) -> bool:
        """Whether the last known good should be measured, since others are compared with it."""
        return self._slo.active and not self._slo.knows_good(profile)

    def broken(self, profile: str) -> list[dict[str, Value]]:
        """Settings that missed the SLO when they were measured last."""
        return self._broken.get(profile, [])

    def has_broken(self, profile: str, knobs: KnobValues) -> bool:
        """Whether `knobs` missed the SLO when they were measured last."""
        return dict(knobs) in self.broken(profile)

    def why_not_to(self, knobs: KnobValues) -> str:
        """Why `knobs` must not be brought into force for good; empty: they may be."""
        in_force = self._operations.in_force
        if self.has_broken(self._operations.testbed.profile.name, knobs) and dict(knobs) != self.good:
            return "the setting that was to be left broke the SLO"
        if in_force is None or not needs_restart(in_force, knobs) or self._budget.allows():
            return ""
        return f"what was to be left needs a restart, and {self._budget.allowance().why}"

    def keep_current(self) -> str:
        """Sees to it that what is in force may stay; says so if it was put back to the last known good."""
        in_force = self._operations.in_force
        if self._slo.active and in_force is not None and dict(in_force) != self.good:
            with self.counting():
                back = self._operations.apply(self.good, "back to the last known good: the last one was not confirmed")
            return "the last known good is in force: what was tried last was not confirmed" if back else ""
        self.confirm_by_hand()
        return ""

    def confirm_by_hand(self) -> None:
        """What is in force was asked for: the next start does not roll it back."""
        try:
            self._operations.confirm()
        except TunerError as error:
            self._tell(events.Notice(time.time(), f"the last known good is not noted: {error}", "warning"))

    def recall(self, trials: Iterable[tuple[Outcome, bool]], restarts: Iterable[float]) -> None:
        """What an earlier life of this run has shown: a run that goes on does not try again what broke the SLO.

        Args:
            trials: in order, and whether each broke the SLO.
            restarts: when the broker was restarted, seconds since the epoch.
        """
        for outcome, broke in trials:
            if outcome.verdict is Verdict.OK:
                self._remember(outcome, Judgement(SloVerdict.FAIL if broke else SloVerdict.PASS))
        self._budget.recall(restarts)

    def begin_anew(self) -> None:
        """A person has decided."""
        self.stuck, self._unsure = "", 0

    @property
    def heap_bytes(self) -> int:
        """What the broker's heap holds now; 0: not known."""
        return heap_in_use(self._operations.testbed.sampler.latest())

    # -- restarts ------------------------------------------------------------------------------------------------------

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Restarts of the broker in here count as the agent's."""
        before = self._operations.broker_restarts
        try:
            yield
        finally:
            self._budget.note(max(0, self._operations.broker_restarts - before))
            self.tell_restarts()

    def may_restart(self, times: int = 1) -> bool:
        """Whether the agent may cause so many restarts now."""
        return self._budget.allows(times)

    def hold(self) -> KnobValues | None:
        """What is in force, while the agent must not restart the broker; None: it may."""
        self.tell_restarts()
        return None if self._budget.allows() else self._operations.in_force or self.good

    def why_no_restart(self) -> str:
        """The reason; empty: it may be restarted."""
        return self._budget.allowance().why

    def tell_restarts(self) -> None:
        """Says how many restarts are left, where that has changed."""
        now = self._budget.allowance()
        if not self._budget.limited or (self._allowance is not None and _same(self._allowance, now)):
            return
        self._allowance = now
        self._tell(events.RestartsLeft(time.time(), now.left, now.until, now.why))

    # -- inside --------------------------------------------------------------------------------------------------------

    def _confirm(self, outcome: Outcome) -> None:
        if dict(outcome.knobs) != self.good:
            self.good = dict(outcome.knobs)
            self._slo.new_good(outcome)
        self.confirm_by_hand()

    def _remember(self, outcome: Outcome, judgement: Judgement) -> None:
        known, knobs = self._broken.setdefault(outcome.profile.name, []), dict(outcome.knobs)
        if outcome.verdict is not Verdict.OK or judgement.verdict is SloVerdict.INCONCLUSIVE:
            return
        if judgement.verdict is SloVerdict.PASS:
            if knobs in known:
                known.remove(knobs)
        elif knobs not in known:
            known.append(knobs)

    def _roll_back(self, outcome: Outcome, judgement: Judgement, over_s: float) -> None:
        why = judgement.reasons[0] if judgement.reasons else outcome.reason
        what = "a failed trial" if outcome.verdict is Verdict.FAILED else why
        with self.counting():
            back = self._operations.apply(self.good, f"rolled back to the last known good after {what}")
            if not back and self.good != dict(self._baseline()):
                back = self._operations.apply(self._baseline(), "back to the defaults: the last known good is none any more")
        if judgement.breach or outcome.cut_short:
            took = f"{time.monotonic() - over_s:.2f} s after the window"
            how = f"the last known good is back and verified {took}" if back else "and the last known good did not come back"
            self._tell(events.Notice(time.time(), f"the SLO was broken ({why}): {how}", "warning" if back else "error"))

    def _tell_judged(self, number: int, judgement: Judgement, rolled_back: bool) -> None:
        if not self._slo.active or (judgement.verdict is SloVerdict.PASS and not self._was_told):
            return
        self._was_told = judgement.verdict is not SloVerdict.PASS
        reasons, in_a_row = judgement.reasons, judgement.in_a_row
        self._tell(events.Judged(time.time(), number, judgement.verdict, reasons, in_a_row, rolled_back))

    def _count_unsure(self, judgement: Judgement) -> None:
        unsure = judgement.verdict is SloVerdict.INCONCLUSIVE and self._slo.active and not judgement.again
        self._unsure = self._unsure + 1 if unsure else 0
        if self._limit is None or self._unsure < self._limit:
            return
        why = judgement.reasons[0] if judgement.reasons else "nothing could be measured"
        self.stuck = f"whether the broker keeps its SLO cannot be told, {self._unsure} times in a row: {why}"
        if dict(self._operations.in_force or {}) != self.good:
            with self.counting():
                self._operations.apply(self.good, "back to the last known good: nothing can be said of what was tried")


def _same(one: Allowance, other: Allowance) -> bool:
    """Whether there is nothing new in it; a time that is reckoned again differs by a little."""
    if (one.left, one.until is None) != (other.left, other.until is None):
        return False
    return one.until is None or other.until is None or one.until == other.until or abs(one.until - other.until) < 1
