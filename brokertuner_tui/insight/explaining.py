"""From trials to what they taught, load by load. `process` says how a model is made, `effects` what is asked of it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brokertuner_tui.agent.space import MosquittoSpace
from brokertuner_tui.env.slo import context
from brokertuner_tui.insight import process
from brokertuner_tui.insight.ablation import Ablation
from brokertuner_tui.insight.effects import Fitted
from brokertuner_tui.insight.findings import Findings, Scale, find, unmoved
from brokertuner_tui.insight.measured import Measured, measure, representative, too_little
from brokertuner_tui.insight.merging import merge
from brokertuner_tui.insight.points import Point
from brokertuner_tui.insight.process import Data, Weights
from brokertuner_tui.insight.region import Axis, make_axes
from brokertuner_tui.insight.results import LoadInsight, Verdict
from brokertuner_tui.insight.still import Why, why_still
from brokertuner_tui.insight.words import percent
from brokertuner_tui.knobs.catalogue import defaults

Floats = NDArray[np.float64]

_MEMBERS, _FOLDS, _DRAWS = 8, 5, 3
_STEPS = 50
_PREDICTS = 0.3
"""Share of what is held back that has to be predicted."""


class OutOfTime(Exception):
    """It takes longer than was allowed."""


def explain_points(
    points: Iterable[Point], ablations: Sequence[Ablation] = (), *, limit_s: float | None = None
) -> tuple[LoadInsight, ...]:
    """What the trials taught about each load, in the order in which it was met.

    Args:
        ablations: what was measured beside the trials; of several under one load, the last one of its best setting counts.
        limit_s: give up after so many seconds.

    Raises:
        OutOfTime: it took longer.
    """
    until = math.inf if limit_s is None else time.monotonic() + limit_s
    loads: dict[str, list[Point]] = {}
    for point in points:
        loads.setdefault(point.profile.name, []).append(point)
    return tuple(_with_ablation(points, ablations, until) for points in loads.values())


def _with_ablation(points: Sequence[Point], ablations: Sequence[Ablation], until: float) -> LoadInsight:
    space = MosquittoSpace()
    measured = measure(points, space)
    load = _explain(points, measured, space, until)
    for ablation in reversed(ablations):
        if ablation.profile == load.profile and dict(ablation.best_knobs) == dict(load.best_knobs):
            return merge(load, ablation)
    return load


def _explain(points: Sequence[Point], measured: Measured, space: MosquittoSpace, until: float) -> LoadInsight:
    last = points[-1]
    still = why_still(points)
    floor = space.floor(np.array(context(last.profile, last.version), dtype=np.float32))
    axes = make_axes(measured.actions, floor, still)
    if little := too_little(measured, len(axes)):
        return _insight(points, measured, still, *little)
    problem = _Problem.of(measured, axes, np.random.default_rng(0), until)
    explained = problem.predicts()
    if explained < _PREDICTS:
        size = len(measured.counts)
        share = percent(explained)
        why = f"not enough trials to tell: {size} settings, and what one does is predicted from the others to {share} only"
        return _insight(points, measured, still, "not enough", why, explained)
    scale = Scale(problem.centre, problem.unit, float(measured.goodput.max()))
    findings = find(problem.members(), measured, scale, defaults(last.version), still, problem.rng)
    return _insight(points, measured, still, "explained", "", explained, findings)


def _insight(
    points: Sequence[Point],
    measured: Measured,
    still: dict[str, Why],
    verdict: Verdict,
    why: str,
    explained: float | None = None,
    findings: Findings | None = None,
) -> LoadInsight:
    last = points[-1]
    others = unmoved(defaults(last.version), measured.best_knobs, still, "no sign" if verdict == "flat" else "unclear")
    return LoadInsight(
        profile=last.profile.name,
        verdict=verdict,
        why=why,
        trials=len(points),
        settings=len(measured.counts),
        in_percent=last.in_percent,
        noise=measured.noise,
        explained=explained,
        tolerance=measured.tolerance,
        best_trial=measured.best_trial,
        best_knobs=measured.best_knobs,
        best=findings.best if findings else None,
        default=findings.default if findings else None,
        knobs=findings.knobs if findings else tuple(others.values()),
    )


@dataclass(frozen=True, slots=True)
class _Problem:
    """What models are fitted to: standardised, as many settings as there is time for."""

    axes: list[Axis]
    points: Floats
    """(n, d)"""
    counts: Floats
    """(n,)"""
    data: Data
    start: Weights
    """The likeliest ones."""
    centre: float
    unit: float
    rng: np.random.Generator
    until: float

    @classmethod
    def of(cls, measured: Measured, axes: list[Axis], rng: np.random.Generator, until: float) -> _Problem:
        """From what was measured."""
        chosen = representative(measured)
        raw, counts = measured.goodput[chosen], measured.counts[chosen]
        centre, unit = float(raw.mean()), float(raw.std())
        points = measured.actions[chosen][:, [axis.column for axis in axes]]
        stack = process.kernels(axes, points, points)
        data = Data(stack, (raw - centre) / unit, (measured.noise / unit) ** 2)
        return cls(axes, points, counts, data, process.fit(data, counts[None], _STEPS), centre, unit, rng, until)

    def members(self) -> Fitted:
        """Each on weights of the trials that it draws (the Bayesian bootstrap)."""
        data, counts = self.data, self.counts
        drawn = np.maximum(self.rng.exponential(1.0, (_MEMBERS, len(counts))), 0.02)
        members = process.wander(data, counts * drawn, self.start, _STEPS, self.rng)
        self.hurry()
        return Fitted(self.axes, self.points, data.values, counts, members)

    def predicts(self) -> float:
        """Share of the variance of settings that is predicted by a model which has not seen them; noise does not count."""
        values = self.data.values
        fold = self.rng.permutation(len(values)) % _FOLDS
        without = np.where(fold[None] == np.arange(_FOLDS)[:, None], process.HELD_BACK, self.counts)
        draws = without.repeat(_DRAWS, 0)
        weights = process.wander(self.data, draws, self.start, _STEPS, self.rng)
        expected = process.predict_held_back(weights, self.data, draws).reshape(_FOLDS, _DRAWS, -1).mean(axis=1)
        self.hurry()
        seen = np.array([values[fold != one].mean() for one in range(_FOLDS)])[fold]
        error = float(np.mean((values - expected[fold, np.arange(len(fold))]) ** 2))
        variance = float(np.mean((values - seen) ** 2))
        unavoidable = min(self.data.noise * float(np.mean(1 / self.counts)), 0.9 * error)
        return min(1.0, 1 - (error - unavoidable) / (variance - unavoidable))

    def hurry(self) -> None:
        """Raises OutOfTime when it is."""
        if time.monotonic() > self.until:
            raise OutOfTime
