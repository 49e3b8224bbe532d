"""Numbers in payloads: found, and counted as they come."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokertuner_tui.workload.live.sequence import SequenceDetector

LEARNED = 8
"""Messages until a count is believed in, the first of which it begins with."""


def _detector(payloads: list[bytes], mode: str = "auto", topic: str = "t") -> SequenceDetector:
    detector = SequenceDetector(mode)
    for payload in payloads:
        detector.message(topic, payload)
    return detector


def _json(number: int) -> bytes:
    return json.dumps({"at": number * 977, "seq": number, "ok": True, "temperature": 20 + number % 3}).encode()


@given(
    st.integers(0, 2**40),
    st.lists(st.sampled_from(["comes", "comes", "comes", "lost", "twice", "swapped"]), max_size=200),
    st.sampled_from([lambda number: b"%d;23.5" % number, _json]),
)
def test_what_is_lost_and_what_comes_twice_is_counted_exactly(first, fates, write) -> None:  # type: ignore[no-untyped-def]
    numbers = list(range(first, first + LEARNED + 3))
    lost = twice = waiting = 0
    for number, fate in enumerate([*fates, "comes"], first + LEARNED + 3):
        if fate == "lost":
            waiting += 1
            continue
        lost, waiting = lost + waiting, 0  # seen only once something overtakes them
        numbers.append(number)
        if fate == "twice":
            numbers.append(number)
            twice += 1
        elif fate == "swapped":
            numbers[-2:] = reversed(numbers[-2:])
    counts = _detector([write(number) for number in numbers]).counts
    assert counts.topics == 1
    assert counts.messages == len(numbers)
    assert (counts.lost, counts.duplicated) == (lost, twice)
    assert counts.received == len(numbers) - LEARNED - twice


@pytest.mark.parametrize(
    "payloads",
    [
        [b"%d" % (1_700_000_000_000 + 100 * number) for number in range(100)],  # a clock
        [b"21.%d" % (number % 10) for number in range(100)],  # a reading
        [b'{"value": 7}'] * 100,
        [bytes([number]) * 20 for number in range(100)],
        [b"{" * 60_000] * 3,
        [b"[1]", b"", b"null", b"\xff\xfe", b"9" * 500] * 20,
    ],
)
def test_what_only_looks_like_a_count_is_none(payloads: list[bytes]) -> None:
    counts = _detector(payloads).counts
    assert (counts.topics, counts.received, counts.lost) == (0, 0, 0)
    assert counts.messages == len(payloads)


@given(st.lists(st.binary(max_size=40) | st.integers(0, 30).map(lambda n: b"%d" % n), max_size=100))
def test_no_payload_is_too_strange(payloads: list[bytes]) -> None:
    counts = _detector(payloads).counts
    assert counts.lost >= 0
    assert counts.received + counts.duplicated <= counts.messages == len(payloads)


def test_a_named_number_needs_no_proof_and_others_do_not_count() -> None:
    payloads = [_json(number) for number in (5, 6, 9)]
    assert _detector(payloads, "json:seq").counts.lost == 2
    assert _detector(payloads, "json:other").counts.topics == 0
    assert _detector([b"3 x", b"5 x"], "leading").counts.lost == 1
    assert _detector(payloads, "none").counts.topics == 0


def test_topics_do_not_mix_and_a_publisher_may_begin_anew() -> None:
    detector = SequenceDetector("leading")
    for number in range(20):
        detector.message("a", b"%d" % number)
        detector.message("b", b"%d" % (1000 + number))
    for number in range(15):  # restarted
        detector.message("a", b"%d" % number)
    assert (detector.counts.lost, detector.counts.topics, detector.counts.duplicated) == (0, 2, 0)
    detector.resync()
    detector.message("b", b"2000")  # we were away
    assert detector.counts.lost == 0
    detector.message("b", b"2002")
    assert detector.counts.lost == 1
