"""Nothing but legal values passes, whatever it looks like."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokertuner_tui.errors import ExitCode, UsageError
from brokertuner_tui.knobs.catalogue import BY_NAME, CATALOGUE, NAMES, Value, defaults
from brokertuner_tui.knobs.validation import KnobError, check, check_all, parse
from tests.knobs.values import all_legal

NUMBERS = [knob.name for knob in CATALOGUE if knob.type == "int"]
SWITCHES = [knob.name for knob in CATALOGUE if knob.type == "bool"]


@given(all_legal)
def test_legal_values_stay_as_they_are(values: dict[str, Value]) -> None:
    assert check_all(values) == values
    assert list(check_all(dict(reversed(values.items())))) == list(NAMES)
    assert {name: parse(name, str(value)) for name, value in values.items()} == values


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    "value",
    [
        math.nan, math.inf, -math.inf, -1, -(2**31), 2**31, 2**32 + 1, 2**63, 10**30, 1e300, 20.5,
        True, False, np.True_, np.float64("nan"), np.float32(20), np.array([20, 21]), None, [20], {}, b"20", 20j, Decimal(20),
        Fraction(20), Ellipsis,
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_no_number_of_a_knob(name: str, value: object) -> None:
    with pytest.raises(KnobError) as raised:
        check(name, value)
    message = str(raised.value)
    assert message.startswith(f"{name} = ")
    assert "must be a whole number from" in message
    assert "\n" not in message
    assert raised.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("value", [0, 1, 1.0, None, np.int64(1), "maybe", "", "truee", [True]], ids=repr)
def test_what_is_no_switch(name: str, value: object) -> None:
    with pytest.raises(KnobError, match="must be true or false"):
        check(name, value)


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.int64, np.uint16, float, np.float64])
def test_other_kinds_of_whole_numbers(kind: type) -> None:
    value = check("max_inflight_messages", kind(50))
    assert value == 50
    assert type(value) is int


def test_numpys_switch() -> None:
    assert check("persistence", np.True_) is True
    assert check("persistence", np.False_) is False


@pytest.mark.parametrize("name", NUMBERS)
def test_just_outside(name: str) -> None:
    low, high = BY_NAME[name].low, BY_NAME[name].high
    assert check(name, low) == low
    assert check(name, high) == high
    with pytest.raises(KnobError):
        check(name, high + 1)
    if low - 1 not in BY_NAME[name].special:
        with pytest.raises(KnobError):
            check(name, low - 1)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    "text",
    [
        "20\nplugin /x.so", "20\n", "\n20", "20\r", "2\x000", "20\x0b", "20\x1c", "20\x85", "20\u2028", "\t20", "20\ufeff",
        "٢٠", "２０", "²", "Ⅻ", "½", "1e3", "0x14", "20.0", "20.5", "1,5", "1_0", "10,00", ",100", "100,", "1,000_00", "2 0",
        "--20", "+-2", "-1", "-20", "", " ", "abc", "nan", "inf", "-inf", "true", "9" * 5000, str(2**31), str(2**63), "None",
    ],
    ids=ascii,
)  # fmt: skip
def test_what_nobody_may_type(name: str, text: str) -> None:
    with pytest.raises(KnobError) as raised:
        check(name, text)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("max_queued_messages", "100_000", 100_000),
        ("max_queued_messages", "100,000", 100_000),
        ("max_queued_messages", " 1000 ", 1000),
        ("max_queued_messages", "+5", 5),
        ("max_queued_messages", "0", 0),
        ("max_queued_messages", "no limit", 0),
        ("max_packet_size", "No Limit", 268_435_455),
        ("autosave_interval", "only at exit", 0),
        ("persistence", "TRUE", True),
        ("persistence", "off", False),
        ("persistence", "0", False),
    ],
)
def test_what_people_type(name: str, text: str, value: Value) -> None:
    assert parse(name, text) == value
    assert type(parse(name, text)) is type(value)


@given(st.sampled_from(NAMES), st.text())
def test_any_text(name: str, text: str) -> None:
    try:
        value = parse(name, text)
    except KnobError:
        return
    assert check(name, value) == value
    assert text.isprintable()


@given(st.sampled_from(NAMES), st.integers() | st.floats() | st.booleans() | st.none() | st.binary())
def test_anything(name: str, anything: object) -> None:
    """What passes is a plain int or bool that the catalogue allows."""
    knob = BY_NAME[name]
    try:
        value = check(name, anything)
    except KnobError:
        return
    assert type(value) is (bool if knob.type == "bool" else int)
    assert value in knob.special or knob.low <= value <= knob.high
    assert value == anything


def test_names() -> None:
    with pytest.raises(UsageError, match=r"unknown knob 'max_inflight'.*max_inflight_messages"):
        check("max_inflight", 1)
    with pytest.raises(UsageError, match="unknown knob 'plugin'"):
        check_all(defaults() | {"plugin": 1})
    some = dict(defaults())
    del some["persistence"]
    with pytest.raises(UsageError, match="no value for persistence"):
        check_all(some)
