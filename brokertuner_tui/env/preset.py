"""What a preset decides: what the agent sees of a trial, and what the trial is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from brokertuner_tui.env.outcome import Outcome

Observation = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Reward:
    """A reward and the terms that it is the sum of."""

    value: float
    terms: Mapping[str, float]


class Preset(Protocol):
    """`classic` or `slo`."""

    name: str

    @property
    def observation_names(self) -> tuple[str, ...]:
        """One name a number of the observation."""

    @property
    def context_size(self) -> int:
        """How many numbers, at the front of the observation, do not depend on the action (the load, the broker's version)."""

    @property
    def observation_range(self) -> tuple[float, float]:
        """Every number of every observation lies in it."""

    @property
    def reward_range(self) -> tuple[float, float]:
        """The least and the greatest reward there can be."""

    @property
    def failed_reward(self) -> float:
        """What the Gymnasium environment says for a failed trial, since it must say a number (the agent learns nothing)."""

    def observe(self, outcome: Outcome) -> Observation:
        """Shape (len(observation_names),), float32, finite, each within `observation_range`."""

    def reward(self, outcome: Outcome, reference: Outcome | None) -> Reward:
        """The worth of an `ok` outcome; `reference` is the default's latest outcome under the same profile."""
