"""Exploration noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class GaussianNoise:
    """Independent normal numbers whose deviation shrinks by `decay` with every trial, down to `least`."""

    def __init__(self, deviation: float, decay: float, least: float) -> None:
        self._first, self._decay, self._least = deviation, decay, least
        self.steps = 0

    @property
    def deviation(self) -> float:
        """The present standard deviation."""
        return max(min(self._least, self._first), self._first * self._decay**self.steps)

    def draw(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        """Shape (size,)."""
        return rng.normal(0.0, self.deviation, size)
