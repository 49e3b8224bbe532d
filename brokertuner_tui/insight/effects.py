"""What a fitted model says: shares of variance, and slices through the best setting, as draws from its posterior.

A draw is one function that agrees with the trials. Draws come from several members, each with weights of its own bootstrap, so
that their spread holds both what the trials leave open and what the weights do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brokertuner_tui.insight import process
from brokertuner_tui.insight.process import Weights
from brokertuner_tui.insight.region import Axis, sample

Floats = NDArray[np.float64]

_POINTS, _DRAWS = 96, 12
"""Points of the region over which variance is taken; draws of each member."""
_JITTER = 1e-6


@dataclass(frozen=True, slots=True)
class Fitted:
    """Members, and what they were fitted to."""

    axes: list[Axis]
    points: Floats
    """(n, d)"""
    values: Floats
    """(n,), standardised."""
    counts: Floats
    """(n,)"""
    members: Weights

    def draw(self, member: int, at: Floats, normal: Floats) -> Floats:
        """(k, draws): values of functions from a member's posterior at (k, d) points; `normal`: (k, draws) of N(0, 1)."""
        mean, spread = self._posterior(member, at)
        factor = np.linalg.cholesky(spread + _JITTER * np.eye(len(at)))
        drawn: Floats = mean[:, None] + factor @ normal
        return drawn

    def mean(self, at: Floats) -> Floats:
        """(k,): expectation at (k, d) points, over all members."""
        found: Floats = np.mean([self._posterior(member, at)[0] for member in range(len(self.members.scale))], axis=0)
        return found

    def _posterior(self, member: int, at: Floats) -> tuple[Floats, Floats]:
        own = process.kernels(self.axes, self.points, self.points)
        cross = process.covariance(self.members, member, process.kernels(self.axes, at, self.points))
        prior = process.covariance(self.members, member, process.kernels(self.axes, at, at))
        inverse = process.precision(self.members, member, own, self.counts)
        return cross @ (inverse @ self.values), prior - cross @ inverse @ cross.T


def shares(fitted: Fitted, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Sobol's total and first-order index of every axis: (draws, d) each.

    A function is g + h with g all of its parts that depend on the axis, which are orthogonal to the others; so the total index
    is Var g / Var (g + h). Both are drawn together before the trials are known, and corrected by them after (Matheron's rule).
    """
    total, first = [], []
    at = sample(fitted.axes, _POINTS, rng)
    everywhere = np.concatenate([fitted.points, at])
    stack = process.kernels(fitted.axes, everywhere, everywhere)
    size = len(fitted.points)
    for member in range(len(fitted.members.scale)):
        inverse = process.precision(fitted.members, member, stack[:, :size, :size], fitted.counts)
        deviation = np.sqrt(fitted.members.noise[member] / fitted.counts)[:, None]
        whole = process.covariance(fitted.members, member, stack)
        rows, alone = [], []
        for axis in range(len(fitted.axes)):
            rest = process.covariance(fitted.members, member, stack, without=axis)
            own = fitted.members.scale[member] * fitted.members.a[member, axis] * stack[axis]
            error = deviation * rng.standard_normal((size, _DRAWS))
            rows.append(_share(whole - rest, rest, inverse, fitted.values, error, rng))
            alone.append(_share(own, whole - own, inverse, fitted.values, error, rng))
        total.append(np.stack(rows, axis=1))
        first.append(np.stack(alone, axis=1))
    return np.concatenate(total), np.minimum(np.concatenate(first), np.concatenate(total))


def _share(part: Floats, rest: Floats, inverse: Floats, values: Floats, error: Floats, rng: np.random.Generator) -> Floats:
    """(draws,): share of the variance that `part` has in `part + rest`, both covariances over the trials and the region."""
    size, draws = error.shape
    ours, others = (_prior(covariance, draws, rng) for covariance in (part, rest))
    correction = inverse @ (values[:, None] - ours[:size] - others[:size] - error)
    ours = ours[size:] + part[size:, :size] @ correction
    others = others[size:] + rest[size:, :size] @ correction
    # The rest's mean is no effect of anything.
    variance: Floats = ours.var(axis=0) / np.maximum((ours + others).var(axis=0), 1e-12)
    return np.clip(variance, 0.0, 1.0)


def _prior(covariance: Floats, draws: int, rng: np.random.Generator) -> Floats:
    factor = np.linalg.cholesky(covariance + _JITTER * np.eye(len(covariance)))
    drawn: Floats = factor @ rng.standard_normal((len(covariance), draws))
    return drawn


def slices(fitted: Fitted, at: Floats, rng: np.random.Generator) -> Floats:
    """(k, draws): what is to be expected at (k, d) points, jointly."""
    normal = rng.standard_normal((len(fitted.members.scale), len(at), _DRAWS))
    return np.concatenate([fitted.draw(member, at, one) for member, one in enumerate(normal)], axis=1)
