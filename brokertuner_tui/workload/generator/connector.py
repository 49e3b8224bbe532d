"""Connects clients: many at once but not too many, at once after a restart that was announced, with back-off otherwise."""

from __future__ import annotations

import random
import select
import time
from collections.abc import Callable, Iterable

from brokertuner_tui.mqtt import packets
from brokertuner_tui.workload.generator.link import CONNECTING, DONE, DOWN, SECURING, UP, Link

MS = 1_000_000
_AT_ONCE = 64
"""Mosquitto's accept queue holds 100 connections; one more would be tried again by TCP after a whole second."""
_HANDSHAKE_NS = 5_000 * MS
_PING_NS, _PING_ANSWER_NS = 20_000 * MS, 20_000 * MS
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.05, 2.0
_HOPELESS_NS = 2_000 * MS
"""Between two tries where the last one can only succeed if somebody changes something: a certificate, a password."""
EAGER_NS = 30_000 * MS
_NEVER = 1 << 62


class Connector:
    """Keeps every link that was given to it connected."""

    def __init__(self, epoll: select.epoll, on_change: Callable[[Link], None]) -> None:
        self._epoll, self._on_change = epoll, on_change
        self.by_fd: dict[int, Link] = {}
        self.links: list[Link] = []
        self._waiting: list[Link] = []
        self._trying: dict[Link, int] = {}
        self._eager_until_ns = 0
        self._lost_since_eager = False
        self._nobody_listens = False
        self._down_since_ns = 0
        self.next_try_ns = _NEVER
        self.reconnects = 0
        self.error = ""
        self.hopeless = False
        """The broker does not let us in, and trying again will not help; one client tries all the same, now and then."""

    # -- what is wanted --------------------------------------------------------------------------------------------

    def add(self, links: Iterable[Link]) -> None:
        """Connects these too, in this order."""
        added = list(links)
        self.links += added
        self._waiting += added
        self.next_try_ns = 0

    def clear(self) -> None:
        """Closes every connection and forgets the links."""
        for link in self.links:
            link.close()
        self.links, self._waiting = [], []
        self._trying.clear()
        self.next_try_ns = _NEVER
        self.error, self.hopeless = "", False

    def try_again(self) -> None:
        """Somebody may have changed something: the next try is now."""
        if self.hopeless:
            self.hopeless = False
            for link in self._waiting:
                link.retry_at_ns = 0
            self.next_try_ns = 0

    def expect_restart(self, now_ns: int) -> None:
        """Connections that break from now on are made anew without back-off, as soon as somebody listens."""
        self._eager_until_ns = now_ns + EAGER_NS
        self._lost_since_eager = self.hopeless = False
        for link in self._waiting:
            link.retry_at_ns = 0
        self.next_try_ns = 0

    @property
    def restart_expected(self) -> bool:
        """Whether a restart was announced and is not over."""
        return time.perf_counter_ns() < self._eager_until_ns

    def again(self, links: Iterable[Link]) -> None:
        """Those of `links` that had done what they were for do it once more."""
        for link in links:
            if link.phase == DONE:
                link.phase = DOWN
                link.retry_at_ns = 0
                self._waiting.append(link)
                self.next_try_ns = 0

    @property
    def ready(self) -> bool:
        """Whether every link is up, or has done what it was for."""
        return not self._waiting and not self._trying and all(link.phase in (UP, DONE) for link in self.links)

    # -- what links report (link.Loop) -----------------------------------------------------------------------------

    def watch(self, link: Link, mask: int) -> None:
        """See `link.Loop`."""
        if self.by_fd.get(link.fd) is link:
            self._epoll.modify(link.fd, mask)
        else:
            self.by_fd[link.fd] = link
            self._epoll.register(link.fd, mask)

    def unwatch(self, link: Link) -> None:
        """See `link.Loop`."""
        if self.by_fd.pop(link.fd, None) is not None:
            self._epoll.unregister(link.fd)

    def came_up(self, link: Link) -> None:
        """See `link.Loop`."""
        self._trying.pop(link, None)
        self.error = ""
        self.try_again()
        if self._waiting:
            self.next_try_ns = 0
        elif self.ready and self._lost_since_eager:
            self._eager_until_ns = 0  # the announced restart is over
        self._on_change(link)

    def went_down(self, link: Link, was_up: bool, reason: str, refused: bool) -> None:
        """See `link.Loop`."""
        now = time.perf_counter_ns()
        self._trying.pop(link, None)
        self.error = reason
        self.reconnects += was_up
        self._lost_since_eager |= was_up
        if link.hopeless:
            self.hopeless = True
            link.delay_s = _LONGEST_DELAY_S
            link.retry_at_ns = now + _HOPELESS_NS
            self._hold(link.retry_at_ns)
        elif now < self._eager_until_ns:
            if refused and not self._nobody_listens:
                self._nobody_listens, self._down_since_ns = True, now
            # Closed before it answered: the old broker on its way out, or the new one not ready.
            link.retry_at_ns = now if was_up else now + self._probe_ns(now)
        else:
            link.delay_s = min(_LONGEST_DELAY_S, max(_FIRST_DELAY_S, 2 * link.delay_s))
            # Full jitter down to a half, so that many clients do not come back at the same moment.
            link.retry_at_ns = now + int(link.delay_s * random.uniform(0.5, 1.0) * 1e9)
        self._waiting.append(link)
        self.next_try_ns = min(self.next_try_ns, link.retry_at_ns)
        self._on_change(link)

    # -- what is done ----------------------------------------------------------------------------------------------

    def _hold(self, until_ns: int) -> None:
        """Nobody tries before that."""
        for link in self._waiting:
            link.retry_at_ns = max(link.retry_at_ns, until_ns)

    def _probe_ns(self, now_ns: int) -> int:
        """How long to wait until the next try at a broker that is being restarted: less at first."""
        down_ns = now_ns - self._down_since_ns if self._nobody_listens else 0
        return MS // 2 if down_ns < 200 * MS else 2 * MS if down_ns < 2_000 * MS else 10 * MS

    def connect_more(self, now_ns: int) -> None:
        """Begins every connection whose time has come."""
        probing = self.hopeless or (self._nobody_listens and now_ns < self._eager_until_ns)
        room = (1 if probing else _AT_ONCE) - len(self._trying)
        rest: list[Link] = []
        waiting, self._waiting = self._waiting, []
        for link in waiting:
            if room <= 0 or link.retry_at_ns > now_ns:
                rest.append(link)
                continue
            room -= 1
            self._trying[link] = now_ns
            link.open()  # may fail at once, and is then waiting again
        self._waiting = rest + self._waiting
        self.next_try_ns = _NEVER
        if self._waiting and room > 0:
            self.next_try_ns = min(link.retry_at_ns for link in self._waiting)

    def established(self) -> None:
        """TCP connections are possible: whatever waited for that need not any longer."""
        if self._nobody_listens:
            self._nobody_listens = False
            now = time.perf_counter_ns()
            for link in self._waiting:
                if now < self._eager_until_ns:
                    link.retry_at_ns = 0
            self.next_try_ns = 0

    def check(self, now_ns: int) -> None:
        """Gives up handshakes that hang and connections that do not answer; a few times a second."""
        for link, began_ns in list(self._trying.items()):
            if now_ns - began_ns > _HANDSHAKE_NS:
                what = {CONNECTING: "no TCP connection", SECURING: "no end of the TLS or WebSocket handshake"}
                awaited = what.get(link.phase, "no answer to CONNECT")
                link.lost(f"{link.client_id}: {awaited} within {_HANDSHAKE_NS // 10**9} s")
        for link in self.links:
            if link.phase != UP:
                continue
            if link.pinged_ns > link.last_heard_ns and now_ns - link.pinged_ns > _PING_ANSWER_NS:
                link.lost(f"{link.client_id}: no answer to a ping within {_PING_ANSWER_NS // 10**9} s")
            elif now_ns - link.pinged_ns > _PING_NS:
                link.pinged_ns = now_ns
                link.send(packets.PINGREQ_PACKET)


class OnConnector:
    """What links ask of their loop (`link.Loop`), handed on to a connector."""

    _connector: Connector

    def watch(self, link: Link, mask: int) -> None:
        """See `link.Loop`."""
        self._connector.watch(link, mask)

    def unwatch(self, link: Link) -> None:
        """See `link.Loop`."""
        self._connector.unwatch(link)

    def established(self) -> None:
        """See `link.Loop`."""
        self._connector.established()

    def came_up(self, link: Link) -> None:
        """See `link.Loop`."""
        self._connector.came_up(link)

    def went_down(self, link: Link, was_up: bool, reason: str, refused: bool) -> None:
        """See `link.Loop`."""
        self._connector.went_down(link, was_up, reason, refused)
