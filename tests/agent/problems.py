"""Problems that an agent must be able to learn, and how it is run on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from brokertuner_tui.agent.config import AgentConfig
from brokertuner_tui.agent.ddpg import DDPG
from brokertuner_tui.agent.presets import CLASSIC, SLO

Floats = NDArray[np.float64]

ACTIONS = 11
UNHURRIED = float("inf")
"""Learning must not end early on a busy machine: runs have to repeat exactly."""

SLO_BOX = replace(SLO, space="box", context_size=0, max_update_s=UNHURRIED)
SLO_QUICK = replace(SLO_BOX, updates_per_trial=8, warm_up=4, candidates=64)
"""For tests of everything but learning."""
CLASSIC_QUICK = replace(CLASSIC, hidden=32, max_update_s=UNHURRIED)


def hill(target: Floats) -> Callable[[Floats], float]:
    """1 at `target`, falling by the mean distance."""
    return lambda action: float(1 - np.abs(action - target).mean())


def tune(agent: DDPG, worth: Callable[[Floats], float], trials: int, context: Floats | None = None) -> list[float]:
    """The true worth of each of `trials` proposals, with noise of 0.01 on what the agent is told."""
    rng = np.random.default_rng(1)
    seen = np.zeros(agent.observation_size) if context is None else context
    earned = []
    for _ in range(trials):
        action = agent.propose(seen).action
        earned.append(worth(action))
        agent.remember(seen, action, earned[-1] + rng.normal(0, 0.01), seen)
        agent.update()
    return earned


def trained(config: AgentConfig, seed: int = 0, trials: int = 12, observations: int = 4) -> DDPG:
    """An agent that has seen a little."""
    agent = DDPG(observations, ACTIONS, config, seed=seed)
    tune(agent, hill(np.full(ACTIONS, 0.3)), trials)
    return agent
