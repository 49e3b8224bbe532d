"""What an ablation says of each knob, with intervals.

The windows of one turn are a block: a drift of the machine takes from one setting what it takes from the others. The noise is
pooled over all settings that do about what the best does (the residuals of a randomised block design), since a handful of
windows of one setting alone say little about it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from brokertuner_tui.insight.ablation import BEST, SIMPLEST, Ablation, AblationWindow
from brokertuner_tui.insight.results import Estimate
from brokertuner_tui.student import t95
from brokertuner_tui.workload.window import Window

SAME = 0.02
"""Of the best: what is as good."""
LITTLE = 0.05
"""Of the best: what a knob that shows nothing may still be worth, and what a simpler setting may still cost."""
_NEAR = 0.5
"""A setting that delivers less than this share of the best has a noise of its own."""
_SLOWER = 1.5
"""So many times the best's p99, in every one of its windows, is no chance."""
_PRIOR_WEIGHT, _ENOUGH = 2, 4
"""Degrees of freedom that a window's own word about its noise counts as, and from which it is not needed: a window knows
nothing of what changes from one to the next."""


@dataclass(frozen=True, slots=True)
class Worth:
    """What is lost without something."""

    costs: Estimate
    """On-time goodput, in the windows' unit."""
    p99_ms: float
    """Median over its windows; NaN where nothing was delivered."""
    slower: bool
    """Whether its p99 is clearly above the best's."""
    matters: bool
    shows_nothing: bool
    """It is worth `LITTLE` at most."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """What an ablation says."""

    best: Estimate
    best_p99_ms: float
    windows: int
    """Of each knob."""
    knobs: Mapping[str, Worth]
    """By the knob that was set back."""
    simplest: Worth | None

    @property
    def simplest_is_as_good(self) -> bool:
        """Whether the simpler setting costs `LITTLE` at most, and is not clearly slower."""
        return self.simplest is not None and self.simplest.costs.high <= LITTLE * self.best.mean and not self.simplest.slower


def weigh(ablation: Ablation) -> Weighed | None:
    """None: there is no turn in which the best and something else were measured."""
    turns: dict[int, dict[str, AblationWindow]] = {}
    for one in ablation.windows:
        turns.setdefault(one.turn, {})[one.of] = one
    names = {one.of for one in ablation.windows} - {BEST}
    paired = {name: [(turn[BEST], turn[name]) for turn in turns.values() if BEST in turn and name in turn] for name in names}
    paired = {name: pairs for name, pairs in paired.items() if pairs}
    if not paired:
        return None
    best = [one.window for one in ablation.windows if one.of == BEST]
    mean = statistics.fmean(window.goodput for window in best)
    variance, degrees = _noise(turns, paired, mean)
    found = {}
    for name, pairs in paired.items():
        lost = [a.window.goodput - b.window.goodput for a, b in pairs]
        is_near = statistics.fmean(b.window.goodput for _, b in pairs) >= _NEAR * mean
        if is_near or len(lost) < 2:
            half = t95(degrees) * math.sqrt(2 * variance / len(lost))
        else:
            half = t95(len(lost) - 1) * statistics.stdev(lost) / math.sqrt(len(lost))
        found[name] = _worth(lost, half, pairs, mean)
    half = t95(degrees) * math.sqrt(variance / len(best))
    simplest = found.pop(SIMPLEST, None)
    if simplest is None and len(ablation.dropped) == 1:  # it was measured among the others
        simplest = found.get(ablation.dropped[0])
    elif not ablation.dropped:  # it was given up
        simplest = None
    windows = min((len(paired[name]) for name in found), default=0)
    return Weighed(Estimate(mean, max(0.0, mean - half), mean + half), _p99(best), windows, found, simplest)


def _noise(
    turns: Mapping[int, Mapping[str, AblationWindow]],
    paired: Mapping[str, Sequence[tuple[AblationWindow, AblationWindow]]],
    mean: float,
) -> tuple[float, int]:
    """Variance of one window, and its degrees of freedom."""
    first = [turn for turn in turns.values() if BEST in turn and SIMPLEST not in turn] or list(turns.values())
    near = [
        name
        for name, pairs in paired.items()
        if all(name in turn for turn in first) and statistics.fmean(b.window.goodput for _, b in pairs) >= _NEAR * mean
    ]
    rows = [[turn[name].window.goodput for turn in first] for name in (BEST, *near)]
    by_turn = [statistics.fmean(column) for column in zip(*rows, strict=True)]
    whole = statistics.fmean(by_turn)
    squares = sum(
        (value - statistics.fmean(row) - column + whole) ** 2
        for row in rows
        for value, column in zip(row, by_turn, strict=True)
    )
    degrees = (len(rows) - 1) * (len(first) - 1)
    if degrees >= _ENOUGH:
        return squares / degrees, degrees
    own = statistics.median(turn[BEST].window.goodput_stderr for turn in first)
    return (squares + _PRIOR_WEIGHT * own**2) / (degrees + _PRIOR_WEIGHT), degrees + _PRIOR_WEIGHT


def _worth(lost: Sequence[float], half: float, pairs: Sequence[tuple[AblationWindow, AblationWindow]], best: float) -> Worth:
    mean = statistics.fmean(lost)
    costs = Estimate(mean, mean - half, mean + half)
    fast, slow = [a.window for a, _ in pairs], [b.window for _, b in pairs]
    p99, best_p99 = _p99(slow), _p99(fast)
    slower = (
        len(pairs) > 3
        and p99 >= _SLOWER * best_p99
        and min(window.p99_ms for window in slow) > max(window.p99_ms for window in fast)
    )
    matters = slower or (costs.low > 0 and costs.mean >= SAME * best)
    return Worth(costs, p99, slower, matters, not matters and costs.high <= LITTLE * best)


def _p99(windows: Sequence[Window]) -> float:
    known = [window.p99_ms for window in windows if not math.isnan(window.p99_ms)]
    return statistics.median(known) if known else math.nan
