"""How a run measured: how long its windows were, and what went before them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from brokertuner_tui.env.deciding import CLEARLY_WORSE
from brokertuner_tui.store.rows import TrialRow

_LONGER = 1.15
"""Times what was planned: on a busy machine a window is never exactly as long."""


def facts(trials: Sequence[TrialRow]) -> dict[str, str]:
    """Lines for the summary of a run, by what they are about; none where nothing was measured."""
    measured = [trial for trial in trials if trial.window is not None]
    if not measured:
        return {}
    seconds = [trial.window.seconds for trial in measured if trial.window is not None]
    cut = sum(trial.reason.startswith(CLEARLY_WORSE) for trial in measured)
    longer = sum(0 < _LONGER * trial.timings.planned_s < trial.timings.measure_s for trial in measured)
    decided = ", ".join(
        text for count, text in ((cut, f"{cut} cut as clearly worse"), (longer, f"{longer} longer, near the best")) if count
    )
    return {
        "windows": f"{_range(seconds)} s{f': {decided}' if decided else ''}",
        "before each": (
            f"clients back after {_typical([trial.timings.reconnect_s for trial in measured])}, "
            f"settled for {_typical([trial.timings.settle_s for trial in measured])}"
        ),
    }


def what_was_done(trial: TrialRow, changes: str) -> str:
    """What the last column says of a trial: what it changed, or what went wrong."""
    if not trial.reason:
        return changes
    if trial.reason.startswith(CLEARLY_WORSE):
        return f"{changes} ({trial.reason.partition(':')[0]})".strip()
    return trial.reason


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.2g}", f"{max(values):.2g}"
    return low if low == high else f"{low} to {high}"


def _typical(seconds: Sequence[float]) -> str:
    middle, most = statistics.median(seconds), max(seconds)
    return f"{1000 * middle:.0f} ms" + (f" (at most {1000 * most:.0f})" if 1000 * (most - middle) >= 1 else "")
