"""What earlier runs measured under a load, and how far it is believed.

It is experience like any other, with two differences. What a run measures itself counts more: a setting that is measured
anew is known by that alone. And what is contradicted is forgotten: the machine, or what else runs on it, may have changed, and
a best that was planted, lucky or is out of date must not be held on to. One trial is enough to leave such a setting, two
contradictions end all belief in what was known of that load; the warm-up then begins as if nothing had been known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brokertuner_tui.agent.replay import Batch, Floats
from brokertuner_tui.agent.search import SAME_ACTION, alike, same_load
from brokertuner_tui.agent.space import Actions

_DOUBTS_TO_FORGET = 2


@dataclass(frozen=True, slots=True)
class Earlier:
    """Trials of one load, oldest first."""

    observation: Floats
    """(k, observation)"""
    action: NDArray[np.float64]
    """(k, n): what was executed."""
    reward: Floats
    """(k,)"""
    next_observation: Floats
    """(k, observation)"""
    avoided: Sequence[Actions] = ()
    """(n,) each: what the broker could not live with."""


@dataclass(slots=True)
class _Load:
    context: list[float]
    doubts: int = 0


class Beliefs:
    """The loads that something is known of from earlier runs, and how often that was wrong."""

    def __init__(self, tolerance: float) -> None:
        self._tolerance = tolerance
        self._loads: list[_Load] = []

    def has(self, context: Floats) -> bool:
        """Whether what earlier runs know of this load was taken in."""
        return self._find(context) is not None

    def add(self, context: Floats) -> None:
        """It is taken in now."""
        self._loads.append(_Load([float(number) for number in context]))

    def outdated(self, trials: Batch, context: Floats, action: Actions, reward: float) -> tuple[NDArray[np.bool_], bool]:
        """What is to be dropped of `trials` since `action` was measured anew under this load, and earned `reward`.

        Returns: (B,) which ones, and whether that is all that earlier runs knew of the load.
        """
        earlier = trials.earlier > 0
        if not earlier.any() or (load := self._find(context)) is None:
            return np.zeros(len(earlier), dtype=bool), False
        known = earlier & same_load(trials, context)
        same = known & (np.abs(trials.action - action).max(axis=1) < SAME_ACTION)
        if not same.any():
            return same, False
        told = trials.reward[same]
        if reward < float(told.mean()) - max(self._tolerance, 2 * float(told.std())):
            load.doubts += 1
            if load.doubts >= _DOUBTS_TO_FORGET:
                return known, True
        return same, False

    def state(self) -> list[dict[str, Any]]:
        """For JSON."""
        return [{"context": load.context, "doubts": load.doubts} for load in self._loads]

    def set_state(self, state: Sequence[Mapping[str, Any]]) -> None:
        """From what `state` gave."""
        self._loads = [_Load([float(number) for number in load["context"]], int(load["doubts"])) for load in state]

    def _find(self, context: Floats) -> _Load | None:
        for load in self._loads:
            if alike(np.array([load.context], dtype=np.float32), context)[0]:
                return load
        return None
