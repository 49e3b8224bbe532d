"""Traps that are known beforehand are not stepped into."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokertuner_tui.knobs import codec
from brokertuner_tui.knobs.catalogue import CATALOGUE, Value, defaults
from brokertuner_tui.knobs.validation import check_all
from brokertuner_tui.tuning.guard.traps import evade, traps
from brokertuner_tui.workload.profile import Profile

PROFILE = Profile("p", publishers=4, subscribers=4, topics=4, qos=2, payload_bytes=1000, window=50)


@pytest.mark.parametrize(
    ("knob", "value", "version", "word"),
    [
        ("max_packet_size", 500, (2, 0, 21), "disconnected"),
        ("message_size_limit", 999, (2, 0, 21), "discarded"),
        ("memory_limit", 2**20, (2, 0, 21), "reload cannot raise"),
        ("max_inflight_messages", 10, (2, 0, 21), "QoS 2"),
        ("max_inflight_messages", 0, (2, 1, 2), "2.1"),
        ("max_queued_messages", 0, (2, 0, 21), "2.0.21"),
    ],
)
def test_each_trap_is_named_and_evaded(knob: str, value: Value, version: tuple[int, int, int], word: str) -> None:
    wish = defaults() | {"max_inflight_messages": 100} | {knob: value}
    found = [trap for trap in traps(wish, PROFILE, version) if trap.knob == knob]
    assert len(found) == 1
    assert word in found[0].reason
    safe = evade(wish, PROFILE, version, {})
    assert safe[knob] == found[0].instead
    assert traps(safe, PROFILE, version) == []


def test_a_pinned_knob_stays_as_the_operator_wants_it() -> None:
    wish = defaults() | {"message_size_limit": 10}
    assert evade(wish, PROFILE, (2, 0, 21), {"message_size_limit": 10})["message_size_limit"] == 10


def test_values_that_are_fine_are_left_alone() -> None:
    wish = defaults() | {"max_inflight_messages": 500, "max_queued_messages": 100_000, "set_tcp_nodelay": True}
    assert evade(wish, PROFILE, (2, 1, 2), {}) == wish


@given(st.lists(st.floats(-1, 1), min_size=len(CATALOGUE), max_size=len(CATALOGUE)), st.sampled_from([0, 1, 2]))
def test_whatever_is_proposed_comes_out_legal_and_free_of_traps(action: list[float], qos: int) -> None:
    profile = Profile("p", publishers=4, subscribers=4, topics=4, qos=qos, payload_bytes=1000, window=60_000)
    for version in ((2, 0, 11), (2, 0, 21), (2, 1, 2)):
        safe = evade(codec.decode(action), profile, version, {})
        assert check_all(safe) == safe
        assert traps(safe, profile, version) == []
