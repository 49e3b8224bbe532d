"""What a load is made of. Plain data: read from TOML by `config`, sent to the generator's process as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Profile:
    """One steady load. Publisher i sends to topic i mod `topics`; subscriber j reads topic j mod `topics`.

    Or several at once (`mix`): then `parts` has them, each with clients and topics of its own; the other fields sum them up.
    """

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
    connects: float = 0.0
    """Clients a second that connect and leave at once, beside those that stay."""
    parts: tuple[Profile, ...] = ()
    """Of a mix: the loads that run together, none of them a mix itself. Their messages are judged by their own `slo_ms`."""

    @classmethod
    def mix(cls, name: str, parts: Sequence[Profile]) -> Profile:
        """`parts`, all at once. What can be added is added; of sizes, windows, SLOs, ... it says the largest, which is what
        limits have to be made for. The rate is 0 as soon as one part is a closed loop: nothing then says what would be enough.

        Args:
            parts: at least one; a mix among them is taken apart.
        """
        flat = [member for part in parts for member in part.members]
        return cls(
            name,
            publishers=sum(part.publishers for part in flat),
            subscribers=sum(part.subscribers for part in flat),
            topics=sum(part.topics for part in flat),
            qos=max(part.qos for part in flat),
            payload_bytes=max(part.payload_bytes for part in flat),
            rate=sum(part.rate for part in flat) if all(part.rate > 0 for part in flat) else 0.0,
            window=max(part.window for part in flat),
            client_rtt_ms=max(part.client_rtt_ms for part in flat),
            clean_session=all(part.clean_session for part in flat),
            offline_subscribers=sum(part.offline_subscribers for part in flat),
            protocol=max(part.protocol for part in flat),
            slo_ms=max(part.slo_ms for part in flat),
            connects=sum(part.connects for part in flat),
            parts=tuple(flat),
        )

    @property
    def members(self) -> tuple[Profile, ...]:
        """What runs at once: the parts of a mix, else this alone."""
        return self.parts or (self,)

    @property
    def period_s(self) -> float:
        """Seconds from one burst to the next (of a mix: where that takes longest); 0: there are none."""
        return max((sum(part.burst) for part in self.members if part.burst), default=0.0)

    def with_rates_of(self, other: Profile) -> Profile | None:
        """This with the name and the rates of `other`, if that is all in which they differ (open loops); else None.

        A generator can then go over to `other` and keep its clients.
        """
        if len(self.parts) != len(other.parts) or not all(member.rate > 0 for member in (*self.members, *other.members)):
            return None
        parts = tuple(
            replace(mine, name=its.name, rate=its.rate, connects=its.connects)
            for mine, its in zip(self.parts, other.parts, strict=True)
        )
        like = replace(self, name=other.name, rate=other.rate, connects=other.connects, parts=parts)
        return like if like == other else None

    @property
    def fan_out(self) -> float:
        """Deliveries that one message should cause, on average over the topics that have publishers; over the messages of
        a mix, where its parts say how many they send."""
        if self.parts:
            weights = [part.rate if self.rate > 0 else 1.0 for part in self.parts]
            return sum(weight * part.fan_out for weight, part in zip(weights, self.parts, strict=True)) / sum(weights)
        readers = [0] * self.topics
        for subscriber in range(self.subscribers):
            readers[subscriber % self.topics] += 1
        return sum(readers[publisher % self.topics] for publisher in range(self.publishers)) / self.publishers

    @property
    def clients(self) -> int:
        """Connections that the load keeps open."""
        return self.publishers + self.subscribers

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `parts` only where there are some."""
        data = asdict(self)
        if not self.parts:
            del data["parts"]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Profile:
        """From what `as_dict` gave (a list for `burst` is fine)."""
        values = dict(data)
        if values.get("burst") is not None:
            values["burst"] = tuple(values["burst"])
        values["parts"] = tuple(cls.from_dict(part) for part in values.get("parts", ()))
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
