"""Finds numbers that grow by one in the payloads of a topic, and counts what is missing or comes twice.

Payloads are looked at and forgotten; what is kept of a topic is a number and its gaps. Two places are looked at: digits at
the very beginning of a payload, and whole numbers at the top level of a JSON object. A number is believed to count messages
once it has grown by exactly one at least six times in seven: times of the day and readings do not.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from brokertuner_tui.workload.generator.gaps import Gaps

_LEADING = re.compile(rb"\s*(\d{1,19})(?![\d.])")
_LEAD = ""
"""The name of the number at the beginning, which has none."""
_STEPS, _STEPS_OF_ONE = 7, 6
_LARGEST_GAP = 10_000
"""A number further ahead is another count, not a loss."""
_ANEW = 5
"""Numbers in a row that were seen before: the publisher has begun to count anew."""
_MOST_PAYLOAD = 65_536
_MOST_TOPICS = 20_000
_TRIES = 64
"""Messages of a topic within which a count must show; afterwards its payloads are left alone."""


@dataclass(slots=True)
class Counts:
    """Of all topics together."""

    messages: int = 0
    received: int = 0
    lost: int = 0
    duplicated: int = 0
    topics: int = 0
    """Those with a count."""


class SequenceDetector:
    """Takes in messages, in the order in which they came.

    Args:
        mode: `auto`, `none`, `leading` (digits at the beginning), or `json:KEY`.
    """

    def __init__(self, mode: str = "auto") -> None:
        self._mode = mode
        self._topics: dict[str, _Topic] = {}
        self.counts = Counts()

    def message(self, topic: str, payload: bytes) -> None:
        """Takes in one message."""
        self.counts.messages += 1
        if self._mode == "none" or len(payload) > _MOST_PAYLOAD:
            return
        known = self._topics.get(topic)
        if known is None:
            if len(self._topics) >= _MOST_TOPICS:
                return
            known = self._topics[topic] = _Topic(self._mode)
        known.message(payload, self.counts)

    def resync(self) -> None:
        """We were away: what is missing now was not lost by the broker."""
        for topic in self._topics.values():
            topic.resync()


class _Topic:
    __slots__ = ("_before", "_count", "_mode", "_name", "_steps", "_tries")

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._name: str | None = {"leading": _LEAD}.get(mode, mode.removeprefix("json:") if mode.startswith("json:") else None)
        self._count: _Count | None = None
        self._before: dict[str, int] = {}
        self._steps: dict[str, list[bool]] = {}
        self._tries = 0

    def message(self, payload: bytes, counts: Counts) -> None:
        if self._name is None:
            if self._tries < _TRIES:
                self._tries += 1
                self._look(payload)
            return
        number = (_leading(payload) if self._name == _LEAD else _in_json(payload)).get(self._name)
        if number is None:
            return
        if self._count is None:
            self._count = _Count(number)
            counts.topics += 1
            counts.received += 1
        else:
            self._count.number(number, counts)

    def resync(self) -> None:
        self._before.clear()
        if self._count is not None:
            self._count.resync()

    def _look(self, payload: bytes) -> None:
        found = _leading(payload) | _in_json(payload)
        for name, number in found.items():
            if name in self._before:
                steps = self._steps.setdefault(name, [])
                steps.append(number == self._before[name] + 1)
                del steps[:-_STEPS]
                if len(steps) == _STEPS and sum(steps) >= _STEPS_OF_ONE:
                    self._name = name
        self._before = found
        if self._name is not None or self._tries >= _TRIES:
            self._before, self._steps = {}, {}


class _Count:
    """One topic's numbers: as `Ledger` counts, one publisher, beginning anew where the publisher does."""

    __slots__ = ("_gaps", "_high", "_in_step", "_row")

    def __init__(self, first: int) -> None:
        self._high, self._in_step = first, True
        self._gaps = Gaps()
        self._row = (0, 0)
        """The last number that was seen before, and how many such came in a row."""

    def resync(self) -> None:
        self._in_step = False

    def number(self, number: int, counts: Counts) -> None:
        ahead = number - self._high
        if not self._in_step or ahead > _LARGEST_GAP:
            self._begin(number)
            counts.received += 1
        elif ahead > 0:
            if ahead > 1:
                self._gaps.add(self._high + 1, number - 1)
                counts.lost += ahead - 1
            self._high, self._row = number, (0, 0)
            counts.received += 1
        elif self._gaps.take(number):
            counts.lost -= 1
            counts.received += 1
        else:
            self._again(number, counts)

    def _again(self, number: int, counts: Counts) -> None:
        last, length = self._row
        self._row = (number, length + 1 if number == last + 1 else 1)
        counts.duplicated += 1
        if self._row[1] >= _ANEW:
            counts.duplicated -= _ANEW
            counts.received += _ANEW
            self._begin(number)

    def _begin(self, number: int) -> None:
        self._high, self._in_step, self._gaps, self._row = number, True, Gaps(), (0, 0)


def _leading(payload: bytes) -> dict[str, int]:
    found = _LEADING.match(payload)
    return {_LEAD: int(found[1])} if found else {}


def _in_json(payload: bytes) -> dict[str, int]:
    if payload.lstrip()[:1] != b"{":
        return {}
    try:
        data = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return {key: value for key, value in data.items() if type(value) is int and key != _LEAD}
