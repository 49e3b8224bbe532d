"""Numbers as an operator reads them: with a unit, and no more digits than mean something."""

from __future__ import annotations

import math
from collections.abc import Sequence

from brokertuner_tui.knobs.catalogue import BY_NAME, Knob, Value, Version

SPARKS = "▁▂▃▄▅▆▇█"
DASH = "–"


def compact(number: float) -> str:
    """Three significant digits with k, M or G: `49.9k`, `500`, `0.25`."""
    if not math.isfinite(number):
        return "∞" if number > 0 else DASH
    size = abs(number)
    for limit, divisor, letter in ((999.5, 1, ""), (999.5e3, 1e3, "k"), (999.5e6, 1e6, "M"), (math.inf, 1e9, "G")):
        if size < limit:
            return _three_digits(number / divisor) + letter
    raise AssertionError("not reached: the last limit is infinite")


def _three_digits(number: float) -> str:
    size = abs(number)
    if size >= 99.95 or number == int(number):
        return f"{number:.0f}"
    return f"{number:.1f}" if size >= 9.995 else f"{number:.2f}"


def per_second(number: float) -> str:
    """A rate: `49.9k/s`."""
    return f"{compact(number)}/s"


def goodput(number: float, *, in_percent: bool) -> str:
    """A goodput: a rate, or under live traffic the share in time, in per cent."""
    return f"{number:.1f} %" if in_percent else per_second(number)


def milliseconds(ms: float) -> str:
    """A time in ms, in seconds from one up: `0.46 ms`, `12.4 s`."""
    if not math.isfinite(ms):
        return DASH
    return f"{_three_digits(ms / 1000)} s" if ms >= 999.5 else f"{_three_digits(ms)} ms"


def in_bytes(count: float) -> str:
    """SI multiples: `64 B`, `2.00 MB`."""
    for limit, divisor, unit in ((999.5, 1, "B"), (999.5e3, 1e3, "kB"), (999.5e6, 1e6, "MB"), (math.inf, 1e9, "GB")):
        if count < limit:
            return f"{_three_digits(count / divisor)} {unit}"
    raise AssertionError("not reached: the last limit is infinite")


def clock(seconds: float) -> str:
    """An elapsed time: `0:01:12`."""
    whole = max(0, int(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def percent(share: float) -> str:
    """A share of 1 as per cent; never 0 or 100 unless it is: `0`, `<0.1`, `3.4`, `71`, `99.9`."""
    number = share * 100
    if number == 0 or number >= 100:
        return f"{number:.0f} %"
    if number < 0.1:
        return "<0.1 %"
    if number > 99.9:
        return ">99.9 %"
    return f"{number:.1f} %" if number < 9.95 or number > 99 else f"{number:.0f} %"


def grouped(number: int) -> str:
    """`21 500`; four digits stay together."""
    return str(number) if abs(number) < 10_000 else f"{number:,}".replace(",", " ")


def version_text(version: Version | None) -> str:
    """`2.0.21`."""
    return ".".join(map(str, version)) if version else DASH


def plural(count: int, word: str) -> str:
    """`1 knob`, `3 knobs`."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def knob_value(name: str, value: Value, *, long: bool = False, brief: bool = False) -> str:
    """A knob's value in its unit; `long` adds the meaning of a special one (`0 = no limit`), `brief` rounds large counts."""
    knob = BY_NAME[name]
    if knob.type == "bool":
        return "on" if value else "off"
    special = knob.special.get(value)
    if special:
        # A special value other than 0 stands for nothing that the operator would type.
        return f"{value} = {special}" if long and value == 0 else special
    if "bytes" in knob.unit:
        return in_bytes(value) if value >= 10_000 else f"{value} B"
    number = compact(value) if brief and value >= 100_000 else grouped(value)
    return f"{number} s" if knob.unit == "seconds" else number


def range_text(knob: Knob) -> str:
    """What may be typed."""
    if knob.type == "bool":
        return "on or off"
    special = ", ".join(f"{value} = {meaning}" for value, meaning in knob.special.items())
    return f"{knob.low} to {knob.high} {knob.unit}" + (f"; {special}" if special else "")


def range_share(name: str, value: Value) -> float:
    """Where a value lies between a knob's least and greatest, 0 to 1, on the knob's own (logarithmic) scale.

    "No limit" lies at the far end, as in the agent's action.
    """
    knob = BY_NAME[name]
    if knob.scale == "switch":
        return 1.0 if value else 0.0
    if value in knob.special:
        return 1.0
    share = math.log(max(knob.low, value) / knob.low) / math.log(knob.high / knob.low)
    return share * (0.93 if knob.special else 1.0)


def sparkline(values: Sequence[float | None], width: int, low: float, high: float) -> str:
    """The last `width` values as blocks between `low` and `high`, a column each, on the right; None is a gap."""
    shown = list(values)[-width:]
    span = (high - low) or 1.0
    blocks = []
    for value in shown:
        if value is None or not math.isfinite(value):
            blocks.append(" ")
            continue
        index = int((value - low) / span * len(SPARKS))
        blocks.append(SPARKS[min(len(SPARKS) - 1, max(0, index))])
    return "".join(blocks).rjust(width)


def nice_ceiling(number: float) -> float:
    """The least of 1, 1.5, 2, 3, 4, 6, 8 times a power of ten that is not below `number`; 1 for nothing."""
    if number <= 0 or not math.isfinite(number):
        return 1.0
    power = 10.0 ** math.floor(math.log10(number))
    for step in (1, 1.5, 2, 3, 4, 6, 8, 10):
        if number <= step * power * (1 + 1e-9):
            return step * power
    return 10 * power
