"""The region of settings that a model may speak about: what was tried, less what can only strangle the load.

Settings are actions (`knobs/codec.py`). Each knob that was moved is an axis with a measure: evenly over the encoded range that
was tried above the floor (`agent/space.py`), "no limit" with the share that the encoding gives it; a switch is off and on in
equal parts. Shares of variance are meant over the product of these measures.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brokertuner_tui.knobs.catalogue import CATALOGUE
from brokertuner_tui.knobs.codec import SPECIAL_FROM

Floats = NDArray[np.float64]

_GRID = 24
_SPECIAL = (SPECIAL_FROM + 1) / 2
_SAME = 1e-9
_LENGTHS = (0.3, 1.5)


@dataclass(frozen=True, slots=True)
class Axis:
    """One knob that was moved."""

    knob: str
    column: int
    """In an action."""
    is_switch: bool
    grid: Floats
    """(g,) ascending: where the measure lies."""
    weight: Floats
    """(g,), summing to 1."""

    def kernel(self, a: Floats, b: Floats) -> Floats:
        """(len(a), len(b)): covariance of two values of the knob, for functions whose mean over the measure is 0 and whose
        variance is 1 on average (the ANOVA kernels of Durrande et al. 2013, J. Multivariate Analysis 115)."""
        if self.is_switch:
            return np.outer(a, b)
        mean_grid = _rough(self.grid, self.grid) @ self.weight
        total = float(mean_grid @ self.weight)
        scale = 1.0 - float(self.weight @ mean_grid**2) / total
        mean_a, mean_b = (_rough(x, self.grid) @ self.weight for x in (a, b))
        centred: Floats = (_rough(a, b) - np.outer(mean_a, mean_b) / total) / max(scale, _SAME)
        return centred


def make_axes(actions: Floats, floor: Floats, left_out: Collection[str]) -> list[Axis]:
    """The axes of settings that were tried.

    Args:
        actions: (n, 11), snapped: what means the same is the same.
        floor: (11,): the least of each knob that does not strangle the load.
        left_out: knobs that cannot matter.
    """
    found = []
    for column, knob in enumerate(CATALOGUE):
        tried = actions[:, column]
        if knob.name in left_out:
            continue
        if knob.scale == "switch":
            if tried.min() < tried.max():
                found.append(Axis(knob.name, column, True, np.array([-1.0, 1.0]), np.array([0.5, 0.5])))
            continue
        worth = tried[tried >= floor[column] - _SAME]
        if worth.size and worth.max() - worth.min() > _SAME:
            found.append(Axis(knob.name, column, False, *_measure(worth, bool(knob.special))))
    return found


def sample(axes: list[Axis], size: int, rng: np.random.Generator) -> Floats:
    """(size, len(axes)): a Latin hypercube of the product measure."""
    columns = []
    for axis in axes:
        level = (rng.permutation(size) + rng.random(size)) / size
        columns.append(axis.grid[np.minimum(np.searchsorted(np.cumsum(axis.weight), level), len(axis.grid) - 1)])
    return np.stack(columns, axis=1)


def _measure(tried: Floats, has_special: bool) -> tuple[Floats, Floats]:
    below = tried[tried < SPECIAL_FROM] if has_special else tried
    if not below.size or below.max() == tried.max():  # "no limit" was not tried
        grid = np.linspace(tried.min(), tried.max(), _GRID)
        return grid, np.full(len(grid), 1 / len(grid))
    # What lies between the largest number that was tried and "no limit" is between two things that were tried.
    low, width = float(below.min()), SPECIAL_FROM - float(below.min())
    grid = np.append(np.linspace(low, SPECIAL_FROM, _GRID - 1), _SPECIAL)
    share = width / (width + 1 - SPECIAL_FROM)
    return grid, np.append(np.full(_GRID - 1, share / (_GRID - 1)), 1 - share)


def _rough(a: Floats, b: Floats) -> Floats:
    """Matérn 3/2 of two lengths at once, in the encoding's units: a step here and a slope over the whole range there."""
    distance = np.sqrt(3.0) * np.abs(a[:, None] - b[None, :])
    parts = [(1 + distance / length) * np.exp(-distance / length) for length in _LENGTHS]
    mixed: Floats = np.mean(parts, axis=0)
    return mixed
