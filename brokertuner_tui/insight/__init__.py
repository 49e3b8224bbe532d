"""Why: which knobs mattered under which load, how flat the optimum is, and how sure that is.

`explain` needs numpy; reading what it found needs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from brokertuner_tui.insight.ablation import Ablation
from brokertuner_tui.insight.results import AblationInsight, CurvePoint, Estimate, KnobInsight, LoadInsight, from_json, to_json
from brokertuner_tui.insight.words import sentences

if TYPE_CHECKING:  # importing the store imports SQLAlchemy
    from brokertuner_tui.store.rows import TrialRow

__all__ = [
    "AblationInsight",
    "CurvePoint",
    "Estimate",
    "KnobInsight",
    "LoadInsight",
    "explain",
    "from_json",
    "sentences",
    "to_json",
]


def explain(trials: Iterable[TrialRow], ablations: Sequence[Ablation] = ()) -> tuple[LoadInsight, ...]:
    """What the trials of a run taught about each load, in the order in which it was met. Takes about a second a load."""
    from brokertuner_tui.insight.explaining import explain_points
    from brokertuner_tui.insight.points import of_row

    return explain_points((point for trial in trials if (point := of_row(trial)) is not None), ablations)
