"""Clients that come and go beside the load's own: each connects, is accepted, and leaves at once."""

from __future__ import annotations

import select

from brokertuner_tui.workload.generator.connector import Connector, OnConnector
from brokertuner_tui.workload.generator.link import DONE, Link, Peer
from brokertuner_tui.workload.generator.visitors import Visitor

_MOST = 128
"""On the way at once; a broker that takes longer gets fewer."""
_NEVER = 1 << 62


class Churn(OnConnector):
    """A `link.Loop` for its own clients: whether the load is ready does not depend on them.

    Args:
        by_fd: where the engine looks up whose socket it is.
    """

    def __init__(self, epoll: select.epoll, by_fd: dict[int, Link]) -> None:
        self._connector = Connector(epoll, lambda _link: None)
        self._connector.by_fd = by_fd
        self._callers: list[Visitor] = []
        self._peer: Peer | None = None
        self._prefix, self._protocol = "", 4
        self._gap_ns = self._next_ns = 0
        self.came = 0
        """Connections that were begun."""

    def begin(self, peer: Peer, prefix: str, protocol: int, per_s: float) -> None:
        """Goes over to another load: `per_s` connections a second, by clients whose names begin with `prefix`."""
        self._connector.clear()
        self._callers = []
        self._peer, self._prefix, self._protocol = peer, prefix, protocol
        self.retune(per_s)

    def retune(self, per_s: float) -> None:
        """From now on `per_s` connections a second."""
        self._gap_ns = int(1e9 / per_s) if per_s > 0 else 0

    def end(self) -> None:
        """Nobody comes any more."""
        self._gap_ns = 0
        self._connector.clear()

    def work(self, now_ns: int, wanted: bool) -> int:
        """Has somebody call whose time has come (if `wanted`); says when to call again."""
        until = _NEVER
        if self._gap_ns and wanted:
            if now_ns >= self._next_ns:
                # No catching up after a pause: a crowd at once is another load.
                self._next_ns = max(self._next_ns + self._gap_ns, now_ns - self._gap_ns)
                self._call()
            until = self._next_ns
        if self._connector.next_try_ns <= now_ns:
            self._connector.connect_more(now_ns)
        return min(until, self._connector.next_try_ns)

    def _call(self) -> None:
        free = next((caller for caller in self._callers if caller.phase == DONE), None)
        if free is not None:
            self._callers.remove(free)
            self._callers.append(free)  # found late again: those in front are done the longest
            self._connector.again([free])
        elif len(self._callers) < _MOST and self._peer is not None:
            name = f"{self._prefix}-c{len(self._callers)}"
            caller = Visitor(self, self._peer, name, self._protocol, clean=True)
            self._callers.append(caller)
            self._connector.add([caller])
        else:
            return
        self.came += 1

    def check(self, now_ns: int) -> None:
        """Gives up handshakes that hang; a few times a second."""
        self._connector.check(now_ns)
