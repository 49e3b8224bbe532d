"""How well the surrogate predicts recorded trials that were held back: `python -m benchmarks.surrogate [--workload NAME]`.

For each workload and version, over ten random folds, of the trials that nothing disturbed:

- R2 and median absolute error of on-time goodput, as a share of what is offered (of the most that was received in a closed
  loop), and what the best possible model would be off by: the median distance of repeats of one setting from their mean
  (as if it were not one of them);
- the rank correlation (Spearman) of predicted and recorded on-time goodput;
- top 10 %: the mean on-time goodput of the tenth that the model likes best, as a share of that of the tenth that was best.

Writes nothing.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brokertuner_tui.bench.surrogate.model import Model, best_known, model_of, versions, workloads
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import Version

_FOLDS = 10
_FEW = 10
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Score:
    """Of one workload on one version; shares of the workload's scale."""

    trials: int
    r2: float
    error: float
    noise: float
    """NaN without repeats."""
    rank: float
    top: float


def scores(model: Model, held_back: Array) -> dict[Version, Score]:
    """By version, those with enough trials.

    Args:
        held_back: (n,) on-time goodput as predicted without the trial.
    """
    seen = np.array([trial.figures.on_time_per_s for trial in model.trials if trial.figures]) / model.scale
    of_version = np.array([versions().index(trial.version) for trial in model.trials])
    indices = np.flatnonzero(model.calm)
    off: list[list[float]] = [[] for _ in versions()]
    for group in model.repeats():
        rows = indices[group]
        spread = len(rows) / (len(rows) - 1)
        off[of_version[rows[0]]] += list(np.abs(seen[rows] - seen[rows].mean()) * spread)
    found = {}
    for number, version in enumerate(versions()):
        rows = indices[of_version[indices] == number]
        if len(rows) >= _FEW:
            found[version] = _score(seen[rows], held_back[rows], off[number])
    return found


def _score(seen: Array, predicted: Array, off: list[float]) -> Score:
    tenth = max(1, len(seen) // 10)
    liked, best = np.argsort(predicted)[-tenth:], np.sort(seen)[-tenth:]
    ranks = np.corrcoef(_ranks(seen), _ranks(predicted))[0, 1] if seen.std() and predicted.std() else np.nan
    return Score(
        len(seen),
        float(1 - ((seen - predicted) ** 2).mean() / max(1e-12, seen.var())),
        float(np.median(np.abs(seen - predicted))),
        float(np.median(off)) if off else np.nan,
        float(ranks),
        float(seen[liked].mean() / max(1e-12, best.mean())),
    )


def _ranks(values: Array) -> Array:
    """Ties have their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean: Array = (np.cumsum(counts) - (counts + 1) / 2)[inverse]
    return mean


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", action="append", help="may be given several times; all that were recorded if not given")
    options = parser.parse_args()
    try:
        models = [model_of(name) for name in options.workload or workloads()]
    except TunerError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print("workload   version   trials     R2  median error  of repeats  rank  top 10 %  best known/s")
    for model in models:
        for version, score in scores(model, model.held_back(_FOLDS, seed=1)[:, 0]).items():
            text, best = ".".join(map(str, version)), best_known(model.profile.name, version)[1]
            print(
                f"{model.profile.name:10} {text:8} {score.trials:7} {score.r2:6.2f} {score.error:13.4f} {score.noise:11.4f}"
                f" {score.rank:5.2f} {score.top:9.2f} {best:13.0f}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
