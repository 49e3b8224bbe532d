"""CMA-ES by the package `cmaes`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from brokertuner_tui.bench.method import Task
from brokertuner_tui.bench.methods.rival import FAILED_REWARD, Rival
from brokertuner_tui.env.outcome import Outcome
from brokertuner_tui.knobs.catalogue import NAMES
from brokertuner_tui.knobs.codec import Action, encode

if TYPE_CHECKING:
    from cmaes import CMA

_SIGMA = 2.0 / 5
"""A fifth of the domain's width, as in the example with bounds in the package's own README."""


class CmaEs(Rival):
    """Begins at the best of the warm-up (the default included); 11 points a generation, by the package's default.

    A failed trial counts as the worst that was seen, since a generation must be told as a whole.
    """

    name = "cmaes"

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._cma: CMA | None = None
        self._start, self._start_reward = encode(task.defaults), -np.inf
        self._worst: float | None = None
        self._generation: list[tuple[Action, float]] = []

    def _propose(self) -> Action:
        from cmaes import CMA

        if self._cma is None:
            bounds = np.tile([-1.0, 1.0], (len(NAMES), 1))
            self._cma = CMA(mean=self._start, sigma=_SIGMA, bounds=bounds, seed=self._task.seed)
        return np.asarray(self._cma.ask())

    def _answer(self, action: Action, outcome: Outcome, reward: float | None) -> None:
        assert self._cma is not None
        self._note(reward)
        if reward is None:
            reward = FAILED_REWARD if self._worst is None else self._worst
        self._generation.append((action, -reward))  # it minimises
        if len(self._generation) == self._cma.population_size:
            self._cma.tell(self._generation)
            self._generation = []

    def _take(self, action: Action, outcome: Outcome, reward: float | None) -> None:
        self._note(reward)
        if reward is not None and reward > self._start_reward:
            self._start, self._start_reward = action, reward

    def _note(self, reward: float | None) -> None:
        if reward is not None:
            self._worst = reward if self._worst is None else min(self._worst, reward)
