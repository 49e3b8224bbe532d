"""The original BrokerTuner: five numbers to see, a linear reward."""

from __future__ import annotations

import math

import numpy as np

from brokertuner_tui.config.settings import ClassicReward
from brokertuner_tui.env.outcome import Outcome
from brokertuner_tui.env.preset import Observation, Reward

_NAMES = ("clients", "message_rate", "cpu", "memory", "ctx_switches")
_MOST = 100.0
"""Each of the five stays below: a hundred times what its norm says."""


def _share(value: float, norm: float) -> float:
    return min(_MOST, max(0.0, value / norm)) if math.isfinite(value) else 0.0


class ClassicPreset:
    """State: clients/1000, message rate/10000, CPU/400 %, memory/1 GiB, context switches/1e6 (the norms are settings).

    Reward: alpha * clients + beta * rate - gamma * cpu - delta * memory, each normalised as in the state. The message rate
    is what subscribers received, each delivery once; `$SYS` counters do not enter.
    """

    name = "classic"

    def __init__(self, settings: ClassicReward | None = None) -> None:
        self._settings = settings or ClassicReward()

    @property
    def observation_names(self) -> tuple[str, ...]:
        """One name a number."""
        return _NAMES

    @property
    def context_size(self) -> int:
        """0: everything here may depend on the action."""
        return 0

    @property
    def observation_range(self) -> tuple[float, float]:
        """Not bounded by 1: 250,000 messages a second are 25."""
        return 0.0, _MOST

    @property
    def reward_range(self) -> tuple[float, float]:
        """Every term at its bound."""
        weights = self._settings
        return -(weights.gamma + weights.delta) * _MOST, (weights.alpha + weights.beta) * _MOST

    @property
    def failed_reward(self) -> float:
        """A broker that has no clients and uses all of the CPU and memory that count as 1."""
        return -(self._settings.gamma + self._settings.delta)

    def observe(self, outcome: Outcome) -> Observation:
        """Shape (5,), float32, each in [0, 100]; clients and rate are 0 without a window."""
        norms, window, usage = self._settings, outcome.window, outcome.usage
        clients = window.clients if window else 0
        rate = window.received_per_s if window else 0.0
        return np.array(
            [
                _share(clients, norms.clients_norm),
                _share(rate, norms.rate_norm),
                _share(usage.cpu_percent, norms.cpu_norm),
                _share(usage.rss_bytes, norms.mem_norm_bytes),
                _share(usage.ctx_switches_per_s, norms.ctx_norm),
            ],
            dtype=np.float32,
        )

    def reward(self, outcome: Outcome, reference: Outcome | None) -> Reward:
        """The linear reward; `reference` does not matter.

        Raises:
            ValueError: the outcome has no window.
        """
        if outcome.window is None:
            raise ValueError(f"a trial that ended as {outcome.verdict} has no reward")
        weights = self._settings
        clients, rate, cpu, memory, _ = (float(number) for number in self.observe(outcome))
        terms = {
            "clients": weights.alpha * clients,
            "rate": weights.beta * rate,
            "cpu": -weights.gamma * cpu,
            "memory": -weights.delta * memory,
        }
        return Reward(sum(terms.values()), terms)
