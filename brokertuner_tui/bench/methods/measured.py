"""What was measured so far, whatever the load: how a method that knows one problem only names its best setting."""

from __future__ import annotations

import statistics

from brokertuner_tui.knobs.catalogue import NAMES, KnobValues, Value


class Measured:
    """Rewards by setting."""

    def __init__(self, default: KnobValues) -> None:
        self._default = dict(default)
        self._rewards: dict[tuple[Value, ...], list[float]] = {}

    def add(self, knobs: KnobValues, reward: float | None) -> None:
        """Takes note of one trial; None: it says nothing."""
        if reward is not None:
            self._rewards.setdefault(tuple(knobs[name] for name in NAMES), []).append(reward)

    def best(self) -> dict[str, Value]:
        """The setting with the highest mean reward, the first of equals; the default before there is one."""
        if not self._rewards:
            return dict(self._default)
        best = max(self._rewards, key=lambda key: statistics.fmean(self._rewards[key]))
        return dict(zip(NAMES, best, strict=True))
