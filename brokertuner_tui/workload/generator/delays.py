"""What clients of a far network say, held back for their round trip."""

from __future__ import annotations

import time
from collections import deque

from brokertuner_tui.workload.generator.layout import Ids
from brokertuner_tui.workload.generator.link import Link

_NEVER = 1 << 62
_MERGE_NS = 500_000


class Delays:
    """A queue, because one delay for all means that what came first is due first."""

    def __init__(self) -> None:
        self.rtt_ns = 0
        self._merge_ns = 0
        self._queue: deque[tuple[int, Link, int, bytearray | Ids]] = deque()
        # For each link, what was put off last, and until when more may be added to it.
        self._last: dict[Link, tuple[int, bytearray]] = {}

    def reset(self, rtt_ms: float) -> None:
        """Forgets everything; from now on the round trip takes `rtt_ms`."""
        self.rtt_ns = int(rtt_ms * 1e6)
        self._merge_ns = min(_MERGE_NS, self.rtt_ns // 20)
        self._queue.clear()
        self._last.clear()

    def put_off(self, link: Link, item: bytearray | Ids) -> None:
        """Hands `item` back by `link.due` after the round trip, if the connection still stands."""
        self._queue.append((time.perf_counter_ns() + self.rtt_ns, link, link.life, item))

    def send_later(self, link: Link, data: bytes) -> None:
        """Puts off `data`. What one client says within a twentieth of the round trip leaves together, with the first of it."""
        now = time.perf_counter_ns()
        last = self._last.get(link)
        if last is not None and now < last[0]:
            last[1].extend(data)
            return
        item = bytearray(data)
        self._last[link] = (now + self._merge_ns, item)
        self.put_off(link, item)

    def work(self, now_ns: int) -> int:
        """Hands back what is due; says when the next is."""
        queue = self._queue
        while queue:
            due, link, life, item = queue[0]
            if due > now_ns:
                return due
            queue.popleft()
            if link.life == life and link.sock is not None:
                link.due(item)
        return _NEVER
