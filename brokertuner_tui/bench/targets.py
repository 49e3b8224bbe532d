"""What our method is meant to reach, and whether it does, computed from a benchmark's results."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from brokertuner_tui.bench.day import DayFigures, days
from brokertuner_tui.bench.figures import CellFigures, MethodFigures, cells, summary
from brokertuner_tui.bench.keep import Results
from brokertuner_tui.bench.plan import CONSTANTS, DEFAULT, OURS, Plan, version_of

SHARE_OF_CELLS = 0.9
P99_TOLERANCE = 1.1
TUNING_SHARE = 0.85
MOST_DEAD = 2.0
NEVER_BELOW = 0.97
TRIALS_TO_NEAR = 12.0
DAY_TO_CONSTANT = 1.15


@dataclass(frozen=True, slots=True)
class Target:
    """One of them."""

    name: str
    wanted: str
    found: str
    """The number, in words that stand beside `wanted`."""
    met: bool
    short: tuple[str, ...] = ()
    """Where it is not reached, worst cases by name."""


def targets(plan: Plan, results: Results) -> list[Target]:
    """All that these results say something about; none without our method and a rival that has run, too."""
    single, over_seeds = cells(plan, results), summary(plan, results)
    made = [
        _final(single),
        _above_the_median(single),
        _p99(over_seeds),
        _while_tuning(over_seeds),
        _above_every_rival(over_seeds),
        _dead(single),
        *_against_default(over_seeds),
        _near(over_seeds),
        _never_later(over_seeds),
        *_days(days(plan, results)),
    ]
    return [target for target in made if target is not None]


def rivals(figures: CellFigures) -> list[MethodFigures]:
    """All methods but ours and the default."""
    return [one for one in figures.methods if one.method not in (OURS, DEFAULT)]


def best_rival(figures: CellFigures) -> MethodFigures | None:
    """The one with the highest confirmed on-time goodput."""
    confirmed = [one for one in rivals(figures) if one.final is not None]
    return max(confirmed, key=lambda one: one.final.mean if one.final is not None else 0.0, default=None)


def _where(figures: CellFigures) -> str:
    seed = "" if figures.seed is None else f" seed {figures.seed}"
    return f"{figures.workload} {figures.version}{seed}"


def _final(found: Sequence[CellFigures]) -> Target | None:
    """Ours is at least the best rival's: above it, or the interval of the difference holds 0.

    Told as well: in how many cells our interval alone reaches the rival's mean, and the rival's interval alone ours.
    """
    compared: list[tuple[CellFigures, bool, float]] = []
    by_ours = by_rivals = 0
    for cell in found:
        ours, rival = cell.of(OURS), best_rival(cell)
        if ours is not None and ours.final is not None and rival is not None and rival.final is not None:
            ratio = _ratio(ours.final.mean, rival.final.mean)
            # Half of the difference's interval; with both Student's t this is a little wider than Welch's.
            half = math.hypot(ours.final.high - ours.final.mean, rival.final.high - rival.final.mean)
            compared.append((cell, ours.final.mean + half >= rival.final.mean, ratio))
            by_ours += ours.final.high >= rival.final.mean
            by_rivals += ours.final.mean >= rival.final.low
    if not compared:
        return None
    share = statistics.fmean(reached for _, reached, _ in compared)
    return Target(
        "final on-time goodput at least the best rival's (inside the interval of the difference or above)",
        f"in {SHARE_OF_CELLS:.0%} of the cells",
        f"{share:.0%} of {len(compared)} (inside our own interval {by_ours}, inside the rival's {by_rivals}); "
        f"mean ratio {statistics.fmean(ratio for *_, ratio in compared):.3f}",
        share >= SHARE_OF_CELLS,
        _worst((_where(cell), ratio) for cell, reached, ratio in compared if not reached),
    )


def _above_the_median(found: Sequence[CellFigures]) -> Target | None:
    """Ours is above the median of the rivals' means (or that is within our interval)."""
    compared = []
    for cell in found:
        ours, others = cell.of(OURS), [one.final.mean for one in rivals(cell) if one.final is not None]
        if ours is not None and ours.final is not None and others:
            median = statistics.median(others)
            compared.append((cell, ours.final.high >= median, _ratio(ours.final.mean, median)))
    if not compared:
        return None
    return Target(
        "final on-time goodput above the median rival's (inside the interval or above)",
        "in all cells",
        f"{sum(reached for _, reached, _ in compared)} of {len(compared)}",
        all(reached for _, reached, _ in compared),
        _worst((_where(cell), ratio) for cell, reached, ratio in compared if not reached),
    )


def _p99(found: Sequence[CellFigures]) -> Target | None:
    """The median p99 of all confirming windows against that of the best rival by goodput."""
    compared = []
    for cell in found:
        ours, rival = cell.of(OURS), best_rival(cell)
        if ours is not None and ours.p99 is not None and rival is not None and rival.p99 is not None:
            compared.append((cell, _ratio(ours.p99.median, rival.p99.median), ours.p99.low <= P99_TOLERANCE * rival.p99.high))
    if not compared:
        return None
    inside = sum(ratio <= P99_TOLERANCE for _, ratio, _ in compared)
    maybe = sum(ratio <= P99_TOLERANCE or overlaps for _, ratio, overlaps in compared)
    return Target(
        "p99 at most 1.1 times the best rival's",
        "for every workload and version",
        f"{inside} of {len(compared)} ({maybe} as far as the intervals can tell)",
        inside == len(compared),
        _worst(((_where(cell), ratio) for cell, ratio, _ in compared if ratio > P99_TOLERANCE), largest_first=True),
    )


def _while_tuning(found: Sequence[CellFigures]) -> Target | None:
    return _all_of(
        found,
        "mean on-time goodput while tuning, of the best known",
        f"at least {TUNING_SHARE:g} for every workload and version",
        lambda cell, ours: ours.tuning_share,
        TUNING_SHARE,
    )


def _above_every_rival(found: Sequence[CellFigures]) -> Target | None:
    def lead(cell: CellFigures, ours: MethodFigures) -> float | None:
        # A constant explores nothing: where somebody guessed it right beforehand, nothing that learns can do better.
        others = [one.tuning_share for one in rivals(cell) if one.tuning_share is not None and one.method not in CONSTANTS]
        return ours.tuning_share - max(others) if ours.tuning_share is not None and others else None

    wanted = "above that of every rival that tunes, for every workload and version"
    return _all_of(found, "mean on-time goodput while tuning, less the best rival's", wanted, lead, math.ulp(0.0))


def _dead(found: Sequence[CellFigures]) -> Target | None:
    compared = [(cell, ours.dead) for cell in found if (ours := cell.of(OURS)) is not None and cell.best_per_s]
    if not compared:
        return None
    most = max(dead for _, dead in compared)
    return Target(
        "trials that bring nothing in time (the default's counted)",
        f"at most {MOST_DEAD:g} in every cell",
        f"{most:g} at most, {statistics.fmean(dead for _, dead in compared):.1f} on average",
        most <= MOST_DEAD,
        _worst(((_where(cell), dead) for cell, dead in compared if dead > MOST_DEAD), largest_first=True),
    )


def _near(found: Sequence[CellFigures]) -> Target | None:
    compared = [
        (cell, ours.trials_to_near if ours.trials_to_near is not None else math.inf)
        for cell in found
        if (ours := cell.of(OURS)) is not None and cell.best_per_s
    ]
    if not compared:
        return None
    median = statistics.median_high([trials for _, trials in compared])
    return Target(
        "trials until within 5 % of the best known",
        f"at most {TRIALS_TO_NEAR:g} (median over workloads and versions)",
        _trials(median),
        median <= TRIALS_TO_NEAR,
        _worst(((_where(cell), trials) for cell, trials in compared if trials > TRIALS_TO_NEAR), largest_first=True),
    )


def _never_later(found: Sequence[CellFigures]) -> Target | None:
    compared = []
    for cell in found:
        ours, others = cell.of(OURS), rivals(cell)
        if ours is not None and others and cell.best_per_s:
            first = min(one.trials_to_near if one.trials_to_near is not None else math.inf for one in others)
            compared.append((cell, ours.trials_to_near if ours.trials_to_near is not None else math.inf, first))
    if not compared:
        return None
    later = [(cell, mine, first) for cell, mine, first in compared if mine > first]
    return Target(
        "within 5 % of the best known no later than the quickest rival",
        "for every workload and version",
        f"{len(compared) - len(later)} of {len(compared)}",
        not later,
        tuple(f"{_where(cell)} ({_trials(mine)} against {_trials(first)})" for cell, mine, first in later),
    )


def _against_default(found: Sequence[CellFigures]) -> list[Target | None]:
    """The factors over the default, where the workload and version were measured."""

    def received(cell: CellFigures, ours: MethodFigures) -> float | None:
        default = cell.of(DEFAULT)
        if default is None or default.received is None or ours.received is None:
            return None
        return _ratio(ours.received.mean, default.received.mean)

    def on_time(cell: CellFigures, ours: MethodFigures) -> float | None:
        default = cell.of(DEFAULT)
        if default is None or default.final is None or ours.final is None:
            return None
        return _ratio(ours.final.mean, default.final.mean)

    def p99(cell: CellFigures, ours: MethodFigures) -> float | None:
        default = cell.of(DEFAULT)
        if default is None or default.p99 is None or ours.p99 is None:
            return None
        return _ratio(default.p99.median, ours.p99.median)

    def some(workload: str, since: tuple[int, int, int]) -> list[CellFigures]:
        return [cell for cell in found if cell.workload == workload and version_of(cell.version) >= since]

    factor = partial(_all_of, says_most=True)
    late = (2, 0, 16)  # 2.0.11 does not hold the limit of messages in flight: its default does well on these loads
    return [
        factor(some("wan", late), "wan: deliveries, of the default's", "at least 25 times on 2.0.21 and 2.1", received, 25),
        factor(some("fanout", late), "fanout: deliveries, of the default's", "at least 1.7 times", received, 1.7),
        factor(some("fanout", late), "fanout: the default's p99, of ours", "at least 100 times", p99, 100),
        factor(some("telemetry", late), "telemetry: on time, of the default's", "at least 2.5 times", on_time, 2.5),
        factor(
            some("pipeline", (2, 1, 0)), "pipeline: deliveries, of the default's", "at least 1.7 times on 2.1", received, 1.7
        ),
        _all_of(found, "on-time goodput, of the default's", f"nowhere below {NEVER_BELOW:g} times", on_time, NEVER_BELOW),
    ]


def _days(found: Sequence[DayFigures]) -> list[Target | None]:
    made: list[Target | None] = []
    for workload in sorted({day.workload for day in found}):
        compared = [
            (f"{day.version} seed {day.seed}", ours.to_constant)
            for day in found
            if day.workload == workload and (ours := day.of(OURS)) is not None and ours.to_constant is not None
        ]
        if compared:
            least = min(ratio for _, ratio in compared)
            made.append(
                Target(
                    f"{workload}: mean share over the phases, of the best constant's",
                    f"at least {DAY_TO_CONSTANT:g} times",
                    f"{least:.3f} at least, {statistics.fmean(ratio for _, ratio in compared):.3f} on average",
                    least >= DAY_TO_CONSTANT,
                    _worst((where, ratio) for where, ratio in compared if ratio < DAY_TO_CONSTANT),
                )
            )
    return made


def _all_of(
    found: Sequence[CellFigures],
    name: str,
    wanted: str,
    figure: Callable[[CellFigures, MethodFigures], float | None],
    least: float,
    *,
    says_most: bool = False,
) -> Target | None:
    """One figure of ours that has to be at least `least` everywhere; None where there is none.

    Args:
        says_most: also what the luckiest of all methods reached where ours is worst: how much there was to be had.
    """
    values = [
        (cell, value) for cell in found if (ours := cell.of(OURS)) is not None and (value := figure(cell, ours)) is not None
    ]
    if not values:
        return None
    cell, worst = min(values, key=lambda item: item[1])
    most = max(value for one in cell.methods if (value := figure(cell, one)) is not None)
    return Target(
        name,
        wanted,
        f"{_number(worst)} at least ({_where(cell)}{f'; the most of any method: {_number(most)}' if says_most else ''})",
        worst >= least,
        _worst((_where(cell), value) for cell, value in values if value < least),
    )


def _worst(cases: Iterable[tuple[str, float]], *, largest_first: bool = False) -> tuple[str, ...]:
    """Names with figures, the worst first."""
    return tuple(f"{name} ({_number(value)})" for name, value in sorted(cases, key=lambda case: case[1], reverse=largest_first))


def _ratio(value: float, of: float) -> float:
    return value / of if of > 0 else math.inf if value > 0 else 1.0


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "without end"


def _trials(value: float) -> str:
    return f"{value:g} trials" if math.isfinite(value) else "never"
