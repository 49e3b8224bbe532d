"""Stable-Baselines3's DDPG on our Gymnasium environment's spaces."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from brokertuner_tui.bench.method import Task
from brokertuner_tui.bench.methods.rival import FAILED_REWARD, Rival
from brokertuner_tui.bench.methods.threads import one_thread
from brokertuner_tui.env.outcome import Outcome, Verdict
from brokertuner_tui.env.slo import SloPreset
from brokertuner_tui.knobs.catalogue import NAMES
from brokertuner_tui.knobs.codec import Action
from brokertuner_tui.workload.profile import Workload

_NOISE = 0.1
"""Of the actions: what the example in the documentation of its DDPG sets."""


class StableBaselines(Rival):
    """What `learn()` does on the `slo` environment, a step at a time: the benchmark runs the trials.

    The default's trial is the reset. A step stores its transition and makes one gradient step, as `train_freq` and
    `gradient_steps` are set by default. The warm-up stands for the random steps before learning starts (100 by default:
    forty trials would all be random). A failed trial is what the environment makes of it: the least reward, and the
    observation of the step before.
    """

    name = "sb3"

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        from stable_baselines3 import DDPG
        from stable_baselines3.common.logger import Logger
        from stable_baselines3.common.noise import NormalActionNoise

        from brokertuner_tui.env.mosquitto_env import make_env

        self._preset = SloPreset()
        self._observation: np.ndarray[Any, np.dtype[np.float32]] | None = None
        self._steps = 0
        self._random: tuple[Any, Any, Any] | None = None
        with self._own_randomness():
            size = len(NAMES)
            self._model = DDPG(
                "MlpPolicy",
                make_env(workload=Workload.steady(task.profile)),  # for its spaces: nothing is started before a reset
                learning_starts=0,
                buffer_size=1000 + task.trials,
                action_noise=NormalActionNoise(np.zeros(size), np.full(size, _NOISE)),
                seed=task.seed,
                device="cpu",
            )
        self._model.set_logger(Logger(folder=None, output_formats=[]))

    def close(self) -> None:
        """Closes the environment, which was never opened."""
        if self._model.env is not None:
            self._model.env.close()

    def _propose(self) -> Action:
        with self._own_randomness():
            seen = self._observation if self._observation is not None else self._nothing()
            action, _ = self._model.predict(seen, deterministic=False)
            assert self._model.action_noise is not None
            return np.asarray(np.clip(action + self._model.action_noise(), -1.0, 1.0), dtype=np.float64)

    def _answer(self, action: Action, outcome: Outcome, reward: float | None) -> None:
        self._take(action, outcome, reward)

    def _take(self, action: Action, outcome: Outcome, reward: float | None) -> None:
        before = self._observation
        if outcome.verdict is Verdict.OK:
            self._observation = self._preset.observe(outcome)
        if before is None:
            return  # the reset
        after = before if self._observation is None else self._observation
        worth = FAILED_REWARD if reward is None else reward
        self._steps += 1
        assert self._model.replay_buffer is not None
        with self._own_randomness():
            self._model.replay_buffer.add(
                before[None], after[None], action[None].astype(np.float32), np.array([worth]), np.array([False]), [{}]
            )
            if self._steps >= len(self._task.warm_up):
                self._model.train(gradient_steps=1, batch_size=self._model.batch_size)

    def _nothing(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Before anything could be measured."""
        return np.zeros(len(self._preset.observation_names), dtype=np.float32)

    @contextmanager
    def _own_randomness(self) -> Iterator[None]:
        """It draws from the process's generators: what is seeded there, and how far they are, is its own only in here."""
        import torch

        def state() -> tuple[Any, Any, Any]:
            return random.getstate(), np.random.get_state(), torch.get_rng_state()

        def set_state(states: tuple[Any, Any, Any]) -> None:
            random.setstate(states[0])
            np.random.set_state(states[1])
            torch.set_rng_state(states[2])

        outside = state()
        if self._random is not None:
            set_state(self._random)
        try:
            with one_thread():
                yield
        finally:
            self._random = state()
            set_state(outside)
