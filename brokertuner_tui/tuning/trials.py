"""One trial after another: chosen, measured, judged, learned from, kept, told."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from brokertuner_tui.broker.interface import told
from brokertuner_tui.env.outcome import Outcome, PhaseName, Verdict
from brokertuner_tui.knobs import codec
from brokertuner_tui.knobs.catalogue import KnobValues, changed
from brokertuner_tui.tuning import events
from brokertuner_tui.tuning.attempts import Retry
from brokertuner_tui.tuning.drift import DriftCheck
from brokertuner_tui.tuning.guard.slo import Judgement
from brokertuner_tui.tuning.guarding import Guarding
from brokertuner_tui.tuning.learner import Choice, Learner
from brokertuner_tui.tuning.operations import Operations, Tell
from brokertuner_tui.tuning.proposals import Proposals
from brokertuner_tui.tuning.windows import Windows

if TYPE_CHECKING:  # importing the store imports SQLAlchemy
    from brokertuner_tui.tuning.recorder import Recorder


class Trials:
    """Runs trials. Used by the session's thread.

    Args:
        windows: what earlier trials have shown, for the length of the next ones.
        applies: whether the agent brings its proposals into force itself; else what is in force is measured.
        interrupted: takes commands; whether one of them needs the trial to end.
    """

    def __init__(
        self,
        operations: Operations,
        learner: Learner,
        recorder: Recorder,
        guarding: Guarding,
        proposals: Proposals,
        drift: DriftCheck,
        tell: Tell,
        *,
        done: int,
        windows: Windows,
        applies: bool,
        interrupted: Callable[[], bool],
        retry: Retry,
    ) -> None:
        self._operations, self._learner, self._recorder = operations, learner, recorder
        self._testbed = operations.testbed
        self._guarding, self._proposals, self._tell = guarding, proposals, tell
        self._drift, self._applies, self._interrupted, self._retry = drift, applies, interrupted, retry
        self._windows = windows
        self.done = done
        """Trials that are over."""
        self.unkept: events.TrialFinished | None = None
        """Measured, and not durable yet: the store has no room; it is told when it is."""
        self._again: Choice | None = None
        self._wants_good = False
        self._remarked: set[str] = set()

    def run(self) -> None:
        """The next one."""
        number = self.done + 1
        self._operations.follow_schedule()
        self._operations.check_load(number)
        self.phase(PhaseName.PROPOSING)
        started = time.perf_counter()
        choice = self._choose()
        propose_s = time.perf_counter() - started
        before = self._operations.in_force or choice.knobs
        outcome, over_s = self._measured(choice)
        outcome = replace(outcome, timings=replace(outcome.timings, propose_s=propose_s))
        judgement = self._judged(number, choice, outcome, over_s)
        self._tell_remarks(outcome)
        self._learn_and_record(number, choice, outcome, before, broke=judgement.breach)
        self.done = number  # until here, phases belong to it as the one that is under way

    def phase(self, phase: PhaseName, seconds: float = 0.0) -> None:
        """Tells what the trial that is under way does."""
        self._tell(events.PhaseChanged(time.time(), self.done + 1, phase, seconds))

    def acknowledge(self) -> None:
        """Tells of a trial for which there was no room, once there was."""
        if self.unkept is not None and self._recorder.retry():
            self._tell(self.unkept)
            self.unkept = None

    def forget(self) -> None:
        """Something else was brought into force: what was to be measured once more is not."""
        self._again, self._wants_good = None, False
        self._proposals.drop()

    # -- inside --------------------------------------------------------------------------------------------------------

    def _choose(self) -> Choice:
        profile, pinned = self._testbed.profile, self._learner.pinned
        again, self._again = self._again, None
        wants_good, self._wants_good = self._wants_good, False
        in_force = self._operations.in_force or self._guarding.good
        if again is not None and all(again.knobs[name] == value for name, value in pinned.items()):
            return again
        if (applied := self._proposals.take()) is not None:
            return applied
        if wants_good and self._guarding.wants_good(profile.name):
            return self._learner.watch(profile, in_force)
        if not self._applies:
            return self._learner.watch(profile, in_force)
        guarding = self._guarding
        broke = guarding.broken(profile.name)
        return self._learner.choose(profile, hold=guarding.hold(), heap_bytes=guarding.heap_bytes, broke=broke)

    def _measured(self, choice: Choice) -> tuple[Outcome, float]:
        """What came of it, and when its window was over (time.monotonic())."""
        name = self._testbed.profile.name
        best = self._learner.best(self._testbed.profile)
        floor = self._guarding.floor(name, self._learner.floor(choice, self._testbed.profile), choice.knobs)
        with self._guarding.counting():
            outcome = self._testbed.trial(
                choice.knobs,
                on_phase=self.phase,
                interrupted=self._interrupted,
                floor=floor,
                early=self._guarding.early(choice.knobs, name),
                best=self._windows.against(choice.kind, name, best.knobs if best is not None else None),
            )
        over_s = time.monotonic()
        outcome = self.undisturbed(outcome)
        if not self._drift.differences:
            self._operations.revive_broker(outcome.reason)
        return self._excused(outcome), over_s

    def _judged(self, number: int, choice: Choice, outcome: Outcome, over_s: float) -> Judgement:
        if outcome.verdict is Verdict.INCONCLUSIVE and self._interrupted():
            return Judgement(events.SloVerdict.INCONCLUSIVE)  # somebody wanted something else: that says nothing
        if self._drift.differences:
            return Judgement(events.SloVerdict.INCONCLUSIVE)  # and nothing is put back over what they did
        judgement = self._guarding.judge(number, outcome, over_s)
        if judgement.again:
            self._again = choice
        self._wants_good = judgement.breach
        return judgement

    def undisturbed(self, outcome: Outcome) -> Outcome:
        """What was measured while somebody else changed the config says nothing about our knobs."""
        if not self._drift.look(now=True):
            return outcome
        return replace(outcome, verdict=Verdict.INCONCLUSIVE, reason=told(self._drift.differences))

    def _excused(self, outcome: Outcome) -> Outcome:
        """A broker whose config found no room on the disk has not refused it: that says nothing about the knobs."""
        if outcome.verdict is not Verdict.FAILED or not (full := self._recorder.why_full):
            return outcome
        return replace(outcome, verdict=Verdict.INCONCLUSIVE, reason=f"{full}: {outcome.reason}")

    def _learn_and_record(self, number: int, choice: Choice, outcome: Outcome, before: KnobValues, *, broke: bool) -> None:
        self.phase(PhaseName.LEARNING)
        lesson = self._learner.learn(number, choice, outcome, broke=broke)
        if choice.kind is events.TrialKind.DEFAULT and (drift := self._windows.drift(outcome)):
            self._tell(events.Notice(time.time(), drift, "warning"))
        self._windows.take_in(outcome)
        best = self._learner.best(outcome.profile)
        event = events.TrialFinished(
            time.time(),
            trial=number,
            kind=choice.kind,
            outcome=replace(outcome, timings=replace(outcome.timings, learn_s=lesson.learn_s)),
            reward=lesson.reward,
            reward_terms=lesson.terms,
            action=tuple(float(number) for number in codec.encode(outcome.knobs)),
            observation=lesson.observation,
            next_observation=lesson.next_observation,
            agent=self._learner.agent_state(choice),
            changed=changed(before, outcome.knobs),
            is_best=lesson.is_best,
            best_trial=best.trial if best else None,
        )
        self.phase(PhaseName.RECORDING)
        started = time.perf_counter()
        restarts = self._operations.broker_restarts, self._operations.load_restarts
        kept = self._retry(f"trial {number} is not kept yet", lambda: self._recorder.trial(event, *restarts))
        timings = replace(event.outcome.timings, record_s=time.perf_counter() - started)
        event = replace(event, outcome=replace(event.outcome, timings=timings))
        if kept:
            self._tell(event)
        else:
            self.unkept = event

    def _tell_remarks(self, outcome: Outcome) -> None:
        """Says once what the figures of live traffic cannot show."""
        live = outcome.window.live if outcome.window is not None else None
        for remark in live.remarks if live is not None else ():
            kind = re.sub(r"[\d.,e+-]+", "", remark)  # the same with other numbers is not news
            if kind not in self._remarked:
                self._remarked.add(kind)
                self._tell(events.Notice(time.time(), remark, "info"))
