"""Which setting is the best so far, when every measurement is noisy.

The best of many single measurements is the luckiest one ("winner's curse"; TUNA, EuroSys'25: up to 63 % of such "best"
settings lose 30 % when run again). So a setting is ranked by what it has shown more than once: the mean of its rewards less
one standard error, and settings at the top are measured again.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

from brokertuner_tui.knobs.catalogue import NAMES, KnobValues, Value

_PRIOR_SD = 0.03
"""Spread of a reward between two runs of one setting, until repeats say better (`on_time` varies by 1 to 4 %)."""
_PRIOR_WEIGHT = 2


@dataclass(slots=True)
class Incumbent:
    """One setting, and what it was worth each time."""

    knobs: dict[str, Value]
    trial: int
    """The trial that tried it first."""
    rewards: list[float] = field(default_factory=list)

    @property
    def mean(self) -> float:
        """Of its rewards."""
        return statistics.fmean(self.rewards)


class Incumbents:
    """The settings that were measured under one profile."""

    def __init__(self) -> None:
        self._settings: dict[tuple[Value, ...], Incumbent] = {}
        self._banned: set[tuple[Value, ...]] = set()

    def add(self, trial: int, knobs: KnobValues, reward: float) -> None:
        """Takes note of one measurement."""
        key = _key(knobs)
        setting = self._settings.setdefault(key, Incumbent(dict(knobs), trial))
        setting.rewards.append(reward)

    def ban(self, knobs: KnobValues) -> None:
        """This setting is never the best, whatever it was worth."""
        self._banned.add(_key(knobs))

    def best(self, pinned: Mapping[str, Value] | None = None) -> Incumbent | None:
        """The setting with the highest mean less one standard error, among those that agree with `pinned`."""
        pins = pinned or {}
        allowed = [s for key, s in self._settings.items() if key not in self._banned]
        fitting = [s for s in allowed if all(s.knobs[name] == value for name, value in pins.items())]
        if not fitting:
            return None
        spread = self.spread()
        return max(fitting, key=lambda s: s.mean - spread / math.sqrt(len(s.rewards)))

    def spread(self) -> float:
        """Standard deviation of one measurement, pooled over the settings that were measured more than once."""
        repeated = [s.rewards for s in self._settings.values() if len(s.rewards) > 1]
        squares = sum(statistics.variance(rewards) * (len(rewards) - 1) for rewards in repeated)
        degrees = sum(len(rewards) - 1 for rewards in repeated)
        return math.sqrt((squares + _PRIOR_WEIGHT * _PRIOR_SD**2) / (degrees + _PRIOR_WEIGHT))


def _key(knobs: KnobValues) -> tuple[Value, ...]:
    return tuple(knobs[name] for name in NAMES)
