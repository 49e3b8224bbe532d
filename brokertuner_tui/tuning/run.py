"""One run: the state machine that turns commands and trials into events."""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from brokertuner_tui.broker.drift import is_proposal
from brokertuner_tui.broker.interface import Applied, ApplyFailed, told
from brokertuner_tui.config.settings import TuningSettings
from brokertuner_tui.connection.tracker import ConnectionState, Linked
from brokertuner_tui.env.outcome import Outcome
from brokertuner_tui.errors import ConnectionFailed, DiskFailed, TunerError
from brokertuner_tui.knobs.catalogue import KnobValues, changed
from brokertuner_tui.process.backoff import Care
from brokertuner_tui.tuning import commands, events
from brokertuner_tui.tuning.attempts import attempt
from brokertuner_tui.tuning.by_hand import ByHand, answer
from brokertuner_tui.tuning.confirm import Confirmation
from brokertuner_tui.tuning.drift import DriftCheck
from brokertuner_tui.tuning.ending import Ending
from brokertuner_tui.tuning.events import Left, Level, State
from brokertuner_tui.tuning.guarding import Guarding
from brokertuner_tui.tuning.learner import Learner
from brokertuner_tui.tuning.operations import Operations, Tell
from brokertuner_tui.tuning.proposals import WAITS, Proposals
from brokertuner_tui.tuning.recovery import OrphanWatch
from brokertuner_tui.tuning.trials import Trials

if TYPE_CHECKING:  # importing the store imports SQLAlchemy
    from brokertuner_tui.tuning.recorder import Recorder

T = TypeVar("T")
_IDLE_S = 0.1
_AWAY_S = 0.05
_LIGHT = (commands.Pause, commands.Resume, commands.Step, commands.Pin, commands.Unpin)
"""Commands that touch neither broker nor load: obeyed in the middle of a trial, too."""


class Run:
    """Tunes until the budget is spent or somebody says stop. Used by one thread; commands come through `inbox`."""

    def __init__(
        self,
        tuning: TuningSettings,
        operations: Operations,
        learner: Learner,
        recorder: Recorder,
        guarding: Guarding,
        inbox: queue.SimpleQueue[commands.Command],
        tell: Tell,
        *,
        keep_open: bool,
        done: int = 0,
    ) -> None:
        """`done`: trials that this run had before it was interrupted."""
        self._tuning = tuning
        self._operations = operations
        self._testbed = operations.testbed
        self._learner = learner
        self._recorder = recorder
        self._inbox = inbox
        self._tell = tell
        self._keep_open = keep_open
        self._waiting: list[commands.Command] = []
        """Taken from the inbox in the middle of a trial, to be obeyed after it."""
        self._state = State.STARTING
        self._stop: commands.Stop | None = None
        self._budget = tuning.total_timesteps
        self._started = time.monotonic()
        self._trial_seconds = tuning.step_interval_sec + tuning.settle_sec
        self._checkpointed = done
        self._held = False
        """Paused by us, not by the operator: the store is full, or the broker was stopped."""
        self._waits = False
        """For the next attempt to bring back broker or load."""
        self._failure = ""
        """Why the run ends as failed."""
        self._drift = DriftCheck(self._testbed.broker, tell)
        self._stands_back = False
        """Paused because the broker's config was changed behind our back."""
        self._orphans = OrphanWatch(tell)
        self._applies = tuning.mode != "recommend" and not tuning.read_only
        self._guarding = guarding
        self._proposals = Proposals(operations, learner, guarding, tell)
        self._trials = Trials(
            operations,
            learner,
            recorder,
            guarding,
            self._proposals,
            self._drift,
            tell,
            done=done,
            applies=self._applies,
            interrupted=self._interrupted,
            retry=self._retry,
        )
        self._phase = self._trials.phase
        self._by_hand = ByHand(
            operations,
            learner,
            guarding,
            self._trials,
            self._proposals,
            tell,
            read_only=tuning.read_only,
            pause=lambda reason: self._enter(State.PAUSED, reason),
            resume=self._resume,
            retry=self._retry,
        )
        self._ending = Ending(
            operations,
            learner,
            recorder,
            tuning.confirm_windows,
            tell,
            measure=self._measure,
            interrupted=self._interrupted,
            retry=self._retry,
            guarding=guarding,
        )

    @property
    def confirmation(self) -> Confirmation | None:
        """The last comparison of best and default."""
        return self._ending.confirmation

    @property
    def conf_path(self) -> Path | None:
        """The config to take away, once there is one."""
        return self._ending.conf_path

    def tune(self) -> tuple[State, str, Left]:
        """Runs to the end; gives the last state, the reason for it, and what is left in force on the broker.

        Raises:
            TunerError: the broker does not come up any more, or the store cannot be written.
        """
        self._enter(State.TUNING)
        while self._stop is None:
            self._obey_all()
            self._orphans.poll()
            self._trials.acknowledge()
            if self._stop is not None or (self._drift.look(ask=True) and not self._keep_open):
                break
            self._turn()
        self._enter(State.STOPPING)
        self._trials.acknowledge()
        if self._trials.unkept is not None:
            self._notice(f"trial {self._trials.unkept.trial} was measured and is not kept: there is no room for it", "error")
        if self._checkpointed != self.trials:
            self._checkpoint()
        stop = self._stop or commands.Stop(state="completed")
        if self._drift.look(now=True):
            # Whoever changed it wanted it so: nothing is written, not even the defaults.
            return State.CANCELLED if stop.state == "cancelled" else State.FAILED, told(self._drift.differences), "current"
        if (proposal := self._proposals.waiting) is not None:
            self._ending.keep_proposal(proposal.knobs, proposal.why)
        left, reason = self._ending.leave(self._to_leave(stop))
        return State(stop.state), self._failure or reason, left

    def _to_leave(self, stop: commands.Stop) -> Left:
        """What shall be in force at the end: nobody's change but a person's, where the agent does not apply."""
        if self._tuning.read_only or (stop.leave is None and not self._applies):
            return "current"
        return stop.leave or self._tuning.on_stop

    def _turn(self) -> None:
        """What is to be done now."""
        if self._drift.differences:
            self._stand_back()
        elif self._stands_back:
            self._go_on("the broker's config is as we left it again")
        elif self._state is State.PAUSED:
            self._idle()
        elif self._operations.agent_is_away() and not self._late():
            self._await_agent()
        elif full := self._recorder.why_full:
            self._hold(full, "there is room again")
        elif self._spent():
            self._conclude()
        elif self._is_ready():
            stepping = self._state is State.STEPPING  # a step that is asked for in mid-trial means the next one
            self._trial()
            if stepping and self._state is State.STEPPING:
                self._enter(State.PAUSED, "one trial done")

    def _spent(self) -> bool:
        return self.trials >= self._budget or self._late()

    def _late(self) -> bool:
        """Whether a run that has to end in time has to end now."""
        if self._tuning.max_seconds is None or not (self.trials or self._state is State.PAUSED or self._waits):
            return False  # one trial is always begun, unless nothing lets us
        # What is still to come after this trial, so that the whole run ends in time.
        to_come = (1 + 2 * self._tuning.confirm_windows) * self._trial_seconds if self.trials else 0.0
        return time.monotonic() - self._started + to_come > self._tuning.max_seconds

    def _idle(self) -> None:
        """Paused: the config is left alone; a dead broker is brought back as it was, the load's schedule goes on."""
        try:
            self._waiting.append(self._inbox.get(timeout=_IDLE_S))
        except queue.Empty:
            care = self._operations.look_after()
            if care.up:
                self._operations.follow_schedule()
            elif care is Care.GIVEN_UP:
                self._given_up()
            if (self._held or not self._keep_open) and self._late():
                self._held = False
                self._conclude()
            elif self._held and care.up and not self._recorder.is_full:
                self._resume()

    def _stand_back(self) -> None:
        """The broker's config was changed behind our back: nothing is done until the operator says what counts."""
        if self._proposal_was_applied():
            return
        if self._state is not State.PAUSED:
            self._stands_back = True
            self._enter(State.PAUSED, told(self._drift.differences))
        try:
            self._waiting.append(self._inbox.get(timeout=_IDLE_S))
        except queue.Empty:
            self._operations.follow_schedule()

    def _proposal_was_applied(self) -> bool:
        """Whether a person has done by hand just what was proposed, and the broker has read it: that is an answer, too."""
        waiting, ours = self._proposals.waiting, self._operations.in_force
        if waiting is None or ours is None or not self._drift.is_news():
            return False
        if not is_proposal(self._drift.differences, ours, waiting.knobs) or not self._operations.accept_proposal():
            return False
        self._proposals.applied_by_hand()
        self._drift.look(now=True)
        self._stands_back = False
        self._notice("the proposal was applied by hand", "info")
        self._resume()
        return True

    def _go_on(self, why: str) -> None:
        """The drift is settled: back to work, if that is what was left for it."""
        self._notice(why, "info")
        if self._stands_back:
            self._stands_back = False
            self._resume()

    def _reconcile(self, keep: Literal["ours", "theirs"]) -> Applied:
        if not self._drift.look(ask=True, now=True):
            raise TunerError("the broker's config is as we left it: there is nothing to reconcile")
        if keep == "ours":
            self._by_hand.check_allowed()
        before = dict(self._operations.in_force or self._learner.default)
        applied = self._operations.settle_drift(keep)
        if keep == "theirs":
            for knob in changed(before, applied.knobs):
                if knob in self._learner.pinned:
                    self._by_hand.pin(knob, applied.knobs[knob])
            self._learner.try_next(applied.knobs)
            self._trials.forget()
        if not self._drift.look(now=True):
            self._go_on("ours is in force again" if keep == "ours" else "going on with what somebody else has set")
        return applied

    def _refuse_while_drifted(self) -> None:
        if self._drift.look(now=True):
            raise TunerError(f"{told(self._drift.differences)}; say first which of the two counts (reconcile: ours or theirs)")

    def _is_ready(self) -> bool:
        """Whether broker and load are up; waits a moment for an attempt that is not due yet."""
        care = self._operations.look_after()
        self._waits = care is Care.WAITING
        if self._waits:
            self._listen(_AWAY_S)
        elif care is Care.STOPPED:
            self._hold(self._operations.trouble, "it runs again; restart it here to start it")
        elif care is Care.GIVEN_UP:
            self._given_up()
        return care.up

    def _given_up(self) -> None:
        """Broker or load does not come up: a person has to see to that.

        Raises:
            TunerError: nobody sits here.
        """
        if not self._keep_open:
            raise TunerError(self._operations.trouble)
        if self._state is not State.PAUSED:
            self._held = True  # what somebody brings back is worked with again
            self._enter(State.PAUSED, self._operations.trouble)

    def _listen(self, seconds: float) -> bool:
        """Waits; ends early when there is a command to be obeyed. Whether it was as long as was asked for."""
        deadline = time.monotonic() + seconds
        if self._stop is not None and self._stop.state == "cancelled":
            return False  # whoever wants the end does not want to wait for it
        while not self._is_asked():
            left = deadline - time.monotonic()
            if left <= 0:
                return True
            time.sleep(min(left, _AWAY_S))
        return False

    def _retry(self, what: str, action: Callable[[], T]) -> T:
        """What `action` gives; done again where it fails for a passing reason, unless there is a command to be obeyed."""
        return attempt(action, what, self._operations.patience.task, pause=self._listen, tell=self._notice)

    def _hold(self, reason: str, until: str) -> None:
        """No trial makes sense now: waits until one does, or until the operator decides otherwise."""
        self._held = True
        self._enter(State.PAUSED, reason)
        self._notice(f"paused: {reason}; tuning goes on by itself when {until}", "warning")

    def _await_agent(self) -> None:
        """Nothing is measured and nothing is asked of the broker until its agent can be reached, or somebody says otherwise.

        Raises:
            ConnectionFailed: it was given up, and nobody sits here who could have it tried again.
        """
        while self._operations.agent_is_away() and not self._interrupted() and not self._late():
            connection = self._testbed.connection
            if connection is not None and connection.state is ConnectionState.GIVEN_UP:
                reason = f"the connection was given up after {connection.attempts} attempts: {connection.last_error}"
                if not self._keep_open:
                    raise ConnectionFailed(reason)
                return self._enter(State.PAUSED, reason)
            if self._state is State.PAUSED:
                return None
            time.sleep(_AWAY_S)
        return None

    # -- one trial -----------------------------------------------------------------------------------------------------

    def _trial(self) -> None:
        began = time.perf_counter()
        self._trials.run()
        self._trial_seconds += 0.2 * (time.perf_counter() - began - self._trial_seconds)
        if self.trials % self._tuning.save_freq == 0:
            self._checkpoint()
        if self._guarding.stuck and self._tuning.mode == "guarded":
            self._await_person(self._guarding.stuck)
        elif not self._applies and self._proposals.make(self.trials + 1) and self._keep_open:
            self._enter(State.PAUSED, WAITS)

    def _await_person(self, reason: str) -> None:
        """A person has to decide; where nobody sits here the run ends as failed, with what is in force left there."""
        if self._keep_open:
            self._enter(State.PAUSED, reason)
            self._notice(f"paused: {reason}", "warning")
        else:
            self._stop, self._failure = commands.Stop(leave="current", state="failed"), reason

    @property
    def trials(self) -> int:
        """Trials that are over."""
        return self._trials.done

    def _interrupted(self) -> bool:
        """Takes commands in the middle of a trial; whether one of them, or a drift, needs the trial to end."""
        return self._is_asked() or self._drift.look()

    def _is_asked(self) -> bool:
        """Takes commands; whether one of them waits to be obeyed."""
        while True:
            try:
                command = self._inbox.get_nowait()
            except queue.Empty:
                return bool(self._waiting)
            if isinstance(command, _LIGHT) and not self._waiting:
                self._obey(command)
            else:
                self._waiting.append(command)

    # -- commands ------------------------------------------------------------------------------------------------------

    def _obey_all(self) -> None:
        while self._is_asked():
            self._obey(self._waiting.pop(0))

    def _obey(self, command: commands.Command) -> None:
        try:
            self._carry_out(command)
        except DiskFailed:
            raise
        except TunerError as error:
            self._notice(str(error), "error")

    def _carry_out(self, command: commands.Command) -> None:
        match command:
            case commands.Pause():
                self._held = self._stands_back = False
                if self._state in (State.TUNING, State.STEPPING):
                    self._enter(State.PAUSED, "by the operator")
            case commands.Resume():
                self._refuse_while_drifted()
                self._resume()
            case commands.Step():
                self._refuse_while_drifted()
                self._budget = max(self._budget, self.trials + 1)
                self._enter(State.STEPPING)
            case commands.Reconcile(keep, reply):
                with contextlib.suppress(ApplyFailed):
                    answer(reply, lambda: self._reconcile(keep))
            case commands.Stop():
                self._stop = command
            case _:
                self._by_hand.obey(command)

    def _resume(self) -> None:
        if self._state not in (State.PAUSED, State.STEPPING):
            return
        self._held = False
        self._operations.begin_anew()
        self._guarding.begin_anew()
        if isinstance(self._testbed.broker, Linked):
            self._testbed.broker.retry_connection()
        if self.trials >= self._budget:
            self._budget = self.trials + self._tuning.total_timesteps
        self._enter(State.TUNING)

    # -- the end -------------------------------------------------------------------------------------------------------

    def _conclude(self) -> None:
        """The budget is spent: confirms the best against the default; ends, or waits for the operator."""
        self._checkpoint()
        if self._applies:
            self._enter(State.CONFIRMING)
            self._ending.confirm()
        if self._drift.look(now=True):
            return  # to be settled first; then it is concluded again
        if self._keep_open:
            if not self._waiting and self._applies:
                self._ending.leave(self._tuning.on_stop)
            self._enter(State.PAUSED, f"{self.trials} trials done; resume for {self._tuning.total_timesteps} more")
        elif not self._waiting:
            self._stop = commands.Stop(state="completed")

    def _measure(self, knobs: KnobValues) -> Outcome:
        self._await_agent()
        while (care := self._operations.look_after()) is Care.WAITING and self._listen(_AWAY_S) and not self._late():
            pass
        if care is Care.GIVEN_UP and not self._keep_open:
            raise TunerError(self._operations.trouble)
        with self._guarding.counting():
            outcome = self._testbed.trial(knobs, on_phase=self._phase, interrupted=self._interrupted)
        return self._trials.undisturbed(outcome)

    def _checkpoint(self) -> None:
        try:
            self._retry("the agent was not saved", lambda: self._recorder.agent(self._learner.agent, self.trials))
            self._checkpointed = self.trials
        except DiskFailed:
            raise  # never to be tried again
        except (TunerError, OSError) as error:
            self._notice(f"the agent was not saved: {error}", "error")

    # -- telling -------------------------------------------------------------------------------------------------------

    def _enter(self, state: State, reason: str = "") -> None:
        if state is not self._state:
            self._state = state
            self._recorder.state(state, reason)
            self._tell(events.StateChanged(time.time(), state, reason))

    def _notice(self, message: str, level: Level) -> None:
        self._tell(events.Notice(time.time(), message, level))
