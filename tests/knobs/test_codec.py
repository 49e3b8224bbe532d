"""Actions and values, both ways."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokertuner_tui.errors import UsageError
from brokertuner_tui.knobs.catalogue import BY_NAME, NAMES, Value, defaults
from brokertuner_tui.knobs.codec import decode, decode_knob, encode, encode_knob, rounded
from brokertuner_tui.knobs.validation import check_all
from tests.knobs.values import all_legal, extremes


@pytest.mark.parametrize("name", NAMES)
def test_the_ends_come_back(name: str) -> None:
    for value in extremes(BY_NAME[name]):
        action = encode_knob(name, value)
        assert -1.0 <= action <= 1.0
        back = decode_knob(name, action)
        assert back == value
        assert type(back) is type(value)


@given(all_legal)
def test_every_legal_value_comes_back(values: dict[str, Value]) -> None:
    action = encode(values)
    assert action.shape == (11,)
    assert action.dtype == np.float64
    assert np.all(np.abs(action) <= 1)
    assert decode(action) == values


@given(st.lists(st.floats(-1e9, 1e9) | st.sampled_from([math.inf, -math.inf, -1.0, 1.0]), min_size=11, max_size=11))
def test_every_action_means_legal_values(action: list[float]) -> None:
    values = decode(action)
    assert check_all(values) == values


@given(st.sampled_from(NAMES), st.floats(-1, 1), st.floats(-1, 1))
def test_more_action_is_more_value(name: str, one: float, other: float) -> None:
    """With `no limit` above the largest."""

    def size(action: float) -> float:
        value = decode_knob(name, action)
        return math.inf if BY_NAME[name].special and value in BY_NAME[name].special else value

    low, high = sorted((one, other))
    assert size(low) <= size(high)


@given(st.lists(st.floats(-1, 1, width=32), min_size=11, max_size=11))
def test_what_was_decoded_stays_decoded(action: list[float]) -> None:
    """Also after a stay in a float32 network: the value that was applied is the value that is learnt from."""
    values = decode(np.array(action, dtype=np.float32))
    assert decode(encode(values)) == values


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("max_inflight_messages", 0, 0),
        ("max_inflight_messages", 20, 20),
        ("max_inflight_messages", 101, 110),
        ("max_inflight_messages", 65_533, 65_000),
        ("max_queued_messages", 4_771_129, 4_800_000),
        ("max_queued_bytes", 2_147_211_985, 2_100_000_000),
        ("set_tcp_nodelay", True, True),
    ],
)
def test_a_round_value_is_no_smaller(name: str, value: Value, wanted: Value) -> None:
    assert rounded(name, value) == wanted
    assert type(rounded(name, value)) is type(value)


@given(all_legal)
def test_round_values_are_legal_and_stay(values: dict[str, Value]) -> None:
    once = check_all({name: rounded(name, value) for name, value in values.items()})
    assert all(once[name] >= 0.9 * value for name, value in values.items())
    assert {name: rounded(name, value) for name, value in once.items()} == once


def test_actions_that_are_none() -> None:
    with pytest.raises(ValueError, match="shape"):
        decode(np.zeros(10))
    with pytest.raises(ValueError, match="shape"):
        decode(np.zeros((1, 11)))
    with pytest.raises(ValueError, match="not a number"):
        decode([math.nan] * 11)


@pytest.mark.parametrize(("name", "value"), [("max_packet_size", 0), ("memory_limit", -1), ("persistence", 1), ("nothing", 1)])
def test_values_that_are_not_legal(name: str, value: Value) -> None:
    with pytest.raises(UsageError):
        encode_knob(name, value)
    with pytest.raises(UsageError):
        encode(defaults() | {name: value})


def test_a_name_that_is_none() -> None:
    with pytest.raises(UsageError, match="unknown knob 'nothing'"):
        decode_knob("nothing", 0.0)
