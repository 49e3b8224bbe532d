"""When an open loop's messages are due and which publisher sends them, and how long a busy load pauses."""

from __future__ import annotations

import math
from collections.abc import Sequence

from brokertuner_tui.workload.generator.link import UP
from brokertuner_tui.workload.generator.publisher import Publisher, PublisherLoop
from brokertuner_tui.workload.profile import Profile

_LONGEST_PAUSE_S, _SHORTEST_PAUSE_S = 0.0004, 0.00005
PACE_NS = 250_000
"""Publishers are looked after at most this often: what is due in between goes out together."""


class Schedule:
    """How many messages are due at a moment.

    `rate` messages a second from the moment 0 on; with bursts, all of a period's messages in its first `on` seconds.

    Args:
        carried: what an earlier rate has added up to beyond whole messages, from -1 (one has just been sent) to 0 (one is due).
    """

    def __init__(self, profile: Profile, carried: float = 0.0) -> None:
        self._carried = carried
        self._on, off = profile.burst if profile.burst else (1.0, 0.0)
        self._period = self._on + off
        self._per_period = profile.rate * self._period

    def due(self, elapsed_s: float) -> int:
        """How many messages should have been sent `elapsed_s` after the start, the first one at 0."""
        return math.floor(self._amount(elapsed_s) + 1e-6) + 1

    def beyond(self, elapsed_s: float, issued: int) -> float:
        """What is to be carried into a schedule that takes this one's place, after `issued` messages."""
        return min(0.0, max(-1.0, self._amount(elapsed_s) - issued))

    def _amount(self, elapsed_s: float) -> float:
        periods, rest = divmod(max(0.0, elapsed_s), self._period)
        return self._carried + periods * self._per_period + min(rest / self._on, 1.0) * self._per_period

    def when(self, count: int) -> float:
        """When message number `count` (from 0) is due, seconds after the start."""
        periods, rest = divmod(max(0.0, count - self._carried), self._per_period)
        return periods * self._period + rest / self._per_period * self._on


class Pacer:
    """Hands out what is due.

    A publisher that cannot keep up owes a second's worth of messages at most: that much is caught up with, in batches;
    what is beyond is not sent, and the window's `sent` tells.
    """

    def __init__(self, profile: Profile, loop: PublisherLoop, publishers: Sequence[Publisher]) -> None:
        self._schedule = Schedule(profile)
        self._loop, self._publishers = loop, publishers
        self._most_owed = int(profile.rate / profile.publishers) + 1
        self._began_ns = 0
        self._has_begun = False
        self._issued = self._turn = 0
        self._next_ns = 0

    def start(self, now_ns: int) -> None:
        """The schedule begins; one that has begun goes on where it would be now, and what came due meanwhile is left out.

        If it began anew, a broker that throws its clients out in mid-burst would get the next burst early, and more messages in
        a window than one that serves them.
        """
        if self._has_begun:
            self._issued = self._schedule.due((now_ns - self._began_ns) / 1e9)
        else:
            self._began_ns, self._has_begun = now_ns, True
        self._next_ns = now_ns

    def retune(self, now_ns: int, profile: Profile) -> None:
        """From now on at the rate of `profile`; nothing is sent twice or left out for that."""
        elapsed_s = (now_ns - self._began_ns) / 1e9
        self._schedule = Schedule(profile, self._schedule.beyond(elapsed_s, self._issued) if self._issued else 0.0)
        self._most_owed = int(profile.rate / profile.publishers) + 1
        self._began_ns = self._next_ns = now_ns
        self._issued = 0

    def work(self, now_ns: int) -> int:
        """Hands out what has become due; says when to call again."""
        if now_ns < self._next_ns:
            return self._next_ns
        due = self._schedule.due((now_ns - self._began_ns) / 1e9)
        each, extra = divmod(due - self._issued, len(self._publishers))
        self._issued = due
        if each:
            for publisher in self._publishers:
                self._owe(publisher, each)
        for _ in range(extra):
            self._owe(self._publishers[self._turn], 1)
            self._turn = (self._turn + 1) % len(self._publishers)
        self._next_ns = max(now_ns + PACE_NS, self._began_ns + int(self._schedule.when(due) * 1e9))
        return self._next_ns

    def _owe(self, publisher: Publisher, count: int) -> None:
        if publisher.phase == UP:
            publisher.owed = min(publisher.owed + count, self._most_owed)
            if not publisher.blocked:
                self._loop.can_send(publisher)


def pause_s(profile: Profile) -> float:
    """How long a busy load lets packets gather before it looks at them, seconds; 0 where none would gather.

    Looking at once, it would take them one by one, keep a core busy with that, and have the broker send each by itself: on
    two cores, that costs the broker a fifth of its throughput and more. Its clients are then like clients on a network whose
    round trip takes half of this on average. It adds at most a hundredth of the SLO to a latency. In a closed loop it is no
    longer than what the window holds would last at half a million messages a second, so that a small window does not make it
    the limit. A mix pauses like the busiest of its parts, and no longer than the strictest SLO allows.
    """
    if profile.parts:
        return min(max(pause_s(part) for part in profile.parts), min(part.slo_ms for part in profile.parts) / 1e5)
    pause = min(_LONGEST_PAUSE_S, profile.slo_ms / 1e5)
    if not profile.rate:
        pause = min(pause, profile.publishers * profile.window / 500_000)
    elif _most_per_connection_per_s(profile) * pause < 1.0:
        return 0.0
    return pause if pause >= _SHORTEST_PAUSE_S else 0.0


def _most_per_connection_per_s(profile: Profile) -> float:
    """Messages a second, in a burst, of the busiest kind of client of an open loop."""
    on_s, off_s = profile.burst or (1.0, 0.0)
    readers = max(1, profile.subscribers)
    return profile.rate * (on_s + off_s) / on_s * max(1 / profile.publishers, profile.fan_out / readers)
