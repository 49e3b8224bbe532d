"""For programs: an agent for a Gymnasium environment, in the shape of Stable-Baselines3."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from brokertuner_tui.agent.ddpg import DDPG
from brokertuner_tui.agent.presets import config_for
from brokertuner_tui.config.settings import AgentSettings
from brokertuner_tui.errors import UsageError

if TYPE_CHECKING:
    import gymnasium


def make_ddpg_model(
    env: gymnasium.Env[Any, Any],
    *,
    device: str = "auto",
    preset: str | None = None,
    seed: int = 0,
    settings: AgentSettings | None = None,
) -> DDPG:
    """An agent for `env`; `.learn(total_timesteps)` tunes, `.predict(observation)` says what it would do.

    Args:
        env: with box spaces of one dimension; actions in [-1, 1]. `MosquittoBrokerEnv`, or any other.
        device: `cpu`, `cuda`, or `auto`.
        preset: `slo` or `classic`; None: the environment's own, else classic.

    Raises:
        UsageError: unknown preset, or the spaces are of another kind.
    """
    import gymnasium

    observations, actions = env.observation_space, env.action_space
    if not isinstance(observations, gymnasium.spaces.Box) or len(observations.shape) != 1:
        raise UsageError(f"the observation space must be a Box of one dimension, not {observations}")
    if not isinstance(actions, gymnasium.spaces.Box) or len(actions.shape) != 1:
        raise UsageError(f"the action space must be a Box of one dimension, not {actions}")
    if not (np.all(actions.low == -1.0) and np.all(actions.high == 1.0)):
        raise UsageError(f"actions must lie in [-1, 1], not in {actions}")
    ours = getattr(getattr(env.unwrapped, "preset", None), "name", None)
    config = config_for(preset or ours or "classic", settings)
    if ours is None:  # not a broker: nothing is known of its actions, and the whole observation may matter
        config = replace(config, space="box", context_size=0)
    agent = DDPG(observations.shape[0], actions.shape[0], config, seed=seed, device=device)
    agent.env = env
    return agent


def learn(agent: DDPG, total_timesteps: int, callback: Callable[[dict[str, Any]], bool | None] | None) -> DDPG:
    """Steps `agent.env`, learning after each; a trial that says it failed or was inconclusive in its info teaches nothing.

    Args:
        callback: called after each step with `step`, `action`, `reward`, `info`, `losses`; False ends it.

    Raises:
        UsageError: the agent has no environment.
    """
    env = agent.env
    if env is None:
        raise UsageError("this agent has no environment: set agent.env, or use make_ddpg_model(env)")
    observation, _ = env.reset(seed=agent.seed)
    for step in range(1, total_timesteps + 1):
        proposal = agent.propose(observation)
        following, reward, terminated, truncated, info = env.step(proposal.action.astype(np.float32))
        losses = None
        if info.get("verdict", "ok") == "ok":
            executed = info.get("executed_action", proposal.action)
            agent.remember(observation, executed, float(reward), following, bool(terminated))
            losses = agent.update()
        local = {"step": step, "action": proposal.action, "reward": reward, "info": info, "losses": losses}
        if callback is not None and callback(local) is False:
            break
        observation = env.reset()[0] if terminated or truncated else following
    return agent
