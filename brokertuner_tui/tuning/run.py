"""One run: the state machine that turns commands and trials into events."""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from brokertuner_tui.broker.interface import ApplyFailed, told
from brokertuner_tui.config.settings import TuningSettings
from brokertuner_tui.connection.tracker import Linked
from brokertuner_tui.env.outcome import Outcome
from brokertuner_tui.errors import DiskFailed, TunerError
from brokertuner_tui.knobs.catalogue import KnobValues
from brokertuner_tui.process.backoff import Care
from brokertuner_tui.process.memory import give_back
from brokertuner_tui.tuning import commands, events
from brokertuner_tui.tuning.attempts import attempt
from brokertuner_tui.tuning.by_hand import ByHand, answer
from brokertuner_tui.tuning.confirm import Confirmation
from brokertuner_tui.tuning.current_state import CurrentState
from brokertuner_tui.tuning.drift import DriftCheck
from brokertuner_tui.tuning.ending import Ending
from brokertuner_tui.tuning.events import Left, Level, State
from brokertuner_tui.tuning.guarding import Guarding
from brokertuner_tui.tuning.inbox import Inbox
from brokertuner_tui.tuning.learner import Learner
from brokertuner_tui.tuning.operations import Operations, Tell
from brokertuner_tui.tuning.proposals import WAITS, Proposals
from brokertuner_tui.tuning.readiness import Readiness
from brokertuner_tui.tuning.recovery import OrphanWatch
from brokertuner_tui.tuning.standing_back import StandingBack
from brokertuner_tui.tuning.trials import Trials
from brokertuner_tui.tuning.windows import Windows

if TYPE_CHECKING:  # importing the store imports SQLAlchemy
    from brokertuner_tui.tuning.recorder import Recorder

T = TypeVar("T")
_TRIALS_TO_A_TRIM = 20
_IDLE_S = 0.1


class Run:
    """Tunes until the budget is spent or somebody says stop. Used by one thread; commands come through `inbox`."""

    def __init__(
        self,
        tuning: TuningSettings,
        operations: Operations,
        learner: Learner,
        recorder: Recorder,
        guarding: Guarding,
        windows: Windows,
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
        self._inbox = Inbox(inbox, self._obey)
        self._tell = tell
        self._keep_open = keep_open
        self._state = CurrentState(recorder, tell)
        self._stop: commands.Stop | None = None
        self._budget = tuning.total_timesteps
        self._started = time.monotonic()
        self._trial_seconds = tuning.step_interval_sec + tuning.settle_sec
        self._checkpointed = done
        self._failure = ""
        """Why the run ends as failed."""
        self._drift = DriftCheck(self._testbed.broker, tell)
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
            windows=windows,
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
            pause=self._state.pause,
            resume=self._resume,
            retry=self._retry,
        )
        self._standing_back = StandingBack(
            self._drift,
            operations,
            learner,
            self._trials,
            self._proposals,
            self._by_hand,
            self._inbox,
            self._state,
            tell,
            resume=self._resume,
        )
        self._readiness = Readiness(
            operations,
            self._state,
            tell,
            keep_open=keep_open,
            listen=self._listen,
            interrupted=self._interrupted,
            late=self._late,
        )
        self._ending = Ending(
            operations,
            learner,
            recorder,
            tuning.confirm_windows,
            tuning.ablation_windows,
            tell,
            measure=self._measure,
            interrupted=self._interrupted,
            late=lambda: self._is_over(self._trial_seconds),
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
        self._state.enter(State.TUNING)
        while self._stop is None:
            self._inbox.obey_all()
            self._orphans.poll()
            self._trials.acknowledge()
            if self._stop is not None or (self._drift.look(ask=True) and not self._keep_open):
                break
            self._turn()
        self._state.enter(State.STOPPING)
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
            self._standing_back.wait()
        elif self._standing_back.stands_back:
            self._standing_back.go_on("the broker's config is as we left it again")
        elif self._state.is_paused:
            self._idle()
        elif self._operations.agent_is_away() and not self._late():
            self._readiness.await_agent()
        elif full := self._recorder.why_full:
            self._readiness.hold(full, "there is room again")
        elif self._spent():
            self._conclude()
        elif self._readiness.is_ready():
            stepping = self._state.now is State.STEPPING  # a step that is asked for in mid-trial means the next one
            self._trial()
            if stepping and self._state.now is State.STEPPING:
                self._state.pause("one trial done")

    def _spent(self) -> bool:
        return self.trials >= self._budget or self._late()

    def _late(self) -> bool:
        """Whether a run that has to end in time has to end now."""
        if self._tuning.max_seconds is None or not (self.trials or self._state.is_paused or self._readiness.waits):
            return False  # one trial is always begun, unless nothing lets us
        # What is still to come after this trial, so that the whole run ends in time.
        return self._is_over((1 + 2 * self._tuning.confirm_windows) * self._trial_seconds if self.trials else 0.0)

    def _is_over(self, to_come: float) -> bool:
        """Whether the run's time does not last for so many seconds more."""
        limit = self._tuning.max_seconds
        return limit is not None and time.monotonic() - self._started + to_come > limit

    def _idle(self) -> None:
        """Paused: the config is left alone; a dead broker is brought back as it was, the load's schedule goes on."""
        if not self._inbox.idle(_IDLE_S):
            return
        care = self._operations.look_after()
        if care.up:
            self._operations.follow_schedule()
        elif care is Care.GIVEN_UP:
            self._readiness.given_up()
        held = self._readiness.held
        if (held or not self._keep_open) and self._late():
            self._readiness.held = False
            self._conclude()
        elif held and care.up and not self._recorder.is_full:
            self._resume()

    def _listen(self, seconds: float) -> bool:
        """Waits; ends early when there is a command to be obeyed. Whether it was as long as was asked for."""
        if self._stop is not None and self._stop.state == "cancelled":
            return False  # whoever wants the end does not want to wait for it
        return self._inbox.listen(seconds)

    def _retry(self, what: str, action: Callable[[], T]) -> T:
        """What `action` gives; done again where it fails for a passing reason, unless there is a command to be obeyed."""
        return attempt(action, what, self._operations.patience.task, pause=self._listen, tell=self._notice)

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
            self._state.pause(WAITS)

    def _await_person(self, reason: str) -> None:
        """A person has to decide; where nobody sits here the run ends as failed, with what is in force left there."""
        if self._keep_open:
            self._state.pause(reason)
            self._notice(f"paused: {reason}", "warning")
        else:
            self._stop, self._failure = commands.Stop(leave="current", state="failed"), reason

    @property
    def trials(self) -> int:
        """Trials that are over."""
        return self._trials.done

    def _interrupted(self) -> bool:
        """Takes commands in the middle of a trial; whether one of them, or a drift, needs the trial to end."""
        return self._inbox.is_asked() or self._drift.look()

    # -- commands ------------------------------------------------------------------------------------------------------

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
                self._readiness.held = self._standing_back.stands_back = False
                if self._state.now in (State.TUNING, State.STEPPING):
                    self._state.pause("by the operator")
            case commands.Resume():
                self._standing_back.refuse_while_drifted()
                self._resume()
            case commands.Step():
                self._standing_back.refuse_while_drifted()
                self._budget = max(self._budget, self.trials + 1)
                self._state.enter(State.STEPPING)
            case commands.Reconcile(keep, reply):
                with contextlib.suppress(ApplyFailed):
                    answer(reply, lambda: self._standing_back.reconcile(keep))
            case commands.Stop():
                self._stop = command
            case _:
                self._by_hand.obey(command)

    def _resume(self) -> None:
        if self._state.now not in (State.PAUSED, State.STEPPING):
            return
        self._readiness.held = False
        self._operations.begin_anew()
        self._guarding.begin_anew()
        if isinstance(self._testbed.broker, Linked):
            self._testbed.broker.retry_connection()
        if self.trials >= self._budget:
            self._budget = self.trials + self._tuning.total_timesteps
        self._state.enter(State.TUNING)

    # -- the end -------------------------------------------------------------------------------------------------------

    def _conclude(self) -> None:
        """The budget is spent: confirms the best against the default; ends, or waits for the operator."""
        self._checkpoint()
        if self._applies:
            self._state.enter(State.CONFIRMING)
            self._ending.confirm()
        if self._drift.look(now=True):
            return  # to be settled first; then it is concluded again
        if self._keep_open:
            if self._inbox.is_empty and self._applies:
                self._ending.leave(self._tuning.on_stop)
            self._state.pause(f"{self.trials} trials done; resume for {self._tuning.total_timesteps} more")
        elif self._inbox.is_empty:
            self._stop = commands.Stop(state="completed")

    def _measure(self, knobs: KnobValues) -> Outcome:
        self._readiness.await_all()
        with self._guarding.counting():
            outcome = self._testbed.trial(knobs, on_phase=self._phase, interrupted=self._interrupted)
        return self._trials.undisturbed(outcome)

    def _checkpoint(self) -> None:
        try:
            self._retry("the agent was not saved", lambda: self._recorder.agent(self._learner.agent, self.trials))
            self._checkpointed = self.trials
            if self.trials % _TRIALS_TO_A_TRIM == 0:
                give_back()
        except DiskFailed:
            raise  # never to be tried again
        except (TunerError, OSError) as error:
            self._notice(f"the agent was not saved: {error}", "error")

    # -- telling -------------------------------------------------------------------------------------------------------

    def _notice(self, message: str, level: Level) -> None:
        self._tell(events.Notice(time.time(), message, level))
