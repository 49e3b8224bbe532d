"""A model of one workload, fitted to the recorded trials: what a setting is worth on each version, and how much it scatters.

Extremely randomised trees (scikit-learn's, Geurts et al. 2006) that predict all figures at once: limits act like cliffs, which
trees follow and a Gaussian process smears out; `benchmarks/surrogate.py` shows how well trials are predicted that were held
back. They are fitted when they are first asked for, a few seconds a workload, and kept for the life of the process. Trials that
other processes disturbed count little, and how much CPU those took is an input, so that they tell where the limits are, but not
how fast the machine is.

**Noise.** How far a trial lies from what the model, fitted without it, says of it. A sample takes the deviation of one of the
recorded trials whose predictions are the most alike (a queue on the edge scatters otherwise than a broker at rest). Part of
that is the model's own error; repeats of one and the same setting, of which there are many, say how large a part, and all
deviations are scaled down by it.

**Failures** hardly depend on the load, but on the memory that the broker may use and on its version: one model for all. What is
certain (`features.py`) is not left to the trees.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from brokertuner_tui.bench.surrogate.dataset import WINDOW_S, Recorded, load
from brokertuner_tui.bench.surrogate.features import FEATURE_NAMES, Features, features
from brokertuner_tui.config.workloads import shipped_tables
from brokertuner_tui.errors import UsageError
from brokertuner_tui.knobs.catalogue import KnobValues, Value, Version
from brokertuner_tui.workload.profile import Profile

if TYPE_CHECKING:
    from sklearn.ensemble import ExtraTreesRegressor

Array = NDArray[np.float64]

OUTPUTS = (
    "on_time",
    "received",
    "log_p50",
    "log_p99",
    "log_max",
    "sent",
    "missing",
    "lost",
    "duplicated",
    "stderr",
    "generator_cpu",
    "cpu",
    "log_rss",
    "log_ctx",
)
"""What is predicted: rates of deliveries a second as shares of the workload's scale, `sent` in messages a second as a share of
it, latencies in the logarithm of ms, cores, the logarithm of bytes and of 1 + switches a second."""
_WEIGHTS = np.array([4.0, 2.0, 1.0, 1.0, *[0.3] * (len(OUTPUTS) - 4)])
"""How much a split cares for each of them."""
_NOISY = 7
"""So many of the first ones scatter from window to window by the recorded deviations."""
_TREES = 60
_LEAF_OF_CLOSED_LOOP = 3
"""Fewer trials in a leaf predict no better there, and make a peak of every lucky window."""
_DISTURBED_WEIGHT = 0.2
_FOLDS, _TREES_OF_A_FOLD = 4, 20
_ALIKE = 16
_DRIFT_SHARE = 0.5
"""Of the noise's variance, what a longer window does not average out: the machine is faster or slower for a while."""
_OF_FAILURE = [FEATURE_NAMES.index(name) for name in ("since_2_0_16", "since_2_1", "memory")]
_BLOCKED = [FEATURE_NAMES.index(name) for name in ("packet_blocked", "message_blocked")]
_DELIVERIES = [OUTPUTS.index(name) for name in ("on_time", "received")]
_CONNECT_BYTES = 30
"""A client's first packet: with a max_packet_size below that, none gets in."""


@dataclass(frozen=True, slots=True)
class Expected:
    """Figures of a window, per second where a rate makes sense; without noise the means."""

    on_time_per_s: float
    received_per_s: float
    sent_per_s: float
    missing_per_s: float
    lost_per_s: float
    duplicated_per_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    stderr: float
    """Of `on_time_per_s` in a window of `WINDOW_S`."""
    generator_cpu: float
    """Cores."""
    cpu: float
    """Per cent of a core."""
    rss: int
    """Bytes."""
    ctx: float
    """Context switches a second."""


class Model:
    """One workload on every version that was recorded, from its trials among `trials`.

    Raises:
        UsageError: scikit-learn is not installed.
    """

    def __init__(self, profile: Profile, trials: Sequence[Recorded]) -> None:
        self.profile = profile
        self.trials = [trial for trial in trials if trial.workload == profile.name and trial.figures]
        self.calm = np.array([not trial.disturbed for trial in self.trials])
        """Which of them say how fast the machine is."""
        self.scale = scale_of(profile, self.trials)
        """Deliveries a second that count as 1: those offered, or in a closed loop the most that were received."""
        inputs = [features(profile, trial.version, [trial.knobs], trial.interference) for trial in self.trials]
        self._inputs = np.vstack(inputs)
        self._targets = np.array([targets(trial, profile, self.scale) for trial in self.trials])
        self._weights = np.where(self.calm, 1.0, _DISTURBED_WEIGHT)
        self._leaf = 1 if profile.rate > 0 else _LEAF_OF_CLOSED_LOOP
        self._trees = fit(self._inputs, self._targets, self._weights, self._leaf)
        self._deviations, self._held_back = self._scatter()
        self._alike_scale = self._held_back[:, :4].std(axis=0) + 1e-9

    def expected(self, version: Version, knobs: KnobValues) -> Expected:
        """The mean."""
        return self._expected(self.raw(features(self.profile, version, [knobs]))[0])

    def sample(self, version: Version, knobs: KnobValues, seconds: float, rng: np.random.Generator) -> Expected:
        """What a window of `seconds` may show."""
        inputs = features(self.profile, version, [knobs])
        raw = self.raw(inputs)[0]
        distance = (((self._held_back[:, :4] - raw[:4]) / self._alike_scale) ** 2).sum(axis=1)
        alike = self._deviations[np.argpartition(distance, min(_ALIKE, len(distance) - 1))[:_ALIKE]]
        widest = 2.5 * 1.4826 * np.median(np.abs(alike), axis=0) + 1e-3  # a model's miss is not the broker's noise
        one, other = np.clip(alike[rng.integers(len(alike), size=2)], -widest, widest)
        drawn = 0.8 * one + 0.6 * other  # as wide as one of them, and not the same sixteen numbers again and again
        by_length = (_DRIFT_SHARE + (1 - _DRIFT_SHARE) * WINDOW_S / seconds) ** 0.5
        raw[:_NOISY] += drawn[:_NOISY] * by_length
        return self._expected(_certain(raw[None], inputs)[0])

    def raw(self, inputs: Features) -> Array:
        """(n, len(OUTPUTS)) for (n, len(FEATURE_NAMES))."""
        return _certain(predict(self._trees, inputs), inputs)

    def repeats(self) -> list[list[int]]:
        """Which of the calm trials have one and the same setting and version: groups of three and more of their indices."""
        groups: dict[bytes, list[int]] = defaultdict(list)
        for row, numbers in enumerate(self._inputs[self.calm, :-1]):
            groups[numbers.tobytes()].append(row)
        return [rows for rows in groups.values() if len(rows) >= 3]

    def held_back(self, folds: int, seed: int = 0) -> Array:
        """(n, outputs): each trial as predicted without its fold; of the disturbed ones, as if they had not been."""
        fold = np.random.default_rng(seed).permutation(len(self._inputs)) % folds
        asked, predicted = self._inputs.copy(), np.empty_like(self._targets)
        asked[:, -1] = 0.0
        for number in range(folds):
            out = fold == number
            trees = fit(self._inputs[~out], self._targets[~out], self._weights[~out], self._leaf, _TREES_OF_A_FOLD)
            predicted[out] = predict(trees, asked[out])
        return _certain(predicted, asked)

    def _expected(self, raw: Array) -> Expected:
        value = dict(zip(OUTPUTS, (float(number) for number in raw), strict=True))
        received = max(0.0, value["received"]) * self.scale
        on_time = min(received, max(0.0, value["on_time"]) * self.scale)
        sent = max(0.0, value["sent"]) * self.scale
        if self.profile.rate > 0:  # nobody sends more than is offered, but for the odd packet
            sent = min(sent, 1.02 * self.profile.rate)
        p50, p99, longest = (float(np.exp(value[name])) for name in ("log_p50", "log_p99", "log_max"))
        return Expected(
            on_time,
            received,
            sent,
            max(0.0, value["missing"]) * self.scale,
            max(0.0, value["lost"]) * self.scale,
            max(0.0, value["duplicated"]) * self.scale,
            p50,
            max(p50, p99),
            max(p50, p99, longest),
            max(0.0, value["stderr"]) * self.scale,
            max(0.0, value["generator_cpu"]),
            100 * max(0.0, value["cpu"]),
            round(float(np.exp(value["log_rss"]))),
            float(np.expm1(value["log_ctx"])),
        )

    def _scatter(self) -> tuple[Array, Array]:
        """Deviations from the prediction without the trial's fold, scaled to what repeats show; and those predictions."""
        held_back = self.held_back(_FOLDS)[self.calm]
        targets = self._targets[self.calm]
        deviations = targets - held_back
        if repeats := self.repeats():
            within = np.array([targets[rows].var(axis=0, ddof=1) for rows in repeats])
            seen = np.array([(deviations[rows] ** 2).mean(axis=0) for rows in repeats])
            share = np.sqrt(within.mean(axis=0) / np.maximum(seen.mean(axis=0), 1e-12))
            deviations = deviations * np.clip(share, 0.3, 1.0)
        return deviations, held_back


def _certain(outputs: Array, inputs: Features) -> Array:
    """`outputs`, in place, with nothing delivered where no message passes."""
    blocked = inputs[:, _BLOCKED].any(axis=1)
    for column in _DELIVERIES:
        outputs[blocked, column] = 0.0
    return outputs


def scale_of(profile: Profile, trials: Sequence[Recorded]) -> float:
    """Deliveries a second: see `Model.scale`."""
    offered = profile.rate * profile.fan_out
    return offered or max((t.figures.received / t.figures.seconds for t in trials if t.figures), default=1.0)


def targets(trial: Recorded, profile: Profile, scale: float) -> list[float]:
    """`OUTPUTS` of a trial that has figures."""
    seen = trial.figures
    assert seen is not None
    per_second = 1 / seen.seconds / scale
    late = 10 * profile.slo_ms  # nothing came at all
    latencies = [np.log(max(1e-3, value if seen.received else late)) for value in (seen.p50_ms, seen.p99_ms, seen.max_ms)]
    return [
        seen.on_time * per_second,
        seen.received * per_second,
        *latencies,
        seen.sent * per_second,
        seen.missing * per_second,
        seen.lost * per_second,
        seen.duplicated * per_second,
        seen.stderr / scale,
        seen.generator_cpu,
        seen.cpu / 100,
        float(np.log(max(1, seen.rss))),
        float(np.log1p(seen.ctx)),
    ]


@dataclass(frozen=True, slots=True)
class Trees:
    """A fitted forest, and what its outputs were divided by."""

    forest: ExtraTreesRegressor
    unit: Array


def fit(inputs: Features, outputs: Array, weights: Array, leaf: int, trees: int = _TREES) -> Trees:
    """The forest that predicts `outputs` from `inputs`.

    Raises:
        UsageError: scikit-learn is not installed.
    """
    ensemble = _sklearn_ensemble()
    unit = (outputs.std(axis=0) + 1e-9) / np.sqrt(_WEIGHTS)
    forest = ensemble.ExtraTreesRegressor(trees, max_features=1.0, min_samples_leaf=leaf, random_state=0)
    return Trees(forest.fit(inputs, outputs / unit, weights), unit)


def predict(trees: Trees, inputs: Features) -> Array:
    """(n, outputs). The trees are asked one by one: the forest's own way around them takes longer than they do."""
    total = sum(tree.tree_.predict(inputs)[:, :, 0] for tree in trees.forest.estimators_)
    mean: Array = total / len(trees.forest.estimators_) * trees.unit
    return mean


def workloads() -> tuple[str, ...]:
    """Those that were recorded."""
    return tuple(sorted({trial.workload for trial in load()}))


def versions() -> tuple[Version, ...]:
    """Those that were recorded, ascending."""
    return tuple(sorted({trial.version for trial in load()}))


def check_recorded(profile: Profile) -> None:
    """That there is a model of that load.

    Raises:
        UsageError: there is none.
    """
    table = shipped_tables().get(profile.name)
    if table is None or profile.name not in workloads():
        raise UsageError(
            f"workload {profile.name!r} was never recorded, so no surrogate knows it: {', '.join(workloads())} were"
        )
    if table.profile != profile:
        raise UsageError(
            f"workload {profile.name!r} is not the one that was recorded: the surrogate knows only the shipped one"
        )


def check_version(version: Version) -> None:
    """That there is a model of that broker.

    Raises:
        UsageError: there is none.
    """
    if version not in versions():
        known = ", ".join(".".join(map(str, each)) for each in versions())
        raise UsageError(f"Mosquitto {'.'.join(map(str, version))} was never recorded, so no surrogate knows it: {known} were")


@cache
def model_of(workload: str) -> Model:
    """The model of a shipped workload by its name, fitted once a process.

    Raises:
        UsageError: it was never recorded, or scikit-learn is not installed.
    """
    table = shipped_tables().get(workload)
    profile = table.profile if table is not None else None
    check_recorded(profile or Profile(workload))
    assert profile is not None
    return Model(profile, load())


def failure_probability(version: Version, knobs: KnobValues) -> float:
    """Of the broker refusing to run with `knobs`, or to let all clients in."""
    if knobs["max_packet_size"] < _CONNECT_BYTES:
        return 1.0
    row = features(Profile("any"), version, [knobs])[:, _OF_FAILURE]
    shares = [tree.tree_.predict(row)[0, 0] for tree in _failures().estimators_]
    return float(np.mean(shares))


@cache
def _failures() -> Any:
    told = [t for t in load() if t.verdict in ("ok", "failed") and t.knobs["max_packet_size"] >= _CONNECT_BYTES]
    inputs = np.vstack([features(Profile("any"), trial.version, [trial.knobs]) for trial in told])[:, _OF_FAILURE]
    failed = np.array([float(trial.verdict == "failed") for trial in told])
    return _sklearn_ensemble().ExtraTreesRegressor(_TREES, random_state=0).fit(inputs, failed)


def best_known(workload: str, version: Version) -> tuple[Mapping[str, Value], float]:
    """The recorded setting of which the model expects the most, and that: on-time deliveries a second.

    Raises:
        UsageError: the workload or the version was never recorded, or scikit-learn is not installed.
    """
    model = model_of(workload)
    check_version(version)
    tried = [trial.knobs for trial in model.trials]
    worth = model.raw(features(model.profile, version, tried))[:, 0]
    if model.profile.rate > 0:
        worth = np.minimum(worth, 1.0)  # more than is offered is what a queue had left from before
    safe = np.array([failure_probability(version, knobs) < 0.5 for knobs in tried])
    best = int(np.argmax(np.where(safe, worth, -np.inf)))
    return dict(tried[best]), float(worth[best]) * model.scale


def _sklearn_ensemble() -> Any:
    try:
        from sklearn import ensemble
    except ImportError:
        raise UsageError(
            "the surrogate needs scikit-learn, which is not installed: pip install 'brokertuner-tui[bench]'"
        ) from None
    return ensemble
