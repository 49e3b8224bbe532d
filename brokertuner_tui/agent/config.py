"""Every number that makes one DDPG differ from another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

_GONE = frozenset({"weight_decay", "saturation", "enough", "region_min", "region_max"})
"""What older checkpoints say of parts that earned nothing (docs/agent.md)."""


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """What kind of DDPG; the defaults are the textbook's. `agent/presets.py` has the two that ship."""

    name: str
    context_size: int = 0
    """Actor and critic see this many numbers at the front of the observation; 0: all."""
    space: str = "box"
    """What is known of the actions: `box` (nothing) or `mosquitto` (`agent/space.py`)."""

    # networks
    hidden: int = 256
    """Width of the two hidden layers."""
    members: int = 1
    """Critics, each with its own initial weights and its own weighting of the trials."""
    layer_norm: bool = False

    # learning
    lr: float = 1e-4
    batch_size: int = 128
    gamma: float = 0.99
    """0: the critic is a model of the reward, and there are no target networks."""
    tau: float = 0.005
    buffer_size: int = 100_000
    learning_starts: int = 10
    """Trials in the buffer before anything is learned; until then actions are drawn at random."""
    updates_per_trial: int = 1
    actor_every: int = 1
    """Updates of the critics for one of the actor."""
    imitation: float = 0.0
    """Weight of the distance to the best known action in the actor's loss."""
    max_update_s: float = 3.0
    """Learning after one trial ends here at the latest (a slow machine; where it strikes, runs do not repeat exactly)."""

    # exploring
    noise: float = 0.1
    """Standard deviation of the Gaussian noise on the actor's action."""
    noise_decay: float = 1.0
    """Factor on it after each trial."""
    noise_min: float = 0.02
    far: float = 0.25
    """Of the candidates, those that come from the whole space."""
    candidates: int = 0
    """Actions that are compared by the critics for one trial; 0: the actor's action plus noise is taken as it is."""
    warm_up: int = 0
    """Trials of a load that come from the space's own points and a Sobol sequence, before the critics choose."""
    optimism: float = 0.0
    """Standard deviations of the critics that are added to their mean when candidates are compared."""
    caution: float = 0.0
    """Candidates whose mean less so many deviations falls `tolerance` below the best known are left out."""
    tolerance: float = 0.1
    patience: int = 0
    """Trials of something new without progress after which exploring pauses for one trial, twice as many: for two; 0: never."""
    progress: float = 0.01
    """A reward that is so much higher than any before is progress."""
    satisfied: float = 2.0
    """A reward from which on there is next to nothing left to find: exploring pauses for `rest` trials each time."""
    rest: int = 8
    region: float = 0.4
    """Standard deviation of the steps from the best known action to a candidate, in each number that is moved."""

    def exploring(self, factor: float) -> AgentConfig:
        """The same with noise, region, optimism, far candidates and warm-up `2 * factor` times as large, and as
        many times the patience.

        0.5 changes nothing; 0 leaves what is believed to be best.
        """
        if factor == 0.5:
            return self
        scale = 2 * factor
        names = ("noise", "noise_min", "region", "optimism", "far")
        scaled: dict[str, Any] = {name: getattr(self, name) * scale for name in names}
        scaled["warm_up"], scaled["patience"] = round(self.warm_up * scale), round(self.patience * scale)
        scaled["rest"] = round(self.rest / scale) if scale else self.rest
        return replace(self, **scaled)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> AgentConfig:
        """From what `as_dict` gave.

        Raises:
            TypeError: a key is missing or unknown.
        """
        known = {field.name: field for field in fields(cls)}
        data = {key: value for key, value in data.items() if key not in _GONE}
        for key, value in data.items():
            if key in known and type(value) is int and known[key].type == "float":
                data = {**data, key: float(value)}
        return cls(**data)
