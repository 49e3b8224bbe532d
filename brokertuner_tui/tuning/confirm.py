"""Proves, or fails to prove, that the best setting beats the default: both measured in turns, in one go."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from brokertuner_tui.env.outcome import Outcome, Verdict
from brokertuner_tui.knobs.catalogue import KnobValues, Value
from brokertuner_tui.tuning import statistics
from brokertuner_tui.tuning.events import Confirmed
from brokertuner_tui.workload.window import Window

Which = Literal["default", "best"]
_RETRIES = 3


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The verdict, and every window that it rests on, in the order of measuring."""

    event: Confirmed
    windows: tuple[tuple[Which, Window], ...]


def confirm(
    default: KnobValues,
    best: KnobValues,
    best_trial: int,
    pairs: int,
    *,
    measure: Callable[[KnobValues], Outcome],
    interrupted: Callable[[], bool],
    progress: Callable[[int, int], None],
) -> Confirmation | None:
    """Measures default and best in turns, `pairs` times each; None when interrupted or when it cannot be measured.

    The order within a pair alternates, so that a drift of the machine favours neither.
    """
    windows: list[tuple[Which, Window]] = []
    profile = ""
    for pair in range(pairs):
        order: list[tuple[Which, KnobValues]] = [("default", default), ("best", best)]
        for which, knobs in order if pair % 2 == 0 else reversed(order):
            outcome = measured(knobs, measure, interrupted)
            if outcome is None or outcome.window is None:
                return None
            profile = outcome.profile.name
            windows.append((which, outcome.window))
            progress(len(windows), 2 * pairs)
    return Confirmation(_verdict(windows, best, best_trial, profile), tuple(windows))


def measured(knobs: KnobValues, measure: Callable[[KnobValues], Outcome], interrupted: Callable[[], bool]) -> Outcome | None:
    """A window that was measured; None when interrupted, or when it cannot be."""
    for _ in range(_RETRIES):
        if interrupted():
            return None
        outcome = measure(knobs)
        if outcome.verdict is Verdict.OK:
            return outcome
    return None


def _verdict(windows: list[tuple[Which, Window]], best_knobs: Mapping[str, Value], best_trial: int, profile: str) -> Confirmed:
    default = [window for which, window in windows if which == "default"]
    best = [window for which, window in windows if which == "best"]
    default_goodput = statistics.figures(default, default)
    best_goodput = statistics.figures(best, default)
    ratio = statistics.ratio(best_goodput, default_goodput)
    return Confirmed(
        at=time.time(),
        profile=profile,
        default=statistics.measured(default),
        best=statistics.measured(best, default),
        best_knobs=dict(best_knobs),
        best_trial=best_trial,
        ratio_low=ratio.low,
        ratio_high=ratio.high,
        better=statistics.is_better(best_goodput, default_goodput),
    )
