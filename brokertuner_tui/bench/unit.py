"""One unit: all trials of one method in one cell."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence

from brokertuner_tui.bench.bed import TimedBed
from brokertuner_tui.bench.method import Method, Task
from brokertuner_tui.bench.plan import has_phases, profiles_of, seed_of, version_of
from brokertuner_tui.bench.results import Cell, PhaseTotal, Trial, Unit
from brokertuner_tui.env.outcome import Outcome, Verdict
from brokertuner_tui.env.slo import SloPreset
from brokertuner_tui.env.trial import never
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import KnobValues, Value, Version, defaults, needs_restart
from brokertuner_tui.workload.profile import Profile, Workload

TRIES = 3
"""Of a trial, until it is not inconclusive."""
BETWEEN_S = 0.8
"""What a trial takes beside its window, about: for a task that lasts for a time and not for a number of trials."""

MakeMethod = Callable[[str, Task], Method]
WarmUp = Callable[[Profile, Version, KnobValues, int], Sequence[KnobValues]]
OnTrial = Callable[[Trial], None]


class Stopped(Exception):
    """It was interrupted: what was not whole does not count."""


def measured(bed: TimedBed, knobs: KnobValues, stop: Callable[[], bool]) -> Outcome:
    """A trial that is repeated while it is inconclusive, `TRIES` times at most.

    Raises:
        Stopped: `stop` says so.
    """
    for _ in range(TRIES):
        outcome = bed.trial(knobs)
        if stop():
            raise Stopped
        if outcome.verdict is not Verdict.INCONCLUSIVE:
            break
    return outcome


class UnitRun:
    """Runs one unit on a bed that is open and at its beginning.

    Args:
        references: deliveries a second that count as 1 in a closed loop, by the profile's name, where they are known before.
        on_trial: called after each trial.
        stop: asked often; True ends it with `Stopped`.
    """

    def __init__(
        self,
        bed: TimedBed,
        method: Method,
        cell: Cell,
        workload: Workload,
        *,
        references: Mapping[str, float] | None = None,
        on_trial: OnTrial = lambda _: None,
        stop: Callable[[], bool] = never,
    ) -> None:
        self._bed, self._method, self._cell, self._workload = bed, method, cell, workload
        self._on_trial, self._stop = on_trial, stop
        known = {profile.name: profile for profile in profiles_of(workload)}
        per_s = {(known[name], bed.version): value for name, value in (references or {}).items()}
        self._preset = SloPreset(references=per_s)
        self._in_force: KnobValues = bed.defaults
        self._trials: list[Trial] = []
        self._thinking_s = 0.0
        self._began = bed.now()
        self._phases: list[PhaseTotal] = []
        self._phase_began = (self._began, 0)

    def run(self, trials: int, seconds: float = math.inf) -> Unit:
        """Until there were so many trials, or the bed's clock says that so many seconds are over.

        Raises:
            TunerError: the default cannot be measured, or broker or load cannot be brought back.
            Stopped: `stop` said so.
        """
        started_at = time.time()
        self._try(self._bed.defaults)
        if self._trials[0].verdict != Verdict.OK:
            raise TunerError("the broker's defaults cannot be measured")
        while len(self._trials) < trials and self._elapsed() < seconds:
            self._follow()
            asked = time.perf_counter()
            knobs = self._method.ask(self._bed.profile)
            self._thought(asked)
            self._try(knobs)
        self._end_phase()
        took_s = self._elapsed()
        asked = time.perf_counter()
        best = {profile.name: dict(self._method.best(profile)) for profile in profiles_of(self._workload)}
        self._thought(asked)
        return Unit(
            cell=self._cell,
            method=self._method.name,
            started_at=started_at,
            seconds=took_s,
            best=best,
            trials=tuple(self._trials),
            thinking_s=self._thinking_s,
            on_time_total=sum(phase.on_time for phase in self._phases),
            phases=tuple(self._phases) if has_phases(self._workload) else (),
        )

    def _try(self, knobs: Mapping[str, Value]) -> None:
        outcome = measured(self._bed, knobs, self._stop)
        reward = self._preset.reward(outcome, None).value if outcome.verdict is Verdict.OK else None
        asked = time.perf_counter()
        self._method.tell(knobs, outcome, reward)
        self._thought(asked)
        trial = trial_of(len(self._trials) + 1, outcome, reward, self._in_force, self._elapsed())
        self._trials.append(trial)
        if outcome.verdict is Verdict.OK:
            self._in_force = outcome.knobs
        self._on_trial(trial)

    def _follow(self) -> None:
        before = self._bed.profile
        if self._bed.follow_schedule():
            self._end_phase(before)

    def _end_phase(self, profile: Profile | None = None) -> None:
        now = (self._bed.now(), self._bed.on_time_total())
        then, self._phase_began = self._phase_began, now
        name = (profile or self._bed.profile).name
        self._phases.append(PhaseTotal(name, now[0] - then[0], now[1] - then[1]))

    def _elapsed(self) -> float:
        return self._bed.now() - self._began

    def _thought(self, since: float) -> None:
        seconds = time.perf_counter() - since
        self._thinking_s += seconds
        self._bed.thought(seconds)


def trial_of(number: int, outcome: Outcome, reward: float | None, in_force: KnobValues, at_s: float) -> Trial:
    """What is kept of `outcome`.

    Args:
        in_force: what was before it, so that a restart shows that a failed trial took.
    """
    window, applied = outcome.window, outcome.applied
    restarted = applied.how == "restart" if applied is not None else needs_restart(in_force, outcome.knobs)
    return Trial(
        number=number,
        profile=outcome.profile.name,
        verdict=outcome.verdict.value,
        knobs=dict(outcome.knobs),
        reward=reward,
        on_time_per_s=window.on_time_per_s if window is not None else 0.0,
        on_time_stderr=window.on_time_stderr if window is not None else 0.0,
        received_per_s=window.received_per_s if window is not None else 0.0,
        p99_ms=p99_of(outcome),
        restarted=restarted,
        at_s=at_s,
    )


def p99_of(outcome: Outcome) -> float | None:
    """Milliseconds; None where nothing came."""
    window = outcome.window
    if window is None or not window.received or not math.isfinite(window.p99_ms):
        return None
    return window.p99_ms


def make_task(workload: Workload, cell: Cell, trials: int, warm_up: WarmUp) -> Task:
    """What the methods of `cell` are told; the same for all of them."""
    seed, profile, version = seed_of(cell), workload.at(0.0), version_of(cell.version)
    own = defaults(version)
    return Task(profile, version, own, trials, seed, list(warm_up(profile, version, own, seed)))
