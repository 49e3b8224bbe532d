"""What a day came to: a load that changes, for which no constant setting is right."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from brokertuner_tui.bench.figures import best_known
from brokertuner_tui.bench.keep import Results
from brokertuner_tui.bench.plan import Plan, has_phases, version_of
from brokertuner_tui.bench.results import Cell, Confirmed, PhaseTotal, Unit
from brokertuner_tui.knobs.catalogue import Value
from brokertuner_tui.workload.profile import Workload


@dataclass(frozen=True, slots=True)
class PhaseFigures:
    """One phase of a day, over all rounds."""

    profile: str
    per_s: float
    """On-time goodput in wall time: restarts, settling and bad trials are paid for."""
    share: float | None
    """Of the best known under this profile."""


@dataclass(frozen=True, slots=True)
class DayMethod:
    """What one method came to."""

    method: str
    phases: tuple[PhaseFigures, ...]
    """In the order of the day."""
    mean_share: float | None
    """Mean over the phases."""
    to_constant: float | None
    """`mean_share` over that of the best constant."""
    last_round: float | None
    """Mean share of the last round alone: what is left when most was learned."""
    restarts: int
    failed: int
    trials: int
    thinking_s: float
    """A trial."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A setting that any method found, left alone for the whole day; measured in windows, so that it pays for nothing."""

    method: str
    found_under: str
    knobs: Mapping[str, Value]
    shares: tuple[float, ...]
    """By phase, in the order of the day."""
    mean_share: float


@dataclass(frozen=True, slots=True)
class DayFigures:
    """One cell."""

    workload: str
    version: str
    seed: int
    best_per_s: Mapping[str, float]
    """By profile: the best known, a confirmed constant's mean or what a method had in wall time."""
    constants: tuple[Constant, ...]
    """The best first."""
    methods: tuple[DayMethod, ...]

    def of(self, method: str) -> DayMethod | None:
        """One method's; None: it has not run."""
        return next((figures for figures in self.methods if figures.method == method), None)


def days(plan: Plan, results: Results) -> list[DayFigures]:
    """Each cell of a workload with phases in which anything has run."""
    found = [cell for cell in plan.cells() if results.of(cell) and has_phases(plan.workloads[cell.workload])]
    found.sort(key=lambda cell: (cell.workload, version_of(cell.version), cell.seed))
    return [_of(plan, results, cell) for cell in found]


def _of(plan: Plan, results: Results, cell: Cell) -> DayFigures:
    workload, units = plan.workloads[cell.workload], results.of(cell)
    bests = _bests(plan, results, cell)
    constants = _constants(workload, results.confirmed(cell), units, bests)
    best_constant = constants[0].mean_share if constants else None
    methods = [_method(workload, units[name], bests, best_constant) for name in plan.order(cell) if name in units]
    named = [method for name in (*plan.methods, *units) for method in methods if method.method == name]
    return DayFigures(cell.workload, cell.version, cell.seed, bests, tuple(constants), tuple(dict.fromkeys(named)))


def _bests(plan: Plan, results: Results, cell: Cell) -> dict[str, float]:
    """By profile: what was confirmed here, or in cells of the steady workload of that name, or had in wall time."""
    found: dict[str, float] = {}
    for phase in plan.workloads[cell.workload].phases:
        profile = phase.profile
        alike = [
            other
            for other in results.confirmations
            if other.version == cell.version and (other == cell or plan.workloads[other.workload].phases[0].profile == profile)
        ]
        records = [record for other in alike for record in results.confirmed(other) if record.profile == profile.name]
        wall = [
            total.on_time / total.seconds
            for unit in results.of(cell).values()
            for total in unit.phases
            if total.profile == profile.name and total.seconds >= phase.seconds / 2
        ]
        best = max(best_known(records) or 0.0, *wall, 0.0)
        if records and best > 0:
            found[profile.name] = best
    return found


def _constants(
    workload: Workload, records: tuple[Confirmed, ...], units: Mapping[str, Unit], bests: Mapping[str, float]
) -> list[Constant]:
    by_setting: dict[tuple[str, str], dict[str, float]] = {}
    for record in records:
        if record.on_time_per_s and record.profile in bests:
            share = statistics.fmean(record.on_time_per_s) / bests[record.profile]
            by_setting.setdefault((record.method, record.found_under), {})[record.profile] = share
    names = [phase.profile.name for phase in workload.phases]
    found = [
        Constant(
            method,
            profile,
            units[method].best[profile],
            shares := tuple(by_profile[name] for name in names),
            statistics.fmean(shares),
        )
        for (method, profile), by_profile in by_setting.items()
        if by_profile.keys() >= set(names)
    ]
    return sorted(found, key=lambda constant: -constant.mean_share)


def _method(workload: Workload, unit: Unit, bests: Mapping[str, float], best_constant: float | None) -> DayMethod:
    phases = _phases(workload, unit.phases, bests)
    mean_share = _mean([phase.share for phase in phases])
    last = _phases(workload, _last_round(workload, unit), bests)
    return DayMethod(
        method=unit.method,
        phases=tuple(phases),
        mean_share=mean_share,
        to_constant=mean_share / best_constant if mean_share is not None and best_constant else None,
        last_round=_mean([phase.share for phase in last]),
        restarts=sum(trial.restarted for trial in unit.trials),
        failed=sum(trial.verdict == "failed" for trial in unit.trials),
        trials=len(unit.trials),
        thinking_s=unit.thinking_s / max(1, len(unit.trials)),
    )


def _phases(workload: Workload, totals: Sequence[PhaseTotal], bests: Mapping[str, float]) -> tuple[PhaseFigures, ...]:
    """Phases of one profile have the same figures: where they meet, nobody can tell them apart."""
    found = []
    for name in (phase.profile.name for phase in workload.phases):
        seconds = sum(total.seconds for total in totals if total.profile == name)
        on_time = sum(total.on_time for total in totals if total.profile == name)
        per_s = on_time / seconds if seconds > 0 else 0.0
        found.append(PhaseFigures(name, per_s, per_s / bests[name] if name in bests and seconds > 0 else None))
    return tuple(found)


def _last_round(workload: Workload, unit: Unit) -> list[PhaseTotal]:
    """What began in it, with a little tolerance: a phase ends with its last trial."""
    day_s = sum(phase.seconds for phase in workload.phases)
    began_s = sum(total.seconds for total in unit.phases) - day_s - min(phase.seconds for phase in workload.phases) / 2
    found, at_s = [], 0.0
    for total in unit.phases:
        if at_s >= began_s:
            found.append(total)
        at_s += total.seconds
    return found


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None
