"""A recorded shape as a workload: nothing of rate, sizes, QoS and fan-out is lost on the way."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brokertuner_tui.errors import ConfigError
from brokertuner_tui.workload import limits
from brokertuner_tui.workload.play import MOST_PARTS, fitted, made_fan_out, playback, segments
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.shape import Shape, Stream, bucket


def stream(messages: list[int], size: int = 100, qos: int = 0, topics: int = 2, group: int = 0) -> Stream:
    low, high = bucket(size)
    return Stream(group, topics, qos, low, high, tuple(messages), tuple(size * count for count in messages))


STEADY = Shape(1.0, (stream([100] * 10), stream([50] * 10, 2000, 1), stream([10] * 10, 30, 2)), (40,) * 10, fan_out=2.5)


@given(st.integers(1, 40), st.integers(0, 40), st.integers(1, 50))
def test_fan_out_without_counting(publishers: int, subscribers: int, topics: int) -> None:
    counted = Profile("p", publishers=publishers, subscribers=subscribers, topics=topics).fan_out
    assert made_fan_out(publishers, subscribers, topics) == pytest.approx(counted)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.floats(0.02, 300))
def test_any_fan_out_can_be_made(publishers: int, subscribers: int, fan_out: float) -> None:
    pubs, subs, topics, made = fitted(publishers, subscribers, fan_out)
    assert made == pytest.approx(fan_out, rel=0.06 if fan_out < 1.5 else 0.05)
    assert Profile("p", publishers=pubs, subscribers=subs, topics=topics).fan_out == pytest.approx(made)


def test_a_steady_traffic_is_one_profile() -> None:
    played = playback(STEADY)
    (phase,) = played.workload.phases
    assert (played.workload.name, phase.profile.name, phase.seconds, played.seconds) == ("recorded", "recorded", math.inf, 10)
    assert [(part.qos, part.payload_bytes, part.rate) for part in phase.profile.parts[:3]] == [
        (0, 100, 100),
        (1, 2000, 50),
        (2, 30, 10),
    ]
    assert played.fan_out == pytest.approx(2.5, rel=0.02)
    assert phase.profile.fan_out == pytest.approx(2.5, rel=0.02)
    assert phase.profile.clients == pytest.approx(40, abs=8)
    assert phase.profile.parts[2].window == 20
    limits.check(phase.profile)


def test_speed_and_scale() -> None:
    fast, large = playback(STEADY, speed=10).workload, playback(STEADY, scale=3)
    assert fast.phases[0].profile.rate == pytest.approx(1600, rel=0.01)
    assert playback(STEADY, speed=10).seconds == 1
    assert large.workload.phases[0].profile.rate == pytest.approx(480, rel=0.01)
    assert large.seconds == 10


def test_rates_change_and_clients_stay() -> None:
    shape = replace(STEADY, streams=(stream([100] * 5 + [400] * 5), stream([0] * 8 + [300] * 2, 2000, 1)))
    phases = playback(shape, speed=2).workload.phases
    assert [phase.seconds for phase in phases] == [2.5, 1.5, 1.0]
    assert [[round(part.rate) for part in phase.profile.parts[:2]] for phase in phases] == [[200, 0], [800, 0], [800, 600]]
    for one, other in pairwise(phases):
        assert one.profile.with_rates_of(other.profile) is not None
    assert len({phase.profile.name for phase in phases}) == 3


@given(st.lists(st.integers(0, 2000), min_size=1, max_size=40), st.integers(1, 12))
def test_phases_hold_every_message(counts: list[int], most: int) -> None:
    found = segments(np.array([counts], np.float64).T, 1.0, most)
    assert [start for start, _ in found] == [0, *(end for _, end in found[:-1])]
    assert found[-1][1] == len(counts)
    assert len(found) <= most


def test_chance_makes_no_phases() -> None:
    counts = np.random.default_rng(7).poisson(20, (300, 6)).astype(float)
    assert len(segments(counts, 1.0, 12)) == 1


def test_too_many_sizes_become_fewer() -> None:
    streams = [stream([10 + size] * 4, 2**size, qos) for qos in (0, 1, 2) for size in range(5, 22)]
    mix = playback(replace(STEADY, streams=tuple(streams), connected=())).workload.phases[0].profile
    assert len(mix.parts) == MOST_PARTS
    assert mix.rate == pytest.approx(sum(one.messages[0] for one in streams))
    sent = sum(part.rate * part.payload_bytes for part in mix.parts)
    assert sent == pytest.approx(sum(one.payload_bytes[0] for one in streams), rel=0.001)


def test_what_it_cannot_do_is_said() -> None:
    small = replace(STEADY, streams=(replace(stream([100], 4), retained=0.5),), connected=(9,), connects=(3,), fan_out=None)
    notes = " ".join(playback(small).notes)
    for words in ("smaller than 24 bytes", "retained", "coming and leaving", "fan-out was not recorded"):
        assert words in notes
    with pytest.raises(ConfigError, match="nothing to play"):
        playback(replace(STEADY, streams=()))
    with pytest.raises(ConfigError, match="rate"):
        playback(replace(STEADY, streams=(stream([10**9]),)), speed=10)


def test_idle_clients_are_there() -> None:
    shape = replace(STEADY, connected=(500,) * 10, subscriptions=20)
    mix = playback(shape).workload.phases[0].profile
    assert mix.clients == 500
    assert mix.fan_out == pytest.approx(2.5, rel=0.02)
    nobody = playback(replace(shape, fan_out=0.0)).workload.phases[0].profile
    assert nobody.fan_out == pytest.approx(0, abs=0.01)
