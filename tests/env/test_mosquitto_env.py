"""The environment on a real broker under a real load."""

from __future__ import annotations

import os
import signal
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from brokertuner_tui import make_ddpg_model, make_env
from brokertuner_tui.config.settings import Settings, TuningSettings
from brokertuner_tui.env.mosquitto_env import EnvConfig, MosquittoBrokerEnv
from brokertuner_tui.errors import TunerError, UsageError
from brokertuner_tui.knobs.catalogue import defaults
from brokertuner_tui.knobs.codec import encode
from brokertuner_tui.workload.profile import Phase, Profile, Workload
from tests.waiting import eventually

SMALL = Workload.steady(Profile("small", 2, 4, 2, 1, 64, 400.0, 100, slo_ms=100.0))
QUICK = Settings(tuning=TuningSettings(settle_sec=0.02))


@pytest.fixture(scope="module")
def config(mosquitto: Path) -> EnvConfig:
    return EnvConfig(workload=SMALL, step_interval_sec=0.1, max_steps=5, mosquitto=mosquitto, settings=QUICK)


@pytest.fixture
def env(config: EnvConfig) -> Iterator[MosquittoBrokerEnv]:
    env = make_env(config)
    yield env
    env.close()


@pytest.mark.parametrize("preset", ["slo", "classic"])
def test_gymnasiums_checker_finds_nothing(config: EnvConfig, preset: str) -> None:
    env = make_env(config, preset=preset)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        # Not registered, on purpose: the checker of the spec does not apply.
        warnings.filterwarnings("ignore", message=".*spec.*")
        warnings.filterwarnings("ignore", message=".*render.*")
        check_env(env, skip_render_check=True)
    env.close()


@pytest.mark.parametrize("preset", ["slo", "classic"])
def test_stable_baselines_checker_finds_nothing(config: EnvConfig, preset: str) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    env = make_env(config, preset=preset)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        checker.check_env(env)
    env.close()


def test_stable_baselines_ddpg_trains_on_it_unchanged(config: EnvConfig) -> None:
    sb3 = pytest.importorskip("stable_baselines3")
    env = make_env(config)
    model = sb3.DDPG("MlpPolicy", env, learning_starts=2, batch_size=4, device="cpu", seed=0)
    model.learn(total_timesteps=6)
    action, _ = model.predict(env.reset()[0], deterministic=True)
    assert env.action_space.contains(action)
    env.close()


def test_a_step_is_one_trial(env: MosquittoBrokerEnv) -> None:
    observation, info = env.reset(seed=1)
    assert env.observation_space.contains(observation)
    assert info["knobs"] == defaults(env.unwrapped._testbed.version)  # type: ignore[attr-defined]
    wanted = info["knobs"] | {"max_inflight_messages": 500, "set_tcp_nodelay": True}
    following, reward, terminated, truncated, info = env.step(encode(wanted).astype(np.float32))
    assert (info["verdict"], terminated, truncated) == ("ok", False, False)
    assert info["knobs"]["set_tcp_nodelay"] is True
    assert abs(info["knobs"]["max_inflight_messages"] - 500) <= 1
    assert np.array_equal(info["executed_action"], encode(info["knobs"]))
    assert info["window"]["on_time"] > 0
    low, high = env.preset.reward_range
    assert low < reward <= high
    assert reward == pytest.approx(sum(info["reward_terms"].values()))
    assert env.observation_space.contains(following)


def test_an_episode_is_truncated_and_goes_on_after_close(env: MosquittoBrokerEnv, config: EnvConfig) -> None:
    env.reset()
    action = np.full(11, 0.5, dtype=np.float32)
    assert [env.step(action)[3] for _ in range(config.max_steps)] == [False] * 4 + [True]
    env.close()
    env.close()
    with pytest.raises(TunerError, match="reset"):
        env.step(action)
    env.reset()
    assert not env.step(action)[3]


def test_knobs_that_the_broker_cannot_live_with_give_the_least_reward(env: MosquittoBrokerEnv) -> None:
    env.reset()
    deadly = encode(defaults() | {"memory_limit": 1}).astype(np.float32)
    _, reward, terminated, truncated, info = env.step(deadly)
    assert info["verdict"] == "failed"
    assert info["reason"]
    assert info["window"] is None
    assert (reward, terminated, truncated) == (env.preset.failed_reward, False, False)
    _, reward, _, _, info = env.step(encode(defaults()).astype(np.float32))
    assert info["verdict"] == "ok"
    assert reward > 0


def test_a_killed_load_is_brought_back(env: MosquittoBrokerEnv) -> None:
    env.reset()
    assert env._testbed is not None
    pid = env._testbed.load.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert env.step(encode(defaults()).astype(np.float32))[4]["verdict"] == "ok"
    assert env._testbed.load.status().pid != pid


def test_a_killed_broker_is_brought_back(env: MosquittoBrokerEnv) -> None:
    env.reset()
    assert env._testbed is not None
    pid = env._testbed.broker.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    broker = env._testbed.broker
    assert eventually(lambda: not broker.alive())
    assert env.step(encode(defaults()).astype(np.float32))[4]["verdict"] == "ok"


def test_our_own_agent_learns_on_it(config: EnvConfig, tmp_path: Path) -> None:
    env = make_env(config, folder=tmp_path / "logs")
    told: list[dict[str, Any]] = []
    model = make_ddpg_model(env, device="cpu", seed=3)
    assert model.learn(total_timesteps=8, callback=told.append) is model
    assert [call["step"] for call in told] == list(range(1, 9))
    assert model.buffer_size == sum(call["info"]["verdict"] == "ok" for call in told) == 8
    action, _ = model.predict(env.reset()[0], deterministic=True)
    assert env.action_space.contains(action)
    model.save(tmp_path / "model")
    assert np.array_equal(type(model).load(tmp_path / "model").predict(env.reset()[0])[0], action)
    env.close()
    assert list((tmp_path / "logs").iterdir())


def test_a_callback_ends_it(env: MosquittoBrokerEnv) -> None:
    steps: list[int] = []

    def second_is_enough(call: dict[str, Any]) -> bool:
        steps.append(call["step"])
        return len(steps) < 2

    make_ddpg_model(env, device="cpu").learn(10, callback=second_is_enough)
    assert steps == [1, 2]


def test_one_phase_follows_the_other(config: EnvConfig) -> None:
    first, second = SMALL.phases[0].profile, replace(SMALL.phases[0].profile, name="other", subscribers=2, qos=0)
    env = make_env(config, workload=Workload("both", (Phase(first, 3.0), Phase(second, 1e6))))  # the load starts in the first
    observation, info = env.reset()
    assert info["profile"] == "small"
    deadline = time.monotonic() + 60
    while info["profile"] == "small" and time.monotonic() < deadline:
        following, _, _, _, info = env.step(encode(defaults()).astype(np.float32))
    assert info["profile"] == "other"
    size = env.preset.context_size
    assert not np.array_equal(following[:size], observation[:size])
    env.close()


def test_names_that_do_not_exist(config: EnvConfig) -> None:
    with pytest.raises(UsageError, match="fanout"):
        make_env(config, workload="lunch")
    with pytest.raises(UsageError, match="slo, classic"):
        make_env(config, preset="best")
    with pytest.raises(TunerError, match="nowhere"):
        make_env(config, mosquitto=Path("/nowhere/mosquitto")).reset()


def test_models_of_other_environments() -> None:
    class Small(gymnasium.Env[np.ndarray, np.ndarray]):
        observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
        action_space = gymnasium.spaces.Box(-1, 1, (3,), np.float32)

        def reset(self, *, seed: int | None = None, options: object = None) -> tuple[np.ndarray, dict[str, object]]:
            super().reset(seed=seed)
            return np.zeros(2, dtype=np.float32), {}

        def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, object]]:
            return np.zeros(2, dtype=np.float32), -float(np.abs(action - 0.5).mean()), False, False, {}

    model = make_ddpg_model(Small(), device="cpu", preset="slo").learn(60)
    assert np.abs(model.predict(np.zeros(2))[0] - 0.5).mean() < 0.25  # chance is 0.6

    class Discrete(Small):
        action_space = gymnasium.spaces.Discrete(3)  # type: ignore[assignment]

    with pytest.raises(UsageError, match="action space"):
        make_ddpg_model(Discrete())
