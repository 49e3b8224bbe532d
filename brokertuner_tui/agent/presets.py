"""The two agents that ship, and what the config changes of them."""

from __future__ import annotations

from dataclasses import replace

from brokertuner_tui.agent.config import AgentConfig
from brokertuner_tui.config.settings import AgentSettings
from brokertuner_tui.env.slo import CONTEXT_NAMES
from brokertuner_tui.errors import UsageError

CLASSIC = AgentConfig(name="classic")
"""DDPG as in Lillicrap et al. 2015 (arXiv 1509.02971), with Gaussian noise, as the original BrokerTuner used it."""

SLO = AgentConfig(
    name="slo",
    context_size=len(CONTEXT_NAMES),
    space="mosquitto",
    hidden=64,
    members=8,
    layer_norm=True,
    lr=3e-3,
    batch_size=256,
    gamma=0.0,
    tau=1.0,
    learning_starts=3,
    updates_per_trial=8,
    actor_every=2,
    imitation=0.5,
    candidates=256,
    warm_up=4,
    optimism=3.0,
    caution=1.0,
    tolerance=0.06,
    patience=3,
    satisfied=0.96,
)
"""DDPG for a few dozen noisy trials; `agent/search.py` and `agent/space.py` hold what was added to the textbook, and why."""


def config_for(preset: str, settings: AgentSettings | None = None, *, exploration: float = 0.5) -> AgentConfig:
    """The agent of a preset, with what the operator's config sets.

    Args:
        exploration: `tuning.exploration`; see `AgentConfig.exploring`.

    Raises:
        UsageError: there is no such preset.
    """
    presets = {config.name: config for config in (SLO, CLASSIC)}
    if preset not in presets:
        raise UsageError(f"unknown preset {preset!r}: known are {', '.join(presets)}")
    settings = settings or AgentSettings()
    given = {name: getattr(settings, name) for name in ("lr", "batch_size", "gamma", "tau", "hidden")}
    chosen = {name: value for name, value in given.items() if value is not None}
    return replace(presets[preset], buffer_size=settings.buffer_size, **chosen).exploring(exploration)
