"""Stops every value that the broker would refuse, wrap around or misread, before it is written anywhere.

Mosquitto parses integers with `atoi`: `abc` becomes 0, 2^31 wraps, -1 silently means unlimited. These checks are the only
guard there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brokertuner_tui.errors import UsageError
from brokertuner_tui.knobs.catalogue import BY_NAME, NAMES, Knob, Value


class KnobError(UsageError):
    """A knob that does not exist, or a value that it cannot have."""

    def __init__(self, knob: str, value: object, reason: str) -> None:
        self.knob, self.value, self.reason = knob, value, reason
        super().__init__(f"{knob} = {value!r}: {reason}")


def get_knob(name: str) -> Knob:
    """The knob called `name`.

    Raises:
        KnobError: there is none.
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
    if knob.type == "bool":
        if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
            return bool(value)
        raise KnobError(name, value, knob.allowed)
    if isinstance(value, bool) or type(value).__name__ == "bool_" or not hasattr(value, "__index__"):
        if not (isinstance(value, float) and value.is_integer()):  # is_integer is False for NaN and the infinities
            raise KnobError(name, value, knob.allowed)
        number = int(value)
    else:
        number = int(value)
    if number in knob.special or knob.low <= number <= knob.high:
        return number
    raise KnobError(name, value, knob.allowed)


_WORDS = {"true": True, "on": True, "yes": True, "1": True, "false": False, "off": False, "no": False, "0": False}


def parse(name: str, text: str) -> Value:
    """A value typed by a person (`true`, `off`, `500`, `100_000`, `2e6` is not one) as a legal value.

    Raises:
        KnobError: not legal.
        UsageError: no such knob.
    """
    knob = get_knob(name)
    word = text.strip().lower()
    if not word.isprintable() or "\n" in text or "\r" in text or "\0" in text:
        raise KnobError(name, text, "must be one line without control characters")
    if knob.type == "bool":
        if word in _WORDS:
            return _WORDS[word]
        raise KnobError(name, text, knob.allowed)
    for value, meaning in knob.special.items():
        if word == meaning:
            return value
    digits = word.replace("_", "").replace(",", "").replace(" ", "")
    if not (digits.isascii() and digits.removeprefix("-").isdigit() and len(digits) < 20):
        raise KnobError(name, text, knob.allowed)
    return check(name, int(digits))


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
