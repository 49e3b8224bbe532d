"""What each method's best setting is really worth: all of a cell's in turns, so that a drift of the machine favours nobody."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from brokertuner_tui.bench.beds import OpenBed
from brokertuner_tui.bench.plan import DEFAULT, Plan, has_phases, profiles_of, seed_of
from brokertuner_tui.bench.results import Cell, Confirmation, Confirmed, Unit
from brokertuner_tui.bench.unit import measured, p99_of
from brokertuner_tui.env.outcome import Verdict
from brokertuner_tui.env.trial import never
from brokertuner_tui.knobs.catalogue import Value
from brokertuner_tui.workload.profile import Profile, Workload

FINALISTS = 4
"""Of a day's constants: those with the best mean in a first round, beside the best one under each profile."""

OnWindow = Callable[[int, int], None]
"""Windows that are done, of how many."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A setting, and who found it."""

    method: str
    knobs: Mapping[str, Value] | None
    """None: the broker's defaults."""
    found_under: str = ""


@dataclass(slots=True)
class _Windows:
    on_time: list[float] = field(default_factory=list)
    received: list[float] = field(default_factory=list)
    p99_ms: list[float | None] = field(default_factory=list)


class CellConfirmation:
    """Confirms one cell. A setting that several methods found is measured for each of them (`figures.pooled` puts it together).

    Of a workload with phases the tuners' figures are those of their days; what is measured here is the constants that they
    found: which one serves the whole day best.

    Args:
        on_window: called after each window.
        stop: asked often; True ends it with `Stopped`.
    """

    def __init__(
        self,
        plan: Plan,
        cell: Cell,
        units: Mapping[str, Unit],
        open_bed: OpenBed,
        *,
        on_window: OnWindow = lambda _done, _total: None,
        stop: Callable[[], bool] = never,
    ) -> None:
        self._plan, self._cell, self._units, self._open = plan, cell, units, open_bed
        self._on_window, self._stop = on_window, stop
        self._workload = plan.workloads[cell.workload]
        self._rng = random.Random(seed_of(cell, "confirmation"))
        self._done = self._total = 0

    def run(self) -> Confirmation:
        """Measures.

        Raises:
            TunerError: broker or load cannot be brought up.
            Stopped: `stop` said so.
        """
        records = self._constants() if has_phases(self._workload) else self._finals()
        return Confirmation(self._cell, tuple(sorted(self._units)), tuple(records))

    def _finals(self) -> list[Confirmed]:
        profile = profiles_of(self._workload)[0]
        found = [Candidate(name, unit.best[profile.name]) for name, unit in sorted(self._units.items()) if name != DEFAULT]
        candidates = [Candidate(DEFAULT, None), *found]
        self._total = len(candidates) * self._plan.windows
        return self._in_turns(profile, candidates, self._plan.windows)

    def _constants(self) -> list[Confirmed]:
        """First every setting that was found, once under each profile; then the best of them properly."""
        profiles, candidates = profiles_of(self._workload), _different(self._units)
        self._total = len(candidates) * len(profiles) + (FINALISTS + len(profiles)) * len(profiles) * self._plan.windows
        first = {profile.name: self._in_turns(profile, candidates, 1) for profile in profiles}
        finalists = [candidates[index] for index in _finalists(first, self._workload)]
        self._total = self._done + len(finalists) * len(profiles) * self._plan.windows
        return [record for profile in profiles for record in self._in_turns(profile, finalists, self._plan.windows)]

    def _in_turns(self, profile: Profile, candidates: Sequence[Candidate], rounds: int) -> list[Confirmed]:
        """`rounds` windows of each, in shuffled turns on one bed."""
        windows = [_Windows() for _ in candidates]
        bed = self._open(Workload.steady(profile), self._cell.version, seed_of(self._cell, "confirmation", profile.name))
        try:
            for _ in range(rounds):
                for index in self._rng.sample(range(len(candidates)), len(candidates)):
                    knobs = candidates[index].knobs
                    outcome = measured(bed, bed.defaults if knobs is None else knobs, self._stop)
                    window, mine = outcome.window, windows[index]
                    if outcome.verdict is not Verdict.INCONCLUSIVE:
                        mine.on_time.append(window.on_time_per_s if window is not None else 0.0)
                        mine.received.append(window.received_per_s if window is not None else 0.0)
                        mine.p99_ms.append(p99_of(outcome))
                    self._done += 1
                    self._on_window(self._done, self._total)
        finally:
            bed.close()
        return [
            Confirmed(
                self._cell,
                candidate.method,
                profile.name,
                tuple(mine.on_time),
                tuple(mine.received),
                tuple(mine.p99_ms),
                candidate.found_under,
            )
            for candidate, mine in zip(candidates, windows, strict=True)
        ]


def _different(units: Mapping[str, Unit]) -> list[Candidate]:
    """Every setting that was found under any profile, once."""
    found: dict[tuple[tuple[str, Value], ...], Candidate] = {}
    for name, unit in sorted(units.items(), key=lambda item: item[0] != DEFAULT):
        for profile, knobs in unit.best.items():
            found.setdefault(tuple(sorted(knobs.items())), Candidate(name, knobs, profile))
    return list(found.values())


def _finalists(first: Mapping[str, Sequence[Confirmed]], workload: Workload) -> list[int]:
    """Indices of those with the best mean share over the phases, of the best under each profile, and of the default (0)."""
    per_s = {name: [sum(record.on_time_per_s) for record in records] for name, records in first.items()}
    count = len(next(iter(per_s.values())))
    shares = [
        statistics.fmean(
            per_s[phase.profile.name][index] / (max(per_s[phase.profile.name]) or 1.0) for phase in workload.phases
        )
        for index in range(count)
    ]
    by_share = sorted(range(count), key=lambda index: -shares[index])[:FINALISTS]
    by_profile = [worths.index(max(worths)) for worths in per_s.values()]
    return sorted({0, *by_share, *by_profile})
