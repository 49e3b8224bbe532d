"""Optuna's samplers, with what their authors set."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np

from brokertuner_tui.bench.method import Task
from brokertuner_tui.bench.methods.rival import Rival
from brokertuner_tui.bench.methods.threads import one_thread
from brokertuner_tui.env.outcome import Outcome
from brokertuner_tui.knobs.catalogue import NAMES
from brokertuner_tui.knobs.codec import Action

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import Trial


class OptunaSampler(Rival):
    """A study in memory. The warm-up is added as finished trials (it counts as part of the sampler's random start-up), failed
    trials have the state FAIL, which samplers leave out."""

    def __init__(self, name: str, task: Task, sampler: BaseSampler, *, one_thread: bool = False) -> None:
        import optuna

        super().__init__(task)
        self.name, self._one_thread = name, one_thread
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._space: dict[str, optuna.distributions.BaseDistribution] = {
            name: optuna.distributions.FloatDistribution(-1.0, 1.0) for name in NAMES
        }
        self._trial: Trial | None = None

    def _propose(self) -> Action:
        with one_thread() if self._one_thread else nullcontext():
            self._trial = self._study.ask(self._space)
        return np.array([self._trial.params[name] for name in NAMES])

    def _answer(self, action: Action, outcome: Outcome, reward: float | None) -> None:
        from optuna.trial import TrialState

        assert self._trial is not None
        if reward is None:
            self._study.tell(self._trial, state=TrialState.FAIL)
        else:
            self._study.tell(self._trial, reward)

    def _take(self, action: Action, outcome: Outcome, reward: float | None) -> None:
        from optuna.trial import TrialState, create_trial

        params = {name: float(number) for name, number in zip(NAMES, action, strict=True)}
        state = TrialState.FAIL if reward is None else TrialState.COMPLETE
        self._study.add_trial(create_trial(state=state, value=reward, params=params, distributions=self._space))


def tpe(task: Task) -> OptunaSampler:
    """Tree-structured Parzen estimators (since Optuna 5 multivariate)."""
    from optuna.samplers import TPESampler

    return OptunaSampler("tpe", task, TPESampler(seed=task.seed))


def gp(task: Task) -> OptunaSampler:
    """A Gaussian process with log expected improvement; noise is part of its model."""
    from optuna.samplers import GPSampler

    return OptunaSampler("gp", task, GPSampler(seed=task.seed), one_thread=True)
