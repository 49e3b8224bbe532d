"""From values to pixels: linear and logarithmic axes with round ticks, and figures as a person reads them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_MANY_DECADES = 3
_LEAST = 1e-12


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis: values from `low` to `high` lie between the pixels `start` and `end` (which may run downwards)."""

    low: float
    high: float
    ticks: tuple[float, ...]
    start: float = 0.0
    end: float = 1.0
    is_log: bool = False

    def between(self, start: float, end: float) -> Scale:
        """The same axis between other pixels."""
        return replace(self, start=start, end=end)

    def at(self, value: float) -> float:
        """The pixel of `value`; what lies outside of the axis is drawn at its end."""
        if self.is_log:
            low, high, value = math.log(self.low), math.log(self.high), math.log(max(value, self.low))
        else:
            low, high = self.low, self.high
        share = (min(max(value, low), high) - low) / (high - low)
        return self.start + share * (self.end - self.start)


def linear(values: Iterable[float], *, ticks: int = 5) -> Scale:
    """From 0 (or below it, where a value is) to the first round number above all finite values.

    Args:
        ticks: about how many there are to be.
    """
    finite = [value for value in values if math.isfinite(value)]
    low, high = min([0.0, *finite]), max([0.0, *finite])
    if high - low < _LEAST:
        high = low + 1.0
    step = _step((high - low) / max(1, ticks - 1))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return Scale(first * step, last * step, tuple(count * step for count in range(first, last + 1)))


def counting(low: int, high: int, *, ticks: int = 10) -> Scale:
    """Whole numbers from `low` to `high`, with half a unit of air at both ends."""
    step = max(1, round(_step((high - low) / max(1, ticks - 1))) if high > low else 1)
    marks = [low, *(count for count in range(step * math.ceil((low + 1) / step), high + 1, step) if count - low >= step / 2)]
    return Scale(low - 0.5, high + 0.5, tuple(float(mark) for mark in marks))


def logarithmic(values: Iterable[float], *, ticks: int = 7) -> Scale:
    """Around all positive, finite values, from a round number to a round number, at least half a decade."""
    finite = [value for value in values if math.isfinite(value) and value > 0] or [1.0]
    low, high = min(finite), max(finite)
    if high < low * 4:
        low, high = low / 2, high * 2
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    if last - first > _MANY_DECADES:
        every = math.ceil((last - first + 1) / ticks)
        last += -(last - first) % every
        marks = [10.0**power for power in range(first, last + 1, every)]
        return Scale(marks[0], marks[-1], tuple(marks), is_log=True)
    round_ones = [digit * 10.0**power for power in range(first, last + 1) for digit in (1, 2, 5)]
    below = max(mark for mark in round_ones if mark <= low * (1 + 1e-9))
    above = min(mark for mark in round_ones if mark >= high * (1 - 1e-9))
    marks = [mark for mark in round_ones if below <= mark <= above]
    return Scale(below, above, tuple(marks), is_log=True)


def short(value: float) -> str:
    """Three digits: `0`, `0.35`, `950`, `12.5k`, `1.2M`; a dash for what is not finite."""
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= factor * 0.9995:
            return f"{value / factor:.3g}{unit}" if size < factor * 999.5 else f"{value / factor:.0f}{unit}"
    return f"{value:.3g}" if size < 999.5 else f"{value:.0f}"


def whole(value: float) -> str:
    """`17,834`; three digits below a hundred; a dash for what is not finite."""
    if not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 or value == 0 else f"{value:.3g}"


def _step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in _STEPS if step * power >= rough * (1 - 1e-9))
