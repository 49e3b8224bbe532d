"""The clients of one run of one profile, with their ledger and their schedule; of a mix, those of every part."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from brokertuner_tui.workload.generator.layout import Layout, topic_name
from brokertuner_tui.workload.generator.ledger import Ledger
from brokertuner_tui.workload.generator.link import UP, Link, Peer
from brokertuner_tui.workload.generator.pacer import Pacer
from brokertuner_tui.workload.generator.publisher import Publisher, PublisherLoop
from brokertuner_tui.workload.generator.subscriber import Subscriber, SubscriberLoop
from brokertuner_tui.workload.generator.visitors import AbsentSubscriber, Remover
from brokertuner_tui.workload.profile import Profile


class CrewLoop(PublisherLoop, SubscriberLoop, Protocol):
    """What all of them ask of the engine."""


@dataclass(frozen=True, slots=True)
class Names:
    """How clients and topics are called. The token is the parent's: a generator that replaces a dead one has the same."""

    token: str
    """Also tells the parts of a mix apart."""
    prefix: str = "bt"
    """What topics begin with, before the token."""

    def of_part(self, index: int) -> Names:
        """Those of part `index` of a mix."""
        return replace(self, token=f"{self.token}m{index:02d}")

    @property
    def topics(self) -> str:
        """What topics begin with."""
        return f"{self.prefix}/{self.token}"

    def clean(self, kind: str, index: int, generation: int) -> str:
        """A client with a clean session; another name each time, so that no broker mixes up two connections."""
        return f"bt-{self.token}-{kind}{index}-{generation}"

    def persistent(self, kind: str, index: int) -> str:
        """A client whose session outlives its connection."""
        return f"bt-{self.token}-{kind}{index}"


@dataclass(slots=True)
class Crew:
    """Everybody who works on one profile."""

    profile: Profile
    ledger: Ledger
    pacer: Pacer | None
    """None in a closed loop."""
    publishers: list[Publisher]
    subscribers: list[Subscriber]
    absent: list[AbsentSubscriber]
    stall_at_ns: int = 0
    """When a closed loop of QoS 0 gives up what is under way, unless something comes."""

    @classmethod
    def of(cls, profile: Profile, loop: CrewLoop, peer: Peer, names: Names, generation: int) -> Crew:
        """Makes the clients; nobody connects yet."""
        layout = Layout.of(profile, names.topics, int.from_bytes(os.urandom(4), "little"))
        ledger = Ledger(profile, layout)

        def subscriber_name(index: int) -> str:
            return names.clean("s", index, generation) if profile.clean_session else names.persistent("s", index)

        subscribers = [
            Subscriber(
                loop,
                peer,
                subscriber_name(index),
                clean=profile.clean_session,
                index=index,
                topic=index % profile.topics,
                layout=layout,
                ledger=ledger,
            )
            for index in range(profile.subscribers)
        ]
        publishers = [
            Publisher(
                loop,
                peer,
                names.clean("p", index, generation),
                index=index,
                topic=index % profile.topics,
                layout=layout,
                profile=profile,
                heard=index % profile.topics < profile.subscribers,
            )
            for index in range(profile.publishers)
        ]
        absent = [
            AbsentSubscriber(
                loop,
                peer,
                names.persistent("a", index),
                profile.protocol,
                topic_name(names.topics, index % profile.topics),
                profile.qos,
            )
            for index in range(profile.offline_subscribers)
        ]
        pacer = Pacer(profile, loop, publishers) if profile.rate > 0 else None
        return cls(profile, ledger, pacer, publishers, subscribers, absent)

    @property
    def everybody(self) -> list[Link]:
        """In the order in which they should connect."""
        return [*self.subscribers, *self.absent, *self.publishers]

    @property
    def persistent_ids(self) -> list[str]:
        """Clients whose sessions the broker keeps."""
        return [link.client_id for link in [*self.subscribers, *self.absent] if not link.clean]

    @property
    def counts_deliveries(self) -> bool:
        """A closed loop of QoS 0: only deliveries tell when more may be sent."""
        return self.pacer is None and self.profile.qos == 0

    @property
    def connected(self) -> int:
        """Connections that are up, of those that the profile wants."""
        return sum(link.phase == UP for link in self.subscribers) + sum(link.phase == UP for link in self.publishers)

    @property
    def some_up(self) -> bool:
        """Whether there is somebody to send and, where there are subscribers at all, somebody to receive."""
        receives = not self.subscribers or any(link.phase == UP for link in self.subscribers)
        return receives and any(link.phase == UP for link in self.publishers)

    def next_seqs(self) -> list[int]:
        """The number that each publisher sends next."""
        return [publisher.next_seq for publisher in self.publishers]

    def totals(self) -> tuple[int, int, int]:
        """Sent, received, on time."""
        counted = self.ledger.totals
        return sum(self.next_seqs()), counted.received, counted.on_time


class Crews:
    """The crews of everything that runs at once: one, or one for each part of a mix."""

    def __init__(self, profile: Profile, loop: CrewLoop, peer: Peer, names: Names, generation: int) -> None:
        self._protocol, self._loop, self._peer = profile.protocol, loop, peer
        if profile.parts:
            self._all = [
                Crew.of(part, loop, peer, names.of_part(index), generation) for index, part in enumerate(profile.parts)
            ]
        else:
            self._all = [Crew.of(profile, loop, peer, names, generation)]
        self._of = {link: crew for crew in self._all for link in crew.everybody}
        self._pacers = [crew.pacer for crew in self._all if crew.pacer is not None]

    def __iter__(self) -> Iterator[Crew]:
        return iter(self._all)

    def of(self, link: Link) -> Crew | None:
        """Whose `link` is; None for one that is nobody's (see `removers`)."""
        return self._of.get(link)

    def start(self, now_ns: int) -> None:
        """Open loops begin."""
        for pacer in self._pacers:
            pacer.start(now_ns)

    def pace(self, now_ns: int) -> int | None:
        """Has open loops hand out what is due; says when to call again, None without open loops."""
        return min([pacer.work(now_ns) for pacer in self._pacers], default=None)

    def retune(self, now_ns: int, profile: Profile) -> None:
        """Goes over to the rates of `profile`, which differs in nothing else."""
        for crew, part in zip(self._all, profile.members, strict=True):
            if crew.pacer is not None and part.rate != crew.profile.rate:
                crew.pacer.retune(now_ns, part)
            crew.profile = part

    @property
    def everybody(self) -> list[Link]:
        """In the order in which they should connect: who listens comes before who speaks."""
        links = [link for crew in self._all for link in (*crew.subscribers, *crew.absent)]
        return [*links, *(link for crew in self._all for link in crew.publishers)]

    @property
    def absent(self) -> list[AbsentSubscriber]:
        """Those that subscribe and stay away."""
        return [link for crew in self._all for link in crew.absent]

    @property
    def persistent_ids(self) -> list[str]:
        """Clients whose sessions the broker keeps."""
        return [name for crew in self._all for name in crew.persistent_ids]

    def removers(self, client_ids: Iterable[str]) -> list[Remover]:
        """Clients that remove these sessions."""
        return [Remover(self._loop, self._peer, client_id, self._protocol) for client_id in sorted(client_ids)]

    @property
    def connected(self) -> int:
        """Connections that are up, of those that the profile wants."""
        return sum(crew.connected for crew in self._all)

    @property
    def some_up(self) -> bool:
        """Whether there is a load at all: somebody to send and somebody to receive."""
        return any(crew.some_up for crew in self._all)

    @property
    def drained(self) -> bool:
        """Whether nothing of the window is under way any more."""
        return not any(crew.ledger.pending or crew.ledger.outstanding(crew.next_seqs()) for crew in self._all)

    def totals(self) -> tuple[int, int, int]:
        """Sent, received, on time."""
        sums = [sum(counts) for counts in zip(*(crew.totals() for crew in self._all), strict=True)]
        return sums[0], sums[1], sums[2]
