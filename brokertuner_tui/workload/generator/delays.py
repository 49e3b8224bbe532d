"""What clients of a far network say, held back for their round trip."""

from __future__ import annotations

import time
from collections import deque

from brokertuner_tui.workload.generator.layout import Ids
from brokertuner_tui.workload.generator.link import Link

_NEVER = 1 << 62
_TOGETHER = 8
"""What a client says within an eighth of the round trip leaves together, an eighth late at the most. One send call for each of
50,000 acknowledgements a second takes most of a core, which the broker then misses; and real links have batches, too."""

_Item = tuple[int, Link, int, bytearray | Ids]
"""When it is due, for which connection, in which of its lives, and what."""


class Delays:
    """Two queues: in each, the delay is the same for all, so that what came first is due first."""

    def __init__(self) -> None:
        self.rtt_ns = 0
        self._merge_ns = 0
        self._single: deque[_Item] = deque()
        self._merged: deque[_Item] = deque()
        # For each link, until when more may be added to what it says next, and that.
        self._last: dict[Link, tuple[int, bytearray]] = {}

    def reset(self, rtt_ms: float) -> None:
        """Forgets everything; from now on the round trip takes `rtt_ms`."""
        self.rtt_ns = int(rtt_ms * 1e6)
        self._merge_ns = self.rtt_ns // _TOGETHER
        self._single.clear()
        self._merged.clear()
        self._last.clear()

    def put_off(self, link: Link, item: bytearray | Ids) -> None:
        """Hands `item` back by `link.due` after the round trip, if the connection still stands."""
        self._single.append((time.perf_counter_ns() + self.rtt_ns, link, link.life, item))

    def send_later(self, link: Link, data: bytes) -> None:
        """Puts off `data`, by the round trip at least; what one client says within a short time leaves with the last of it."""
        now = time.perf_counter_ns()
        last = self._last.get(link)
        if last is not None and now < last[0]:
            last[1].extend(data)
            return
        item = bytearray(data)
        self._last[link] = (now + self._merge_ns, item)
        self._merged.append((now + self._merge_ns + self.rtt_ns, link, link.life, item))

    def work(self, now_ns: int) -> int:
        """Hands back what is due; says when the next is."""
        return min(_hand_back(self._single, now_ns), _hand_back(self._merged, now_ns))


def _hand_back(queue: deque[_Item], now_ns: int) -> int:
    while queue:
        due, link, life, item = queue[0]
        if due > now_ns:
            return due
        queue.popleft()
        if link.life == life and link.sock is not None:
            link.due(item)
    return _NEVER
