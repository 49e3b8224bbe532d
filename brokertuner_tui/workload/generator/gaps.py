"""Which sequence numbers were overtaken and have not come: kept per pair of subscriber and publisher, as ranges."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

_MOST_RANGES = 20_000


class Gaps:
    """The ranges of one pair. Only the latest 20,000 are kept; what is older is taken for lost for good."""

    __slots__ = ("_ends", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, start: int, end: int) -> None:
        """`start` to `end` (both included) were overtaken; later than any range added before."""
        self._starts.append(start)
        self._ends.append(end)
        if len(self._starts) > _MOST_RANGES:
            del self._starts[: _MOST_RANGES // 2], self._ends[: _MOST_RANGES // 2]

    def take(self, seq: int) -> bool:
        """Whether `seq` was missing; if so, it is no longer."""
        index = bisect_right(self._starts, seq) - 1
        if index < 0 or self._ends[index] < seq:
            return False
        start, end = self._starts[index], self._ends[index]
        rest = [(a, b) for a, b in ((start, seq - 1), (seq + 1, end)) if a <= b]
        self._starts[index : index + 1] = [a for a, _ in rest]
        self._ends[index : index + 1] = [b for _, b in rest]
        return True

    def missing_from(self, seq: int) -> int:
        """How many numbers from `seq` on are missing."""
        index = bisect_left(self._ends, seq)
        return sum(end - max(start, seq) + 1 for start, end in zip(self._starts[index:], self._ends[index:], strict=True))
