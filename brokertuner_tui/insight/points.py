"""What `explain` goes by: the trials that were measured, one point each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from brokertuner_tui.knobs.catalogue import KnobValues, Value, Version
from brokertuner_tui.workload.profile import Profile

if TYPE_CHECKING:  # importing the store imports SQLAlchemy
    from brokertuner_tui.store.rows import TrialRow
    from brokertuner_tui.tuning.events import TrialFinished


@dataclass(frozen=True, slots=True)
class Point:
    """One trial that was measured."""

    trial: int
    profile: Profile
    version: Version
    knobs: KnobValues
    goodput: float
    """`Window.goodput`: on-time deliveries a second, or per cent of live traffic."""
    stderr: float
    """Of that, as the window itself tells."""
    in_percent: bool = False
    pinned: Mapping[str, Value] | None = None
    best_trial: int | None = None
    """The trial of the best setting under this load when this one had ended."""


def of_row(row: TrialRow) -> Point | None:
    """From the store; None: it was not measured."""
    window = row.window
    if row.verdict != "ok" or window is None:
        return None
    return Point(
        row.number,
        Profile.from_dict(row.profile),
        row.version,
        row.knobs,
        window.goodput,
        window.goodput_stderr,
        window.live is not None,
        row.pinned,
        row.best_trial,
    )


def of_event(event: TrialFinished, pinned: Mapping[str, Value] | None = None) -> Point | None:
    """From a session; None: it was not measured."""
    outcome, window = event.outcome, event.outcome.window
    if outcome.verdict != "ok" or window is None:
        return None
    return Point(
        event.trial,
        outcome.profile,
        outcome.version,
        outcome.knobs,
        window.goodput,
        window.goodput_stderr,
        window.live is not None,
        pinned,
        event.best_trial,
    )
