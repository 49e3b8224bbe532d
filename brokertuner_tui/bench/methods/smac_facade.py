"""SMAC3, random forests and expected improvement."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from brokertuner_tui.bench.method import Task
from brokertuner_tui.bench.methods.rival import FAILED_REWARD, Rival
from brokertuner_tui.bench.methods.threads import one_thread
from brokertuner_tui.env.outcome import Outcome
from brokertuner_tui.knobs.catalogue import NAMES
from brokertuner_tui.knobs.codec import Action

if TYPE_CHECKING:
    from smac.runhistory import TrialInfo


class Smac(Rival):
    """HyperparameterOptimizationFacade by ask and tell, not deterministic (incumbents are run up to three times).

    Its forests are what tuners of databases and systems use SMAC with, and cope with switches; the other facade that would do,
    for black boxes, was made for functions without noise. As its authors set it, but for two things: the initial design is
    the warm-up, told as in their example of a warm start; and the forest is trained anew for each trial, not for every eighth
    one: a trial here costs as much as that. The cost is 1 - reward. A failed trial has the status CRASHED, with the cost of the
    least reward (the facade's own crash cost is infinite, which the forest cannot be trained with).
    """

    name = "smac"

    def __init__(self, task: Task) -> None:
        from ConfigSpace import ConfigurationSpace, Float
        from smac import HyperparameterOptimizationFacade as Facade
        from smac import Scenario
        from smac.model.random_forest.random_forest import RandomForest

        super().__init__(task)
        logging.getLogger("smac").setLevel(logging.ERROR)
        self._folder = tempfile.TemporaryDirectory(prefix="brokertuner-smac-")
        self._space = ConfigurationSpace(seed=task.seed)
        self._space.add([Float(name, (-1.0, 1.0)) for name in NAMES])
        scenario = Scenario(
            self._space,
            output_directory=Path(self._folder.name),
            n_trials=max(2, task.trials),
            seed=task.seed,
            deterministic=False,
        )
        forest = RandomForest(  # the facade's own, but for the number of threads
            configspace=self._space,
            log_y=True,
            n_trees=10,
            ratio_features=1.0,
            min_samples_split=2,
            min_samples_leaf=1,
            max_depth=2**20,
            bootstrapping=True,
            seed=task.seed,
            n_jobs=1,
        )
        self._facade = Facade(
            scenario,
            model=forest,
            initial_design=Facade.get_initial_design(scenario, n_configs=0),
            config_selector=Facade.get_config_selector(scenario, retrain_after=1),
            logging_level=False,
            overwrite=True,
        )
        self._info: TrialInfo | None = None

    def close(self) -> None:
        """Removes its folder."""
        self._folder.cleanup()

    def _propose(self) -> Action:
        with one_thread():
            self._info = self._facade.ask()
        return np.array([float(self._info.config[name]) for name in NAMES])

    def _answer(self, action: Action, outcome: Outcome, reward: float | None) -> None:
        assert self._info is not None
        self._tell(self._info, reward)

    def _take(self, action: Action, outcome: Outcome, reward: float | None) -> None:
        from ConfigSpace import Configuration
        from smac.runhistory import TrialInfo

        values: dict[str, Any] = {name: float(number) for name, number in zip(NAMES, action, strict=True)}
        self._tell(TrialInfo(Configuration(self._space, values), seed=self._task.seed), reward)

    def _tell(self, info: TrialInfo, reward: float | None) -> None:
        from smac.runhistory import StatusType, TrialValue

        status = StatusType.SUCCESS if reward is not None else StatusType.CRASHED
        value = TrialValue(cost=1.0 - (FAILED_REWARD if reward is None else reward), status=status)
        self._facade.tell(info, value, save=False)
