"""What windows have shown, setting by setting: what the next one is decided against (`env/deciding.py`)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence

from brokertuner_tui.env.deciding import Best
from brokertuner_tui.env.outcome import Outcome, Verdict
from brokertuner_tui.knobs.catalogue import NAMES, KnobValues, Value
from brokertuner_tui.tuning.events import TrialKind

_PRIOR_SPREAD = 0.03
"""Of one window's figure, as a share of it, until repeats say better (1 to 4 % of saturated loads)."""
_PRIOR_WEIGHT = 2
_ADAPTED = (TrialKind.WARM_UP, TrialKind.AGENT)
"""Other trials are references, or a person's: they are measured in full."""

_Key = tuple[Value, ...]


class Windows:
    """Remembers the on-time goodput of whole windows under loads of our own making. Used by the session's thread.

    Args:
        adaptive: whether windows may be shorter or longer than usual. With the preset `classic` they are not: what that is
            after is not on-time goodput.
    """

    def __init__(self, *, adaptive: bool = True) -> None:
        self._adaptive = adaptive
        self._seen: dict[str, dict[_Key, list[float]]] = {}

    def take_in(self, outcome: Outcome) -> None:
        """Takes note of a trial, if it was measured in full."""
        window = outcome.window
        if outcome.verdict is Verdict.OK and window is not None and window.live is None and not outcome.reason:
            seen = self._seen.setdefault(outcome.profile.name, {})
            seen.setdefault(_key(outcome.knobs), []).append(window.on_time_per_s)

    def against(self, kind: TrialKind, profile: str, best: KnobValues | None) -> Best | None:
        """What a trial of this kind is decided against; None: it is measured as long as usual.

        Args:
            best: the best setting so far.
        """
        seen = self._seen.get(profile, {})
        values = seen.get(_key(best)) if best is not None else None
        if not self._adaptive or kind not in _ADAPTED or not values:
            return None
        mean = statistics.fmean(values)
        # What hardly delivers varies by factors: that says nothing about the others.
        spread = mean * _relative_spread([others for others in seen.values() if statistics.fmean(others) > mean / 2])
        return Best(mean, spread / math.sqrt(len(values)), spread)


def _relative_spread(settings: Iterable[Sequence[float]]) -> float:
    """Standard deviation of one window as a share of its setting's mean, pooled over those that were measured repeatedly."""
    squares, degrees = _PRIOR_WEIGHT * _PRIOR_SPREAD**2, _PRIOR_WEIGHT
    for values in settings:
        mean = statistics.fmean(values)
        if len(values) > 1 and mean > 0:
            squares += sum((value / mean - 1) ** 2 for value in values)
            degrees += len(values) - 1
    return math.sqrt(squares / degrees)


def _key(knobs: KnobValues) -> _Key:
    return tuple(knobs[name] for name in NAMES)
