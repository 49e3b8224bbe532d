"""Stops every value that the broker would refuse, wrap around or misread, before it is written anywhere.

Mosquitto parses integers with `atoi`: `abc` becomes 0, 2^31 wraps, -1 silently means unlimited. These checks are the only
guard there is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from operator import index
from typing import Any

from brokertuner_tui.errors import UsageError
from brokertuner_tui.knobs.catalogue import BY_NAME, INT32_MAX, NAMES, Knob, Value


class KnobError(UsageError):
    """A knob that does not exist, or a value that it cannot have."""

    def __init__(self, knob: str, value: object, reason: str) -> None:
        self.knob, self.value, self.reason = knob, value, reason
        super().__init__(f"{knob} = {value!r}: {reason}")


def get_knob(name: str) -> Knob:
    """The knob called `name`.

    Raises:
        UsageError: there is none.
    """
    try:
        return BY_NAME[name]
    except KeyError:
        raise UsageError(f"unknown knob {name!r}: known are {', '.join(NAMES)}") from None


def check(name: str, value: object) -> Value:
    """`value` as a legal value of the knob `name`.

    An integer knob takes an int (numpy's too, or a float without a fraction), never a bool; a switch takes a bool.

    Raises:
        KnobError: the value is not legal; the message says what is.
        UsageError: there is no such knob.
    """
    knob = get_knob(name)
    if isinstance(value, str):
        return parse(name, value)
    is_switch = type(value).__name__ in ("bool", "bool_")  # numpy's too, whose name depends on its version
    if is_switch != (knob.type == "bool"):
        raise KnobError(name, value, knob.allowed)
    if is_switch:
        return bool(value)
    if isinstance(value, float) and value.is_integer():  # False for NaN and the infinities
        number = int(value)
    else:
        try:
            number = index(value)  # type: ignore[arg-type]  # the exception is what is asked for
        except TypeError:
            raise KnobError(name, value, knob.allowed) from None
    if number in knob.special or knob.low <= number <= knob.high:
        return number
    raise KnobError(name, value, knob.allowed + _what_else(knob, number))


def _what_else(knob: Knob, number: int) -> str:
    """What the broker would make of a number that it does not mean what it says, where that is not plain."""
    if "bytes" in knob.unit and number > INT32_MAX:
        return "; Mosquitto reads it into 32 bits: it would wrap around to a wrong value, or to no limit"
    if number < 0:
        return "; Mosquitto takes a negative number for no limit, without a word" if 0 in knob.special else ""
    if number < knob.low and knob.name == "max_packet_size":
        return "; Mosquitto does not start with less"
    return ""


_NUMBER = re.compile(r"[+-]?([0-9]{1,19}|[0-9]{1,3}([_,][0-9]{3}){1,6})")
_WORDS = {"true": True, "on": True, "yes": True, "1": True, "false": False, "off": False, "no": False, "0": False}


def parse(name: str, text: str) -> Value:
    """A value typed by a person (`true`, `off`, `500`, `100_000`, `100,000`, `no limit`) as a legal value.

    Raises:
        KnobError: not legal.
        UsageError: no such knob.
    """
    knob = get_knob(name)
    if not text.isprintable():  # a line's end would begin another setting
        raise KnobError(name, text, "must be one line without control characters")
    word = text.strip().lower()
    if knob.type == "bool":
        if word in _WORDS:
            return _WORDS[word]
        raise KnobError(name, text, knob.allowed)
    for value, meaning in knob.special.items():
        if word == meaning:
            return value
    if not _NUMBER.fullmatch(word):
        raise KnobError(name, text, knob.allowed)
    return check(name, int(word.replace("_", "").replace(",", "")))


def check_all(values: Mapping[str, Any]) -> dict[str, Value]:
    """All eleven knobs, each checked, in catalogue order.

    Raises:
        KnobError: a value is missing or not legal.
        UsageError: a name is not a knob's.
    """
    for name in values:
        get_knob(name)
    missing = [name for name in NAMES if name not in values]
    if missing:
        raise UsageError(f"no value for {', '.join(missing)}")
    return {name: check(name, values[name]) for name in NAMES}
