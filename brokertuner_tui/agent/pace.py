"""When to try something new, and when to stay with what is known to be good.

Every trial is traffic of somebody: a setting that is tried and is worse costs messages. Exploring pays while it finds better
settings; the longer it has not, the rarer it becomes. What is repeated instead is the best known setting: that costs nothing
(no restart either), and tells whether it is as good as it looked.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from brokertuner_tui.agent.config import AgentConfig
from brokertuner_tui.agent.replay import Floats

_LOOKED_BACK = 200
"""So many trials are enough to tell by: a run may have thousands."""
_NEW = 1e-3
"""An action is new if some number differs by more from every earlier one."""


def explores(actions: NDArray[np.float64], rewards: Floats, best: float, config: AgentConfig) -> bool:
    """Whether the next trial of a load tries something new.

    Args:
        actions: (n, a), what was executed under this load, oldest first.
        rewards: (n,)
        best: what the best known action is believed to be worth.
    """
    if not config.patience:
        return True
    actions, rewards = actions[-_LOOKED_BACK:], rewards[-_LOOKED_BACK:]
    top, failures, since = -np.inf, 0, 0
    for index, (action, reward) in enumerate(zip(actions, rewards, strict=True)):
        new = index == 0 or np.abs(actions[:index] - action).max(axis=1).min() > _NEW
        if not new:
            since += 1
            continue
        since = 0
        if reward > top + config.progress:
            failures = 0
        else:
            failures += 1
        top = max(top, float(reward))
    # Nothing is left to find near the greatest reward there can be.
    gap = failures // config.patience if best < config.satisfied else max(config.rest, failures // config.patience)
    return since >= gap
