"""The different settings that were measured under one load, and whether there is anything to explain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brokertuner_tui.agent.space import MosquittoSpace
from brokertuner_tui.insight.points import Point
from brokertuner_tui.insight.results import Verdict
from brokertuner_tui.insight.weighing import SAME
from brokertuner_tui.insight.words import percent
from brokertuner_tui.knobs import codec
from brokertuner_tui.knobs.catalogue import KnobValues

Floats = NDArray[np.float64]

_FEWEST = 12
"""Different settings; fewer say nothing of eleven knobs."""
_MOST = 60
"""Different settings that a model takes: more take seconds."""
_TYPICAL_NOISE = 0.03
"""Standard deviation of one trial, of the best, until repeats or the windows say better."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Repeats of a setting are one."""

    actions: Floats
    """(n, 11), snapped: what means the same is the same."""
    goodput: Floats
    """(n,): mean of each."""
    counts: Floats
    """(n,)"""
    noise: float
    """Standard deviation of one trial."""
    best: int
    """Which one the figures are about."""
    best_trial: int
    best_knobs: KnobValues

    @property
    def tolerance(self) -> float:
        """What is as good as the best: so much less."""
        return max(SAME * float(self.goodput[self.best]), self.noise)


def measure(points: Sequence[Point], space: MosquittoSpace) -> Measured:
    """From all trials under one load, at least one."""
    actions = space.snap(np.stack([codec.encode(point.knobs) for point in points]))
    distinct, which = np.unique(actions, axis=0, return_inverse=True)
    which = which.reshape(-1)
    goodput = np.array([point.goodput for point in points])
    counts = np.bincount(which).astype(float)
    means = np.bincount(which, weights=goodput) / counts
    degrees = len(points) - len(counts)
    squares = float(((goodput - means[which]) ** 2).sum())
    window = float(np.median([point.stderr for point in points])) or _TYPICAL_NOISE * float(means.max())
    # Repeats know what a window does not: what changes from one trial to the next. Until there are some, windows speak.
    noise = math.sqrt((squares + 2 * window**2) / (degrees + 2))
    named = next((point.best_trial for point in reversed(points) if point.best_trial is not None), None)
    at = next((i for i, point in enumerate(points) if point.trial == named), None)
    if at is None:
        best = int(np.argmax(means - noise / np.sqrt(counts)))
        at = int(np.argmax(which == best))
    chosen = points[at]
    return Measured(distinct, means, counts, noise, int(which[at]), chosen.trial, dict(chosen.knobs))


def too_little(measured: Measured, moved: int) -> tuple[Verdict, str] | None:
    """Verdict and sentence, where there is nothing that a model could be asked.

    Args:
        moved: how many knobs were.
    """
    size, top, bottom = len(measured.counts), float(measured.goodput.max()), float(measured.goodput.min())
    if size < _FEWEST or not moved:
        return "not enough", f"not enough trials to tell: {size} different setting{'s were' if size != 1 else ' was'} measured"
    if top <= 0:
        return "flat", "nothing that was tried delivers anything on time"
    if top - bottom <= SAME * top:
        return "flat", f"no knob shows: all {size} settings that were tried are within {percent(SAME)} of the best"
    if float(np.var(measured.goodput)) <= 1.5 * measured.noise**2 * float(np.mean(1 / measured.counts)):
        return "flat", f"no knob shows: {size} settings differ no more than one that is measured again"
    return None


def representative(measured: Measured) -> NDArray[np.intp]:
    """Which settings a model takes: all of them, or the best one and others evenly over what they deliver."""
    size = len(measured.counts)
    if size <= _MOST:
        return np.arange(size)
    spread = np.argsort(measured.goodput, kind="stable")[np.linspace(0, size - 1, _MOST - 1).astype(int)]
    return np.union1d(spread, [measured.best])
