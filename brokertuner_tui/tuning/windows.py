"""What windows have shown, setting by setting: what the next one is decided against (`env/deciding.py`)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from brokertuner_tui.env.deciding import Best
from brokertuner_tui.env.outcome import Outcome, Verdict
from brokertuner_tui.knobs.catalogue import NAMES, KnobValues, Value
from brokertuner_tui.tuning.events import TrialKind

_PRIOR_SPREAD = 0.03
"""Of one window's figure, as a share of it, until repeats say better (1 to 4 % of saturated loads)."""
_PRIOR_WEIGHT = 2
_DRIFT_SHARE = 0.1
"""The default that does so much better or worse than before is worth a word, if it is more than noise."""
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

    def drift(self, outcome: Outcome) -> str:
        """What a trial of the default says of the machine, before it is taken in; empty: it is as it was."""
        seen = self._seen.get(outcome.profile.name, {})
        before, window = seen.get(_key(outcome.knobs)), outcome.window
        if not before or window is None or window.live is not None:
            return ""
        was, now = statistics.fmean(before), window.on_time_per_s
        noise = 2 * _relative_spread(_comparable(seen, was)) * math.sqrt(1 + 1 / len(before))
        if abs(now - was) <= max(noise, _DRIFT_SHARE) * max(was, now):
            return ""
        return (
            f"the default delivers {now:,.0f}/s on time, and did {was:,.0f}/s before: "
            "the machine has changed, and trials of then and now do not compare well"
        )

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
        spread = mean * _relative_spread(_comparable(seen, mean))
        return Best(mean, spread / math.sqrt(len(values)), spread)


def _comparable(seen: Mapping[_Key, list[float]], mean: float) -> list[list[float]]:
    """Settings that are not much worse: what hardly delivers varies by factors, which says nothing about the others."""
    return [values for values in seen.values() if statistics.fmean(values) > mean / 2]


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
