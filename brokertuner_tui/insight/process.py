"""A model of what settings do, made for a few dozen noisy trials of eleven knobs: a Gaussian process with an ANOVA kernel.

    k(x, x') = s * prod_d (1 + a_d * k_d(x_d, x'_d))

Multiplied out it is a constant, an effect of each knob alone, of each pair, and so on, each with a variance of its own (the
additive Gaussian processes of Duvenaud et al. 2011, NeurIPS); a knob that does nothing has a_d = 0. Against a network, or a
forest, it needs few trials, says what it does not know, and has its shares of variance in closed form.

Priors say that most a_d are next to nothing, and that the noise is about what repeated settings say. `fit` finds the likeliest
weights, `wander` draws from all that are possible: where the trials cannot tell two knobs apart that were moved together, one
draw credits the one and another the other. Several models are made at once, one for each row of `counts`: how often each
setting counts as measured. That serves for the bootstrap as well as for settings that are held back (they count as nothing).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brokertuner_tui.insight.region import Axis

Floats = NDArray[np.float64]

HELD_BACK = 1e-9
"""The count of a setting that a model must not see."""
_JITTER = 1e-6
_LEAST_NOISE = 1e-3
_START, _MUCH_NOISE = 0.15, 0.2
_SHAPE, _SPARSITY = 0.3, 1.0
"""Of the gamma distribution that each a_d has before the trials: most are next to nothing."""
_SURE = 3.0
"""Standard deviation of the logarithm of the noise before the trials: a few repeats that agree by luck shall not count much."""
_SPREAD, _STEP, _FRICTION, _STEEPEST = 1.5, 0.15, 0.9, 40.0
_BOUND = 9.0


@dataclass(frozen=True, slots=True)
class Data:
    """What models are fitted to."""

    stack: Floats
    """(d, n, n), see `kernels`."""
    values: Floats
    """(n,), standardised: mean 0, variance 1."""
    noise: float
    """Variance of one measurement, as far as it is known."""

    @property
    def log_noise(self) -> float:
        """For the prior."""
        return math.log(max(self.noise, _LEAST_NOISE))


@dataclass(frozen=True, slots=True)
class Weights:
    """Of m models over d axes."""

    a: Floats
    """(m, d)"""
    scale: Floats
    """(m,)"""
    noise: Floats
    """(m,): variance of one measurement."""


def kernels(axes: list[Axis], a: Floats, b: Floats) -> Floats:
    """(d, len(a), len(b)): each axis' own covariances of points (n, d)."""
    return np.stack([axis.kernel(a[:, i], b[:, i]) for i, axis in enumerate(axes)])


def covariance(weights: Weights, model: int, stack: Floats, without: int | None = None) -> Floats:
    """What `stack` (d, p, q) gives under one of the models; `without` an axis: of the part that does not depend on it."""
    made: Floats = np.full(stack.shape[1:], weights.scale[model])
    for axis, one in enumerate(stack):
        if axis != without:
            made *= 1 + weights.a[model, axis] * one
    return made


def fit(data: Data, counts: Floats, steps: int) -> Weights:
    """The likeliest weights for every row of `counts` (m, n), by Adam."""
    theta = _start(data, len(counts))
    momentum, square = np.zeros_like(theta), np.zeros_like(theta)
    for step in range(1, steps + 1):
        slope = _slope(theta, data, counts)
        momentum = 0.8 * momentum + 0.2 * slope
        square = 0.95 * square + 0.05 * slope**2
        rate = 0.35 * (1 - 0.8 * step / steps)
        theta = _bounded(theta + rate * momentum / (1 - 0.8**step) / (np.sqrt(square / (1 - 0.95**step)) + 1e-3))
    return _weights(theta)


def wander(data: Data, counts: Floats, start: Weights, steps: int, rng: np.random.Generator) -> Weights:
    """Weights drawn from those that the trials leave possible, one draw for every row of `counts` (m, n).

    Langevin's equation with friction; steps are small enough to do without rejections. Each begins somewhere else, but for
    scale and noise, which are those of `start`'s first model.
    """
    theta = _start(data, len(counts))
    theta[:, :-2] += rng.normal(0.0, _SPREAD, theta[:, :-2].shape)
    theta[:, -2:] = math.log(start.scale[0]), math.log(start.noise[0])
    theta = _bounded(theta)
    speed = rng.standard_normal(theta.shape)
    for _ in range(steps):
        kick = np.clip(_slope(theta, data, counts), -_STEEPEST, _STEEPEST)
        speed = _FRICTION * (speed + _STEP * kick) + math.sqrt(1 - _FRICTION**2) * rng.standard_normal(theta.shape)
        theta = _bounded(theta + _STEP * speed)
    return _weights(theta)


def _start(data: Data, models: int) -> Floats:
    # From much noise: what begins with little explains every trial that was disturbed, and stays with that.
    noise = max(data.log_noise, math.log(_MUCH_NOISE))
    return np.tile([math.log(_START)] * len(data.stack) + [0.0, noise], (models, 1))


def _bounded(theta: Floats) -> Floats:
    bounded: Floats = np.clip(theta, -_BOUND, 3.0)
    return bounded


def _weights(theta: Floats) -> Weights:
    return Weights(np.exp(theta[:, :-2]), np.exp(theta[:, -2]), np.exp(theta[:, -1]))


def precision(weights: Weights, model: int, stack: Floats, counts: Floats) -> Floats:
    """(n, n): the inverse covariance of what was measured."""
    return np.asarray(np.linalg.inv(_matrix(weights, model, stack, counts)), dtype=np.float64)


def predict_held_back(weights: Weights, data: Data, counts: Floats) -> Floats:
    """(m, n): every model's expectation at every setting, from those that it has seen."""
    found = np.empty_like(counts)
    for model, count in enumerate(counts):
        seen = count > HELD_BACK
        own = data.stack[:, seen][:, :, seen]
        weight = precision(weights, model, own, count[seen]) @ data.values[seen]
        found[model] = covariance(weights, model, data.stack[:, :, seen]) @ weight
    return found


def _matrix(weights: Weights, model: int, stack: Floats, counts: Floats) -> Floats:
    return covariance(weights, model, stack) + np.diag(weights.noise[model] / counts + _JITTER)


def _slope(theta: Floats, data: Data, counts: Floats) -> Floats:
    """Gradient of the log of the likelihood and the priors in the logarithms of the weights, shape of `theta`."""
    axes, size = len(data.stack), len(data.values)
    flat = data.stack.reshape(axes, -1)
    a, scale, noise = np.exp(theta[:, :axes]), np.exp(theta[:, axes]), np.exp(theta[:, axes + 1])
    slope = np.empty_like(theta)
    for model in range(len(theta)):  # one at a time: what belongs to one stays in the processor's cache
        factors = 1 + a[model, :, None] * flat
        factors[np.abs(factors) < _JITTER] = _JITTER
        product = np.multiply.reduce(factors, axis=0)
        spread = noise[model] / counts[model]
        inverse = np.linalg.inv(scale[model] * product.reshape(size, size) + np.diag(spread + _JITTER))
        weight = inverse @ data.values
        outer = 0.5 * (np.outer(weight, weight) - inverse)
        pull = scale[model] * outer.reshape(-1) * product
        whole = float(pull.sum())
        # d/d log a of a product with the factor 1 + a k: the product times a k / (1 + a k).
        slope[model, :axes] = whole - (1 / factors) @ pull
        slope[model, axes] = whole
        slope[model, axes + 1] = np.diag(outer) @ spread
    slope[:, :axes] += _SHAPE - _SPARSITY * a
    slope[:, axes] -= theta[:, axes]
    slope[:, axes + 1] -= (theta[:, axes + 1] - data.log_noise) / _SURE**2
    return slope
