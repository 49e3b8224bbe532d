"""What a load is made of. Plain data: read from TOML by `config`, sent to the generator's process as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Profile:
    """One steady load. Publisher i sends to topic i mod `topics`; subscriber j reads topic j mod `topics`."""

    name: str
    publishers: int = 1
    subscribers: int = 1
    topics: int = 1
    qos: int = 0
    payload_bytes: int = 64
    rate: float = 0.0
    """Messages a second, all publishers together; 0 = closed loop, as fast as the window allows."""
    window: int = 200
    """Unacknowledged messages that a publisher may have (QoS 1 and 2; QoS 0 in a closed loop: undelivered ones)."""
    client_rtt_ms: float = 0.0
    """Clients acknowledge after this long: a far network. Acknowledgements of one client leave in batches, each of them
    delayed by this long at least and an eighth more at most."""
    clean_session: bool = True
    offline_subscribers: int = 0
    """Persistent sessions that subscribe and stay away, so that their queues fill."""
    protocol: int = 4
    burst: tuple[float, float] | None = None
    """Seconds on, seconds off, at the same mean rate."""
    slo_ms: float = 50.0
    """A message counts when it arrives within this time."""

    @property
    def fan_out(self) -> float:
        """Deliveries that one message should cause, on average over the topics that have publishers."""
        readers = [0] * self.topics
        for subscriber in range(self.subscribers):
            readers[subscriber % self.topics] += 1
        return sum(readers[publisher % self.topics] for publisher in range(self.publishers)) / self.publishers

    @property
    def clients(self) -> int:
        """Connections that the load keeps open."""
        return self.publishers + self.subscribers

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Profile:
        """From what `as_dict` gave (a list for `burst` is fine)."""
        values = dict(data)
        if values.get("burst") is not None:
            values["burst"] = tuple(values["burst"])
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Phase:
    """A profile for a time."""

    profile: Profile
    seconds: float


@dataclass(frozen=True, slots=True)
class Workload:
    """What the operator chose by name: one profile for good, or several that follow each other, round and round."""

    name: str
    phases: tuple[Phase, ...]

    @classmethod
    def steady(cls, profile: Profile) -> Workload:
        """`profile`, for good."""
        return cls(profile.name, (Phase(profile, float("inf")),))

    def at(self, elapsed_s: float) -> Profile:
        """The profile that runs `elapsed_s` seconds after the start."""
        if len(self.phases) == 1:
            return self.phases[0].profile
        elapsed_s %= sum(phase.seconds for phase in self.phases)
        for phase in self.phases:
            elapsed_s -= phase.seconds
            if elapsed_s < 0:
                return phase.profile
        return self.phases[-1].profile
