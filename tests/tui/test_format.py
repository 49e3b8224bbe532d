"""Numbers as an operator reads them."""

from __future__ import annotations

import math

import pytest

from brokertuner_tui.knobs.catalogue import BY_NAME, CATALOGUE, NAMES, defaults
from brokertuner_tui.tui import format


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (0.25, "0.25"),
        (500, "500"),
        (999.4, "999"),
        (999.6, "1.00k"),
        (1000, "1k"),
        (49_912, "49.9k"),
        (99_960, "100k"),
        (999_499, "999k"),
        (999_500, "1.00M"),
        (2_851_961, "2.85M"),
        (7e9, "7G"),
        (-29_300, "-29.3k"),
        (math.inf, "∞"),
        (math.nan, "–"),
    ],
)
def test_three_digits_and_a_letter(number: float, text: str) -> None:
    assert format.compact(number) == text


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 ms"),
        (0.456, "0.46 ms"),
        (1.52, "1.52 ms"),
        (152.4, "152 ms"),
        (999.4, "999 ms"),
        (999.6, "1.00 s"),
        (12_400, "12.4 s"),
    ],
)
def test_times(ms: float, text: str) -> None:
    assert format.milliseconds(ms) == text


def test_a_share_is_never_rounded_to_nothing_or_all() -> None:
    assert format.percent(0) == "0 %"
    assert format.percent(0.0001) == "<0.1 %"
    assert format.percent(0.034) == "3.4 %"
    assert format.percent(0.714) == "71 %"
    assert format.percent(0.9999) == ">99.9 %"
    assert format.percent(1) == "100 %"


def test_clock_bytes_groups() -> None:
    assert format.clock(3672.9) == "1:01:12"
    assert format.clock(-1) == "0:00:00"
    assert format.in_bytes(64) == "64 B"
    assert format.in_bytes(2_000_000) == "2 MB"
    assert format.in_bytes(1_073_741_824) == "1.07 GB"
    assert [format.grouped(number) for number in (9999, 21_500, 2_851_961)] == ["9999", "21 500", "2 851 961"]
    assert [format.plural(count, "knob") for count in (0, 1, 2)] == ["0 knobs", "1 knob", "2 knobs"]


def test_knob_values() -> None:
    assert format.knob_value("max_inflight_messages", 21_500) == "21 500"
    assert format.knob_value("max_queued_messages", 2_851_961, brief=True) == "2.85M"
    assert format.knob_value("max_inflight_bytes", 0) == "no limit"
    assert format.knob_value("max_inflight_bytes", 0, long=True) == "0 = no limit"
    assert format.knob_value("autosave_interval", 1800) == "1800 s"
    assert format.knob_value("persistence", True) == "on"
    assert format.knob_value("max_packet_size", 2_000_000) == "2 MB"
    limit = BY_NAME["max_packet_size"].default
    assert format.knob_value("max_packet_size", limit, long=True) == "no limit"


@pytest.mark.parametrize("name", NAMES)
def test_every_value_has_a_place_in_its_range_and_a_text(name: str) -> None:
    knob = BY_NAME[name]
    values = [False, True] if knob.type == "bool" else [knob.low, (knob.low + knob.high) // 2, knob.high, *knob.special]
    shares = [format.range_share(name, value) for value in values]
    assert all(0 <= share <= 1 for share in shares)
    assert shares[0] < shares[1] <= shares[-1]
    for value in values:
        assert 0 < len(format.knob_value(name, value, brief=True)) <= 13


def test_the_table_is_as_wide_as_its_texts_need() -> None:
    """Every default fits into the narrowest column."""
    for knob in CATALOGUE:
        assert len(format.knob_value(knob.name, defaults()[knob.name], brief=True)) <= 9


def test_a_sparkline_has_a_fixed_scale() -> None:
    assert format.sparkline([0, 50, 100], 5, 0, 100) == "  ▁▅█"
    assert format.sparkline([20, 20, 20], 3, 0, 100) == "▂▂▂", "a flat series is not a full one"
    assert format.sparkline([1, None, 1], 3, 0, 1) == "█ █"
    assert format.sparkline([5, -5], 2, 0, 1) == "█▁", "what is beyond the scale stops at its ends"
    assert format.sparkline([1] * 9, 4, 0, 1) == "████"


def test_nice_ends_of_scales() -> None:
    assert [format.nice_ceiling(number) for number in (0, 0.7, 1, 1.2, 51_000, 60_000, 61_000, 99)] == [
        1, 0.8, 1, 1.5, 60_000, 60_000, 80_000, 100,
    ]  # fmt: skip
