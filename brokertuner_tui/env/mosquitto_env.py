"""The tuning problem as a Gymnasium environment: a step is one trial on a real broker under a real load."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray

from brokertuner_tui.broker.interface import ApplyFailed
from brokertuner_tui.config.load import load_settings
from brokertuner_tui.config.settings import Settings
from brokertuner_tui.config.workloads import get_workload
from brokertuner_tui.env.outcome import Outcome, Verdict
from brokertuner_tui.env.preset import Observation, Preset
from brokertuner_tui.env.presets import make_preset
from brokertuner_tui.env.testbed import Testbed
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import CATALOGUE, KnobValues
from brokertuner_tui.knobs.codec import decode, encode
from brokertuner_tui.workload.load import LoadError
from brokertuner_tui.workload.profile import Workload

ENV_ID = "brokertuner_tui/MosquittoBroker-v0"
_RESET_TRIES = 3


@dataclass(frozen=True, slots=True)
class EnvConfig:
    """What is tuned under which load, and how."""

    preset: str = "slo"
    """`slo` or `classic`: observation and reward (`env/slo.py`, `env/classic.py`)."""
    workload: str | Workload = "fanout"
    """A workload's name (the shipped ones, or those of the config files that apply here), or one made by hand."""
    step_interval_sec: float = 1.0
    """Length of a measurement."""
    max_steps: int = 200
    """Steps until an episode is truncated."""
    seed: int = 0
    """Of `action_space.sample()` until `reset(seed=...)` says otherwise; the broker itself knows no seed."""
    mosquitto: Path | None = None
    """The program; None: found."""
    folder: Path | None = None
    """For the broker's private config and all logs; None: a temporary one, gone after `close`."""
    settings: Settings = field(default_factory=Settings)
    """Everything else; its own preset, workload, interval, steps, seed and program do not count."""


class MosquittoBrokerEnv(gymnasium.Env[Observation, NDArray[np.float32]]):
    """One step: decode the action, apply and verify it, settle, measure.

    - action: Box(-1, 1, (11,), float32), in catalogue order (`knobs/codec.py`);
    - observation: Box, float32, one number for each of `preset.observation_names`;
    - `terminated` is never true, `truncated` is after `max_steps`;
    - `info`: `verdict`, `reason`, `knobs` (by name), `executed_action` (shape (11,), float64: what the knobs in force encode
      to), `reward_terms`, `window` (figures by name, None without one), `profile` (the load's name), `overhead_s`.

    `reset` brings the broker's defaults into force and measures them: the first observation, and for `slo` the reference.

    A step must give numbers even if there is nothing to say; the observation is then that of the step before. A `failed`
    trial (the broker did not take the knobs, or died of them) gives `preset.failed_reward`, and what was in force before is
    put back. An `inconclusive` one (the load was down) is tried once more; if that is inconclusive too, the reward is that of
    the step before and the episode is truncated. Learners that can should skip both (`make_ddpg_model` does).

    Broker and load are started by the first `reset`, ended by `close`, and started again by a `reset` after that.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 (gymnasium's own type)

    def __init__(self, config: EnvConfig | None = None) -> None:
        self.config = config or EnvConfig()
        settings = self.config.settings
        tuning = settings.tuning.model_copy(update={"step_interval_sec": self.config.step_interval_sec})
        broker = settings.broker.model_copy(update={"mosquitto": self.config.mosquitto or settings.broker.mosquitto})
        # Nothing is registered, but wrappers and checkers must know that a real broker never does the same thing twice.
        self.spec = EnvSpec(ENV_ID, f"{__name__}:MosquittoBrokerEnv", nondeterministic=True, kwargs={"config": self.config})
        self._settings = settings.model_copy(update={"tuning": tuning, "broker": broker})
        self.workload = _find_workload(self.config.workload)
        self.preset: Preset = make_preset(self.config.preset, settings.reward)
        low, high = self.preset.observation_range
        size = len(self.preset.observation_names)
        self.observation_space = gymnasium.spaces.Box(low, high, (size,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (len(CATALOGUE),), np.float32, seed=self.config.seed)
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._testbed: Testbed | None = None
        self._references: dict[str, Outcome] = {}
        self._good: KnobValues = {}
        self._observation = np.zeros(size, dtype=np.float32)
        self._reward = 0.0
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict[str, Any]]:
        """Measures the broker's defaults.

        Raises:
            TunerError: broker or load cannot be brought up, or the defaults cannot be measured.
        """
        super().reset(seed=seed)
        if self._testbed is None:
            self._testbed = self._open()
        self._steps = 0
        outcome = self._trial(self._testbed.defaults, _RESET_TRIES)
        if outcome.verdict is not Verdict.OK:
            raise TunerError(f"the broker's defaults cannot be measured: {outcome.reason}")
        self._reward, terms = self._value(outcome)
        return self._observation.copy(), self._info(outcome, terms)

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """One trial; see the class.

        Raises:
            ValueError: a number of the action is NaN, or there are not eleven.
            TunerError: `reset` was not called, or broker or load cannot be brought back.
        """
        if self._testbed is None:
            raise TunerError("reset() comes before step()")
        self._steps += 1
        outcome = self._trial(decode(action), tries=2)
        terms: dict[str, float] = {}
        if outcome.verdict is Verdict.OK:
            self._reward, terms = self._value(outcome)
        reward = self.preset.failed_reward if outcome.verdict is Verdict.FAILED else self._reward
        truncated = self._steps >= self.config.max_steps or outcome.verdict is Verdict.INCONCLUSIVE
        return self._observation.copy(), reward, False, truncated, self._info(outcome, terms)

    def close(self) -> None:
        """Ends broker and load. May be called again."""
        testbed, self._testbed = self._testbed, None
        if testbed is not None:
            testbed.close()
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def _open(self) -> Testbed:
        folder = self.config.folder
        if folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="brokertuner-env-")
            folder = Path(self._temporary.name)
        testbed = Testbed(self._settings, self.workload, folder)
        try:
            testbed.open()
            testbed.start_load()
        except BaseException:
            testbed.close()
            raise
        self._good = testbed.defaults
        return testbed

    def _trial(self, knobs: KnobValues, tries: int) -> Outcome:
        """Up to `tries` trials, until one is not inconclusive; afterwards the broker runs with knobs that it can live with."""
        testbed = self._testbed
        assert testbed is not None
        for _ in range(tries):
            testbed.follow_schedule()
            outcome = testbed.trial(knobs)
            if outcome.verdict is not Verdict.INCONCLUSIVE:
                break
            self._revive(testbed)
        if outcome.verdict is Verdict.OK:
            self._good = dict(outcome.knobs)
            testbed.broker.confirm()
            self._observation = self.preset.observe(outcome)
        elif outcome.verdict is Verdict.FAILED:
            try:
                testbed.apply(self._good)
            except ApplyFailed as error:
                raise TunerError(f"the broker does not come back after a failed trial: {error}") from error
        return outcome

    def _revive(self, testbed: Testbed) -> None:
        """Brings back what has died."""
        if not testbed.broker.alive():
            testbed.restart_broker()
        if testbed.load.status().state in ("dead", "stopped"):
            testbed.load.stop()
            try:
                testbed.start_load()
            except LoadError as error:
                raise TunerError(f"the load does not come back: {error}") from error

    def _value(self, outcome: Outcome) -> tuple[float, dict[str, float]]:
        reference = self._references.setdefault(outcome.profile.name, outcome)
        reward = self.preset.reward(outcome, reference)
        return reward.value, dict(reward.terms)

    def _info(self, outcome: Outcome, terms: dict[str, float]) -> dict[str, Any]:
        return {
            "verdict": outcome.verdict.value,
            "reason": outcome.reason,
            "knobs": dict(outcome.knobs),
            "executed_action": encode(outcome.knobs),
            "reward_terms": terms,
            "window": None if outcome.window is None else outcome.window.as_dict(),
            "profile": outcome.profile.name,
            "overhead_s": outcome.timings.overhead_s,
        }


def make_env(config: EnvConfig | None = None, **changes: Any) -> MosquittoBrokerEnv:
    """The environment; `make_env(workload="wan", max_steps=50)` is short for `make_env(EnvConfig(workload="wan", ...))`."""
    return MosquittoBrokerEnv(replace(config or EnvConfig(), **changes))


def _find_workload(workload: str | Workload) -> Workload:
    if isinstance(workload, Workload):
        return workload
    return get_workload(load_settings(), workload)
