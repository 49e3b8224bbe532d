"""Runs what a plan asks for and its folder does not hold yet."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from brokertuner_tui.bench.beds import OpenBed, opener
from brokertuner_tui.bench.confirm import CellConfirmation
from brokertuner_tui.bench.keep import Folder, Results
from brokertuner_tui.bench.method import Method, Task
from brokertuner_tui.bench.plan import DEFAULT, Plan, has_phases, profiles_of, seed_of
from brokertuner_tui.bench.results import Cell, Confirmation, Trial, Unit
from brokertuner_tui.bench.unit import BETWEEN_S, MakeMethod, Stopped, UnitRun, WarmUp, make_task
from brokertuner_tui.env.outcome import Verdict
from brokertuner_tui.env.trial import never
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import KnobValues, Version
from brokertuner_tui.telemetry.stolen import Stolen
from brokertuner_tui.workload.profile import Profile, Workload

CONFIRMATION = "confirmation"
"""What is done for a cell when all its methods are."""
MANY = 1_000_000
"""Trials, where the seconds decide."""
_TRIES = 2
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a benchmark is."""

    done: float
    """Windows, about: how much of what there is to do."""
    total: float
    cell: Cell
    doing: str
    """A method's name, or `CONFIRMATION`."""
    figures: str
    """`trial 12 of 40, 4,992/s on time`"""
    eta_s: float | None
    """None: not known yet."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that could not be done; the rest was, and it is tried again when the benchmark goes on."""

    cell: Cell
    doing: str
    reason: str

    def __str__(self) -> str:
        return f"{self.doing} on {self.cell.workload}, {self.cell.version}, seed {self.cell.seed}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Job:
    """A unit (`method`), or the confirmation of a cell (`CONFIRMATION`)."""

    cell: Cell
    doing: str


class Bench:
    """One run of a benchmark, from wherever its folder is to the end.

    Args:
        on_progress: called after every window.
        stop: asked often, from the thread that runs it; True ends it at once.
        open_bed: what opens beds; None: as the plan says.
        make, warm_up: of `bench.methods.registry`, if they are not given.
    """

    def __init__(
        self,
        folder: Folder,
        *,
        on_progress: Callable[[Progress], None] = lambda _: None,
        stop: Callable[[], bool] = never,
        open_bed: OpenBed | None = None,
        make: MakeMethod | None = None,
        warm_up: WarmUp | None = None,
    ) -> None:
        self._folder, self._plan = folder, folder.plan
        self._on_progress, self._stop = on_progress, stop
        self._open = open_bed or opener(self._plan, stop)
        self._make, self._warm_up = make or _make, warm_up or _warm_up
        self.problems: list[Problem] = []
        """What could not be done."""
        self._done = self._total = self._before = 0.0
        self._began = 0.0

    def run(self) -> bool:
        """Does what is left; whether it came to the end (False: it was stopped).

        Raises:
            UsageError, DiskFailed: results cannot be kept.
        """
        self._began = time.monotonic()
        jobs = [job for cell in self._plan.cells() for job in jobs_of(self._plan, cell)]
        self._total = sum(cost(self._plan, job) for job in jobs)
        left = sum(cost(self._plan, job) for job in jobs_left(self._plan, self._folder.results))
        self._done = self._before = self._total - left
        try:
            for job in jobs:
                if self._stop():
                    return False
                if not self._is_done(job):
                    self._attempt(job)
        except Stopped:
            return False
        return True

    def _is_done(self, job: Job) -> bool:
        """Whether it needs not be done, now that it is its turn: of a confirmation, after the units of its cell."""
        results = self._folder.results
        if job.doing == CONFIRMATION:
            return results.is_confirmed(job.cell) or not results.of(job.cell)
        return (job.cell, job.doing) in results.units

    def _attempt(self, job: Job) -> None:
        """Does a job, a second time if that fails; what cannot be done is a problem, and the benchmark goes on."""
        at, reason, record = self._done, "", None
        for _ in range(_TRIES):
            self._done, stolen = at, Stolen()
            try:
                made = self._confirmed(job.cell) if job.doing == CONFIRMATION else self._unit(job)
                record = made if self._plan.surrogate else replace(made, stolen=stolen.share())
                break
            except TunerError as error:
                reason = str(error).partition("\n")[0]
                if self._stop():
                    raise Stopped from None
            except Stopped:
                raise
            except Exception as error:  # a rival's library may raise anything; the others' results are not lost with it
                reason = f"{type(error).__name__}: {error}".partition("\n")[0]
                _log.exception("%s on %s failed", job.doing, job.cell)
        self._done = at + cost(self._plan, job)
        if record is None:
            self.problems.append(Problem(job.cell, job.doing, reason))
        else:
            self._folder.add(record)

    def _unit(self, job: Job) -> Unit:
        plan, cell, began = self._plan, job.cell, self._done
        workload = plan.workloads[cell.workload]
        trials, seconds = (trials_of(plan, workload), seconds_of(plan, workload))
        # Made before the bed is opened: importing a library takes seconds, and phases would be running.
        method = self._make(job.doing, make_task(workload, cell, trials, self._warm_up))
        try:
            bed = self._open(workload, cell.version, seed_of(cell, job.doing))
            try:

                def on_trial(trial: Trial) -> None:
                    share = trial.at_s / seconds if math.isfinite(seconds) else trial.number / trials
                    self._done = began + min(1.0, share) * cost(plan, job)
                    of = "" if math.isfinite(seconds) else f" of {trials}"
                    self._tell(job, f"trial {trial.number}{of}, {_told(trial)}")

                references = self._references(cell) if has_phases(workload) else {}
                run = UnitRun(bed, method, cell, workload, references=references, on_trial=on_trial, stop=self._stop)
                return replace(run.run(MANY if math.isfinite(seconds) else trials, seconds), method=job.doing)
            finally:
                bed.close()
        finally:
            method.close()

    def _references(self, cell: Cell) -> dict[str, float]:
        """What the default delivered under each profile: so the same reward for all methods of a cell with phases."""
        default = self._folder.results.units.get((cell, DEFAULT))
        found: dict[str, float] = {}
        for trial in default.trials if default is not None else ():
            if trial.verdict == Verdict.OK and trial.received_per_s > 0:
                found.setdefault(trial.profile, trial.received_per_s)
        return found

    def _confirmed(self, cell: Cell) -> Confirmation:
        job, began = Job(cell, CONFIRMATION), self._done
        whole = cost(self._plan, job)

        def on_window(done: int, total: int) -> None:
            self._done = began + whole * done / total
            self._tell(job, f"window {done} of {total}")

        units = self._folder.results.of(cell)
        return CellConfirmation(self._plan, cell, units, self._open, on_window=on_window, stop=self._stop).run()

    def _tell(self, job: Job, figures: str) -> None:
        did, left = self._done - self._before, self._total - self._done
        eta_s = (time.monotonic() - self._began) / did * left if did > 0 else None
        self._on_progress(Progress(self._done, self._total, job.cell, job.doing, figures, eta_s))


def jobs_of(plan: Plan, cell: Cell) -> list[Job]:
    """What is to be done for `cell`, in order."""
    return [Job(cell, doing) for doing in (*plan.order(cell), CONFIRMATION)]


def jobs_left(plan: Plan, results: Results) -> list[Job]:
    """What is still to be done: a confirmation as soon as anything is missing in its cell."""
    found = []
    for cell in plan.cells():
        units = [Job(cell, method) for method in plan.order(cell) if (cell, method) not in results.units]
        found += units
        if units or not results.is_confirmed(cell):
            found.append(Job(cell, CONFIRMATION))
    return found


def trials_of(plan: Plan, workload: Workload) -> int:
    """How many trials a unit has; about, where the workload has phases."""
    seconds = seconds_of(plan, workload)
    return plan.trials if math.isinf(seconds) else max(1, round(seconds / (plan.step_interval_s + BETWEEN_S)))


def seconds_of(plan: Plan, workload: Workload) -> float:
    """How long a unit lasts; infinite where the number of trials says that."""
    return plan.rounds * sum(phase.seconds for phase in workload.phases)


def cost(plan: Plan, job: Job) -> float:
    """Windows that `job` takes, about."""
    workload, methods = plan.workloads[job.cell.workload], len(plan.order(job.cell))
    if job.doing != CONFIRMATION:
        return trials_of(plan, workload)
    if not has_phases(workload):
        return plan.windows * methods
    different = len(profiles_of(workload))
    return different * (2 * methods + 6 * plan.windows)


def _told(trial: Trial) -> str:
    return f"{trial.on_time_per_s:,.0f}/s on time" if trial.verdict == Verdict.OK else trial.verdict


def _make(name: str, task: Task) -> Method:
    from brokertuner_tui.bench.methods import registry

    return registry.make(name, task)


def _warm_up(profile: Profile, version: Version, own: KnobValues, seed: int) -> Sequence[KnobValues]:
    from brokertuner_tui.bench.methods import registry

    return registry.warm_up(profile, version, own, seed)
