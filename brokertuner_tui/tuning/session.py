"""The tuning session: a run in a thread of its own. Commands go in, events come out; it knows no front end."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from brokertuner_tui.broker.interface import Broker, Patient
from brokertuner_tui.broker.kinds import make_broker
from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.broker.remote.broker import RemoteBroker
from brokertuner_tui.config.hours import Hours
from brokertuner_tui.config.settings import Settings
from brokertuner_tui.env.presets import make_preset
from brokertuner_tui.env.testbed import Testbed
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs import validation
from brokertuner_tui.knobs.catalogue import CATALOGUE, Value
from brokertuner_tui.logs import crash_report
from brokertuner_tui.process.lock import at_work
from brokertuner_tui.store.lock import WriterLock
from brokertuner_tui.tuning import commands, events, story
from brokertuner_tui.tuning.attempts import Patience, Tries, attempt
from brokertuner_tui.tuning.events import Left, State
from brokertuner_tui.tuning.guard.caution import Caution
from brokertuner_tui.tuning.guard.restarts import RestartBudget
from brokertuner_tui.tuning.guard.slo import SloGuard, limits
from brokertuner_tui.tuning.guard.traps import refuse
from brokertuner_tui.tuning.guarding import Guarding
from brokertuner_tui.tuning.identities import identities
from brokertuner_tui.tuning.learner import Learner
from brokertuner_tui.tuning.operations import Operations
from brokertuner_tui.tuning.recall import broke_slo, load_agent, outcome_of, recall, restarts_of
from brokertuner_tui.tuning.run import Run
from brokertuner_tui.tuning.stream import EventStream
from brokertuner_tui.tuning.windows import Windows
from brokertuner_tui.workload import live
from brokertuner_tui.workload.profile import Workload

if TYPE_CHECKING:  # importing the store imports SQLAlchemy
    from brokertuner_tui.store.rows import TrialRow
    from brokertuner_tui.tuning.recorder import Recorder

log = logging.getLogger(__name__)
T = TypeVar("T")


class _Stopped(TunerError):
    """The operator asked for the end before the loop had begun."""


class TuningSession:
    """Tunes one broker under one workload.

    Everything that can fail happens in the session's thread; a failure arrives as `RunFinished` with the state `failed`,
    and in `error`. Front ends call `send` from any thread and read `events`.

    Args:
        save_dir: store, checkpoints, logs; made if missing.
        keep_open: when the budget of trials is spent, bring the best into force and pause instead of ending; `Resume`
            grants another budget.
        patience: with what fails for a passing reason; None: the usual one, and the settings' at the start.
        resume: the run (its id, the beginning of one, or `last`) that goes on; None: a new one.
    """

    def __init__(
        self,
        settings: Settings,
        workload: Workload,
        save_dir: Path,
        *,
        keep_open: bool = False,
        patience: Patience | None = None,
        resume: str | None = None,
    ) -> None:
        self.events = EventStream()
        self.error: TunerError | None = None
        self.summary: events.RunFinished | None = None
        self._settings = settings
        self._workload = workload
        self._save_dir = save_dir
        self._keep_open = keep_open
        self._resume = resume
        tuning = settings.tuning
        self._patience = patience or Patience(start=Tries(tuning.start_attempts, tuning.start_wait_sec))
        self._inbox: queue.SimpleQueue[commands.Command] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._main, name="tuning", daemon=True)
        self._started = time.monotonic()
        self._recorder: Recorder | None = None
        self._operations: Operations | None = None
        self._broker: Broker | None = None
        self._testbed: Testbed | None = None
        self._run: Run | None = None

    def start(self) -> None:
        """Begins; returns at once."""
        self._thread.start()

    def send(self, command: commands.Command) -> None:
        """Asks for something; returns at once. What came of it is told by events."""
        if isinstance(command, commands.Stop) and isinstance(self._broker, Patient):
            self._broker.stop_waiting()
        self._inbox.put(command)

    def join(self, timeout_s: float | None = None) -> bool:
        """Waits for the end of the session; whether it has ended."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def testbed(self) -> Testbed | None:
        """Broker, load and telemetry, to look at (never to change: `send` does that); None before `RunStarted`."""
        return self._testbed

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _main(self) -> None:
        state, reason = State.FAILED, ""
        left: Left = "nothing"
        try:
            self._run = self._open()
            state, reason, left = self._run.tune()
        except _Stopped as stopped:
            state, reason = State.CANCELLED, str(stopped)
        except TunerError as error:
            self.error, reason = error, str(error)
        except Exception as error:
            # The boundary of the thread: whatever it was, children are ended, the store is closed, the operator is told.
            report = crash_report(error)
            log.critical("the session crashed; crash report: %s", report, exc_info=error, extra={"is_the_end": True})
            self.error = TunerError(f"{type(error).__name__}: {error}")
            self.error.__cause__ = error
            reason = str(self.error)
        self._close(state, reason, left)

    def _refuse_second(self) -> None:
        """Another session at the same store is named at once, before anything is imported, asked or started for this one.

        Raises:
            StoreError: there is one.
        """
        lock = self._save_dir / "store.db.lock"
        if self._settings.store.url is None and lock.exists():
            WriterLock(lock).release()

    def _open(self) -> Run:
        self._refuse_second()
        # Here and not above: SQLAlchemy takes a third of a second, which a front end's first frame must not wait for.
        from brokertuner_tui.tuning.recorder import Recorder

        tuning = self._settings.tuning
        pinned = {name: validation.check(name, value) for name, value in tuning.pin.items()}
        # First: where there is no broker, nothing is left on disk.
        self._broker = broker = make_broker(self._settings.broker, self._save_dir / "broker")
        if isinstance(broker, RemoteBroker):
            broker.only_reads = tuning.read_only
        version, program = self._await("the broker cannot be asked yet", lambda: (broker.version, broker.program))
        for phase in self._workload.phases if pinned else ():
            refuse({**broker.baseline, **pinned}, pinned, phase.profile, version, what="tuning.pin.")
        self._recorder = Recorder(
            self._save_dir,
            self._settings,
            self._workload,
            tell=self._notice,
            pause=self._pause,
        )
        if self._resume is not None:
            before, run = self._recorder.resume(self._resume), self._recorder.run
        else:
            before, run = [], self._recorder.begin(program, version, pinned)
        at_work(run=run, save_dir=self._save_dir)
        if isinstance(broker, ManagedBroker):
            broker.move_to(self._recorder.folder / "broker")
        self._testbed = testbed = Testbed(self._settings, self._workload, self._recorder.folder, broker)
        testbed.watch_connections(lambda name, status: self._tell(events.ConnectionChanged(time.time(), status, name)))
        applied = self._await("the broker cannot be had yet", lambda: testbed.open(pinned, untouched=tuning.read_only))
        testbed.sampler.subscribe(lambda sample: self._tell(events.Sampled(time.time(), sample)))
        self._tell(
            events.RunStarted(
                time.time(),
                run=run,
                preset=tuning.preset,
                workload=self._workload.name,
                profile=testbed.profile,
                version=version,
                broker_kind=self._settings.broker.kind,
                host=testbed.broker.host,
                port=testbed.broker.port,
                total_timesteps=tuning.total_timesteps,
                defaults=testbed.defaults,
                pinned=pinned,
                save_dir=str(self._save_dir),
                mode=tuning.mode,
                read_only=tuning.read_only,
                limits=limits(self._settings.guard),
            )
        )
        self._tell(events.BrokerChanged(time.time(), applied, "started"))
        if recovered := testbed.broker.recovered:
            self._tell(events.Notice(time.time(), recovered, "warning"))
        self._operations = Operations(testbed, self._settings.load.check_freq, self._tell, self._patience)
        self._recorder.processes(*identities(testbed))
        self._await("the load does not start yet", self._operations.start_load)
        self._recorder.processes(*identities(testbed))
        learner = self._make_learner(testbed, pinned, before, self._recorder.checkpoint)
        self._recorder.about = lambda: (learner.pinned, identities(testbed))
        windows = Windows(adaptive=tuning.preset == "slo")
        for row in before:
            windows.take_in(outcome_of(row))
        return Run(
            tuning,
            self._operations,
            learner,
            self._recorder,
            self._make_guarding(self._operations, learner, before),
            windows,
            self._inbox,
            self._tell,
            keep_open=self._keep_open,
            done=len(before),
        )

    def _make_guarding(self, operations: Operations, learner: Learner, before: Sequence[TrialRow]) -> Guarding:
        settings, tuning = self._settings, self._settings.tuning
        quiet = [Hours.parse(text) for text in tuning.no_restarts]
        guarding = Guarding(
            SloGuard(
                settings.guard, counts_losses=settings.load.generator != "emqtt_bench" or self._workload.name == live.NAME
            ),
            RestartBudget(tuning.restarts_per_hour, quiet),
            operations,
            self._tell,
            baseline=lambda: learner.default,
            limit=settings.guard.inconclusive_limit if tuning.mode == "guarded" else None,
        )
        if before:
            guarding.recall([(outcome_of(row), broke_slo(row)) for row in before], restarts_of(before))
        return guarding

    def _await(self, what: str, action: Callable[[], T]) -> T:
        """What a run needs before it can begin; tried again, and said each time, while it may come by itself."""

        def pause(seconds: float) -> bool:
            self._pause(seconds)
            return True

        return attempt(action, what, self._patience.start, pause=pause, tell=self._notice)

    def _pause(self, seconds: float) -> None:
        """Waits before the loop has begun; a stop ends that, other commands are for later.

        Raises:
            _Stopped: the operator asked for the end.
        """
        deadline, later = time.monotonic() + seconds, list[commands.Command]()
        while (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                later.append(self._inbox.get(timeout=left))
                if isinstance(later[-1], commands.Stop):
                    raise _Stopped("stopped while waiting for what the run needs")
        for command in later:
            self._inbox.put(command)

    def _make_learner(
        self, testbed: Testbed, pinned: dict[str, Value], before: Sequence[TrialRow], checkpoint: Path
    ) -> Learner:
        """Knows what it knew after the trials that were `before`."""
        from brokertuner_tui.agent.torch_import import import_torch_quietly

        import_torch_quietly()
        from brokertuner_tui.agent.ddpg import DDPG
        from brokertuner_tui.agent.presets import config_for

        settings = self._settings
        preset = make_preset(settings.tuning.preset, settings.reward)

        def new_agent() -> DDPG:
            return DDPG(
                len(preset.observation_names),
                len(CATALOGUE),
                config_for(settings.tuning.preset, settings.agent, exploration=settings.tuning.exploration),
                seed=settings.seed,
                device=settings.agent.device,
            )

        if before:
            agent, saved, said = load_agent(checkpoint, len(before), new_agent, settings.agent.device)
            if said:
                self._notice(said, "warning")
        else:
            agent, saved = new_agent(), 0
        margin = settings.live.margin if self._workload.name == live.NAME else None
        caution = Caution.under(settings.tuning.safety, live_margin=margin)
        assert self._recorder is not None
        memory = self._recorder.memory(testbed.version, lambda message: self._notice(message, "info"))
        learner = Learner(agent, preset, testbed.version, testbed.defaults, pinned, caution, memory)
        if before:
            recalled = recall(learner, before, saved)
            self._notice(f"run {before[0].run} {recalled.told()}", "info" if recalled.exact else "warning")
        return learner

    def _close(self, state: State, reason: str, left: Left) -> None:
        confirmed = self._run.confirmation.event if self._run and self._run.confirmation else None
        finished = events.RunFinished(
            time.time(),
            run=self._recorder.run if self._recorder else "",
            state=state,
            reason=reason,
            trials=self._run.trials if self._run else 0,
            seconds=time.monotonic() - self._started,
            default=confirmed.default if confirmed else None,
            best=confirmed.best if confirmed else None,
            best_knobs=dict(confirmed.best_knobs) if confirmed else None,
            left=left,
            broker_restarts=self._operations.broker_restarts if self._operations else 0,
            workload_restarts=self._operations.load_restarts if self._operations else 0,
            conf_path=str(self._run.conf_path) if self._run and self._run.conf_path else None,
        )
        if self._testbed is not None:
            self._safely(self._testbed.close)
        elif self._broker is not None:
            self._safely(self._broker.stop)
        if self._recorder is not None:
            recorder = self._recorder
            self._safely(lambda: recorder.finish(finished))
            self._safely(recorder.close)
        self.summary = finished
        self._tell(events.StateChanged(time.time(), state, reason))
        self._tell(finished)

    def _safely(self, action: Callable[[], object]) -> None:
        """Tidying up goes on whatever one part of it does."""
        try:
            action()
        except (TunerError, OSError) as error:
            log.exception("while ending the session")
            self._tell(events.Notice(time.time(), str(error), "error"))

    def _notice(self, message: str, level: events.Level) -> None:
        self._tell(events.Notice(time.time(), message, level))

    def _tell(self, event: events.Event) -> None:
        story.tell(event)
        self.events.put(event)
