"""What a benchmark's results say, cell by cell and summed up over the seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from brokertuner_tui.bench.keep import Results
from brokertuner_tui.bench.plan import Plan, has_phases, version_of
from brokertuner_tui.bench.results import Cell, Confirmed, Trial, Unit
from brokertuner_tui.env.outcome import Verdict
from brokertuner_tui.tuning.statistics import Interval, interval

NEAR = 0.95
"""What counts as having found it: this share of the best known."""
DEAD = 0.01
"""A trial that brings less than this share of the best known in time brings nothing."""


@dataclass(frozen=True, slots=True)
class Median:
    """A median and its 95 % interval."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class MethodFigures:
    """What one method came to in one cell, or in a workload and version over several seeds."""

    method: str
    seeds: int
    """Units that this is made of."""
    final: Interval | None
    """On-time goodput of its best setting in the confirming windows (of all seeds), deliveries a second; None: not yet."""
    received: Interval | None
    """Deliveries a second there, late ones too."""
    p99: Median | None
    """Of the same windows, ms; None where nothing came."""
    tuning_per_s: float
    """Mean on-time goodput over all trials: what tuning left of the broker's service."""
    tuning_share: float | None
    """The same as a share of the best known; the mean over the seeds."""
    trials_to_near: float | None
    """Trials until one was within 5 % of the best known, the default's counted; the median over the seeds, None: never."""
    seconds_to_near: float | None
    restarts: float
    """That its trials caused; mean over the seeds, as all below."""
    failed: float
    dead: float
    """Trials in which (next to) nothing came in time, failed ones too."""
    trials: float
    thinking_s: float
    """A trial."""


@dataclass(frozen=True, slots=True)
class CellFigures:
    """All methods of a cell; or of a workload and version, over the seeds."""

    workload: str
    version: str
    seed: int | None
    """None: over all seeds."""
    best_per_s: float | None
    """The best known: the highest confirmed mean of any method; over the seeds, their mean. None: nothing is confirmed."""
    methods: tuple[MethodFigures, ...]

    def of(self, method: str) -> MethodFigures | None:
        """One method's; None: it has not run."""
        return next((figures for figures in self.methods if figures.method == method), None)


def cells(plan: Plan, results: Results) -> list[CellFigures]:
    """Each cell of a steady workload in which anything has run, sorted."""
    found = [cell for cell in _sorted(plan.cells()) if results.of(cell) and not has_phases(plan.workloads[cell.workload])]
    return [_of_cells(plan, results, [cell]) for cell in found]


def summary(plan: Plan, results: Results) -> list[CellFigures]:
    """Each steady workload and version, over its seeds."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in _sorted(plan.cells()):
        if results.of(cell) and not has_phases(plan.workloads[cell.workload]):
            groups.setdefault((cell.workload, cell.version), []).append(cell)
    return [_of_cells(plan, results, group) for group in groups.values()]


def best_known(records: Iterable[Confirmed]) -> float | None:
    """The highest mean on-time goodput of any of these; None: there are none."""
    means = [statistics.fmean(record.on_time_per_s) for record in records if record.on_time_per_s]
    return max(means, default=None)


def pooled(results: Results, cell: Cell) -> dict[str, Confirmed]:
    """By method: all windows of its best setting. Where several end with the same setting, each has the windows of all of them:
    nobody is better than himself by luck."""
    records, units = results.confirmed(cell), results.of(cell)
    best = {record.method: units[record.method].best.get(record.profile) for record in records if record.method in units}

    def alike(mine: Confirmed) -> list[Confirmed]:
        setting = best.get(mine.method)
        same = [one for one in records if one.profile == mine.profile and best.get(one.method) == setting]
        return same if setting is not None else [mine]

    return {mine.method: _joined(mine, alike(mine)) for mine in records}


def median_of(values: Sequence[float]) -> Median:
    """The median with the interval between two order statistics that holds it with at least 95 % (binomial), whatever the
    distribution; the whole range where there are fewer than six."""
    ordered, n = sorted(values), len(values)
    below, outside = 0, 2 * 0.5**n
    while outside + 2 * math.comb(n, below + 1) * 0.5**n <= 0.05:
        below += 1
        outside += 2 * math.comb(n, below) * 0.5**n
    return Median(statistics.median(ordered), ordered[below], ordered[n - 1 - below])


def is_dead(trial: Trial, best_per_s: float | None) -> bool:
    """Whether (next to) nothing came in time."""
    return trial.on_time_per_s <= DEAD * (best_per_s or 0.0)


def near(unit: Unit, best_per_s: float) -> Trial | None:
    """The first trial within 5 % of the best known; None: there was none."""
    return next((trial for trial in unit.trials if trial.on_time_per_s >= NEAR * best_per_s), None)


def _sorted(cells: Iterable[Cell]) -> list[Cell]:
    return sorted(cells, key=lambda cell: (cell.workload, version_of(cell.version), cell.seed))


def _joined(mine: Confirmed, same: Sequence[Confirmed]) -> Confirmed:
    return replace(
        mine,
        on_time_per_s=tuple(value for one in same for value in one.on_time_per_s),
        received_per_s=tuple(value for one in same for value in one.received_per_s),
        p99_ms=tuple(value for one in same for value in one.p99_ms),
    )


def _of_cells(plan: Plan, results: Results, group: Sequence[Cell]) -> CellFigures:
    """One cell, or several that differ in the seed only."""
    confirmed = {cell: pooled(results, cell) for cell in group}
    bests = {cell: best_known(found.values()) for cell, found in confirmed.items()}
    known = [best for best in bests.values() if best is not None]
    methods = [*plan.methods] if "default" in plan.methods else ["default", *plan.methods]
    figures = [_of_method(results, method, bests, confirmed) for method in methods]
    first = group[0]
    return CellFigures(
        first.workload,
        first.version,
        first.seed if len(group) == 1 else None,
        statistics.fmean(known) if known else None,
        tuple(one for one in figures if one is not None),
    )


def _of_method(
    results: Results, method: str, bests: Mapping[Cell, float | None], confirmed: Mapping[Cell, Mapping[str, Confirmed]]
) -> MethodFigures | None:
    units = [(unit, best) for cell, best in bests.items() if (unit := results.units.get((cell, method))) is not None]
    windows = [found[method] for found in confirmed.values() if method in found]
    on_time = [value for record in windows for value in record.on_time_per_s]
    received = [value for record in windows for value in record.received_per_s]
    p99 = [value for record in windows for value in record.p99_ms if value is not None]
    if not units and not on_time:
        return None
    shares = [_mean_on_time(unit) / best for unit, best in units if best]
    nears = [near(unit, best) for unit, best in units if best]
    count = max(1, len(units))
    trials = [trial for unit, _ in units for trial in unit.trials]
    return MethodFigures(
        method=method,
        seeds=len(units),
        final=interval(on_time) if on_time else None,
        received=interval(received) if received else None,
        p99=median_of(p99) if p99 else None,
        tuning_per_s=statistics.fmean(_mean_on_time(unit) for unit, _ in units) if units else math.nan,
        tuning_share=statistics.fmean(shares) if shares else None,
        trials_to_near=_median_or_never([trial.number if trial is not None else math.inf for trial in nears]),
        seconds_to_near=_median_or_never([trial.at_s if trial is not None else math.inf for trial in nears]),
        restarts=sum(trial.restarted for trial in trials) / count,
        failed=sum(trial.verdict == Verdict.FAILED for trial in trials) / count,
        dead=sum(is_dead(trial, best) for unit, best in units for trial in unit.trials) / count,
        trials=len(trials) / count,
        thinking_s=sum(unit.thinking_s for unit, _ in units) / max(1, len(trials)),
    )


def _mean_on_time(unit: Unit) -> float:
    return statistics.fmean(trial.on_time_per_s for trial in unit.trials)


def _median_or_never(values: Sequence[float]) -> float | None:
    if not values:
        return None
    median = statistics.median_high(values)
    return median if math.isfinite(median) else None
