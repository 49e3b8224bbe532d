"""Actions to knob values and back: one number in [-1, 1] a knob.

A switch is on from 0 up. A number's range is logarithmic over the lower 90 % of the interval, and a special value with the
meaning "no limit" takes the top 10 %: it behaves like a value beyond the largest, so the reward stays smooth there (the
special-value gate of LlamaTune, arXiv 2203.05128, with an end of the scale instead of a switch). Encoding is exact in
float64: `decode(encode(v)) == v` for every legal v, of the largest too.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brokertuner_tui.knobs.catalogue import BY_NAME, CATALOGUE, NAMES, Knob, KnobValues, Value
from brokertuner_tui.knobs.validation import check, check_all, get_knob

Action = NDArray[np.float64]
"""Shape (11,), each in [-1, 1], in catalogue order."""

SPECIAL_FROM = 0.8
"""Actions from here up mean the special value of a knob that has one (the top tenth of [-1, 1])."""


def _top(knob: Knob) -> float:
    return SPECIAL_FROM if knob.special else 1.0


def encode_knob(name: str, value: Value) -> float:
    """The action that stands for `value`: the middle of the special band for a special value, ±1 for a switch.

    Raises:
        UsageError: there is no such knob, or the value is not legal.
    """
    value = check(name, value)
    knob = BY_NAME[name]
    if knob.scale == "switch":
        return 1.0 if value else -1.0
    if value in knob.special:
        return (SPECIAL_FROM + 1.0) / 2
    share = math.log(value / knob.low) / math.log(knob.high / knob.low)
    # Just below the band, so that the largest value is not read as the special one.
    return min(-1.0 + share * (_top(knob) + 1.0), math.nextafter(_top(knob), -1.0) if knob.special else 1.0)


def decode_knob(name: str, action: float) -> Value:
    """The legal value that `action` stands for; numbers outside [-1, 1] count as its ends.

    Raises:
        UsageError: there is no such knob.
        ValueError: the action is NaN.
    """
    knob = get_knob(name)
    if math.isnan(action):
        raise ValueError(f"{name}: the action is not a number")
    action = min(1.0, max(-1.0, action))
    if knob.scale == "switch":
        return action >= 0.0
    if knob.special and action >= SPECIAL_FROM:
        return next(iter(knob.special))
    share = (action + 1.0) / (_top(knob) + 1.0)
    value = round(knob.low * math.exp(share * math.log(knob.high / knob.low)))
    return min(knob.high, max(knob.low, value))


def rounded(name: str, value: Value) -> Value:
    """`value` with two significant digits: 4,771,129 says no more than 4,800,000, and that can be read.

    Upwards, since a limit must not fall below what was meant; downwards near the end of the range, since 65,535 messages in
    flight mean no limit, which is something else. Switches and special values are left as they are.

    Raises:
        UsageError: there is no such knob.
    """
    knob = get_knob(name)
    if isinstance(value, bool) or value in knob.special:
        return value
    unit = int(10 ** max(0, len(str(value)) - 2))
    up = -(-value // unit) * unit
    return up if up < knob.high else value // unit * unit


def rounded_changes(values: KnobValues, default: KnobValues) -> dict[str, Value]:
    """`values`, those that are not `default`'s own `rounded`."""
    return {name: value if value == default[name] else rounded(name, value) for name, value in values.items()}


def encode(values: KnobValues) -> Action:
    """Shape (11,) float64.

    Raises:
        UsageError: a value is missing or not legal.
    """
    values = check_all(values)
    return np.array([encode_knob(name, values[name]) for name in NAMES], dtype=np.float64)


def decode(action: ArrayLike) -> dict[str, Value]:
    """Legal values of all knobs for an action of shape (11,).

    Raises:
        ValueError: the shape is another, or a number is NaN.
    """
    array = np.asarray(action, dtype=np.float64)
    if array.shape != (len(CATALOGUE),):
        raise ValueError(f"an action has shape ({len(CATALOGUE)},), not {array.shape}")
    return {name: decode_knob(name, float(number)) for name, number in zip(NAMES, array, strict=True)}
