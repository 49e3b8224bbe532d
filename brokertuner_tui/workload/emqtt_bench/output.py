"""What emqtt_bench says about itself: lines on its standard output, and Prometheus metrics over HTTP.

Formats as in emqtt-bench 0.6.2 (`print_stats` in emqtt_bench.erl): one line a second for each counter that changed, a
carriage return before it, no time in the first second:

    12s recv total=1200 rate=100.00/sec
    client(7): EXIT for {shutdown,tcp_closed}
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

_Key = TypeVar("_Key", str, float)

_COUNTER = re.compile(r"^(?:[\dsmhd]*\s)?\s*(\w+) total=(\d{1,18}) rate=[\d.]+/sec$")
_LOST = re.compile(r"^client\(\d+\): (EXIT for .*|disconnected with reason .*)$")
_TROUBLE = re.compile(r"^(client\(\d+\): (?:connect|subscribe|publish) error - .*|Error: .*)$")
_METRIC = re.compile(r'^(\w+)(?:\{le="([^"]+)"\})?\s+([\d.eE+-]+)$')


class Output:
    """Reads a log file as it grows."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self._path, self._offset = path, offset
        self._rest = ""
        self.counters: dict[str, int] = {}
        """The last total of each counter that was printed."""
        self.lost = 0
        """Clients that lost their connection and are gone for good."""
        self.trouble = ""
        """The last line that tells of an error."""

    def read(self) -> None:
        """Takes in what was written since the last time."""
        try:
            with open(self._path, "rb") as file:
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return
        self._offset += len(data)
        *lines, self._rest = re.split(r"[\r\n]+", self._rest + data.decode(errors="replace"))
        for line in lines:
            self.take(line.strip())

    def take(self, line: str) -> None:
        """Takes in one line."""
        if found := _COUNTER.match(line):
            self.counters[found[1]] = int(found[2])
        elif _LOST.match(line):
            self.lost += 1
            self.trouble = line
        elif _TROUBLE.match(line):
            self.trouble = line


@dataclass(frozen=True, slots=True)
class Metrics:
    """Counters, and how many messages took at most so many ms (cumulative, as Prometheus has it)."""

    counters: Mapping[str, int] = field(default_factory=dict)
    within_ms: Mapping[float, int] = field(default_factory=dict)

    def __add__(self, other: Metrics) -> Metrics:
        return Metrics(_sum(self.counters, other.counters, 1), _sum(self.within_ms, other.within_ms, 1))

    def __sub__(self, other: Metrics) -> Metrics:
        return Metrics(_sum(self.counters, other.counters, -1), _sum(self.within_ms, other.within_ms, -1))


def _sum(a: Mapping[_Key, int], b: Mapping[_Key, int], sign: int) -> dict[_Key, int]:
    return {key: a.get(key, 0) + sign * b.get(key, 0) for key in {**a, **b}}


def parse_metrics(text: str) -> Metrics:
    """Prometheus' text format, as far as it says something about messages."""
    counters: dict[str, int] = {}
    within: dict[float, int] = {}
    for line in text.splitlines():
        found = _METRIC.match(line.strip())
        if not found:
            continue
        name, bound, value = found.groups()
        with contextlib.suppress(ValueError, OverflowError):  # dots and signs alone, or no finite count: says nothing
            if bound is None:
                counters[name] = int(float(value))
            elif name == "e2e_latency_bucket":
                within[float(bound.replace("+Inf", "inf"))] = int(float(value))
    return Metrics(counters, within)
