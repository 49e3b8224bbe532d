"""What is known of the knobs beforehand must be true for every load."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from brokertuner_tui.agent.ddpg import DDPG
from brokertuner_tui.agent.presets import SLO
from brokertuner_tui.agent.space import MosquittoSpace, make_space
from brokertuner_tui.env.slo import CONTEXT_NAMES, context
from brokertuner_tui.knobs.catalogue import NAMES, Version, defaults
from brokertuner_tui.knobs.codec import decode, encode
from brokertuner_tui.workload.profile import Profile

SPACE = MosquittoSpace()
profiles = st.builds(
    Profile,
    name=st.just("any"),
    publishers=st.integers(1, 1000),
    subscribers=st.integers(1, 1000),
    topics=st.integers(1, 100),
    qos=st.integers(0, 2),
    payload_bytes=st.integers(24, 16 * 2**20),
    rate=st.sampled_from([0.0, 1.0, 500.0, 40_000.0]),
    window=st.integers(1, 65_535),
    client_rtt_ms=st.floats(0, 1000),
    burst=st.sampled_from([None, (0.2, 0.8)]),
    slo_ms=st.floats(0.1, 10_000),
)
versions = st.sampled_from([(2, 0, 11), (2, 0, 21), (2, 1, 2)])
actions = arrays(np.float64, (4, 11), elements=st.floats(-1, 1))


def seen(profile: Profile, version: Version) -> np.ndarray:
    return np.array(context(profile, version), dtype=np.float32)


@given(actions)
def test_snapping_changes_no_meaning(drawn: np.ndarray) -> None:
    snapped = SPACE.snap(drawn)
    for before, after in zip(drawn, snapped, strict=True):
        old, new = decode(before), decode(after)
        inert = set() if old["persistence"] else {"autosave_interval"}
        assert {name: old[name] for name in NAMES if name not in inert} == {
            name: new[name] for name in NAMES if name not in inert
        }
    assert np.array_equal(SPACE.snap(snapped), snapped)


@given(actions)
def test_what_is_executed_snaps_to_itself(drawn: np.ndarray) -> None:
    """The buffer holds what was executed; candidates are compared with it."""
    executed = np.stack([encode(decode(action)) for action in SPACE.snap(drawn)])
    assert np.abs(SPACE.snap(executed) - executed).max() < 1e-9


@given(profiles, versions)
def test_the_default_is_above_the_floor_unless_the_load_needs_more(profile: Profile, version: Version) -> None:
    """More in flight than the default allows: by Little's law, or for a QoS 2 publisher's window; room for the payload."""
    below = SPACE.floor(seen(profile, version)) > encode(defaults(version)) + 1e-9
    needed = 1 + profile.rate * profile.fan_out / profile.subscribers * profile.client_rtt_ms / 1000
    needed *= sum(profile.burst) / profile.burst[0] if profile.burst else 1
    allowed = {"max_packet_size"} if profile.payload_bytes > 900_000 else set()
    if needed > 38 or (profile.qos == 2 and profile.window > 19):
        allowed.add("max_inflight_messages")
    assert {name for name, is_below in zip(NAMES, below, strict=True) if is_below} <= allowed


@given(profiles, versions, arrays(np.float64, (8, 11), elements=st.floats(0, 1)))
def test_the_warm_up_never_strangles_the_load(profile: Profile, version: Version, points: np.ndarray) -> None:
    numbers = seen(profile, version)
    tried = [action for action, _ in SPACE.designed(numbers)] + list(SPACE.spread(points, numbers))
    for action in tried:
        knobs = decode(action)
        assert knobs["message_size_limit"] == 0 or knobs["message_size_limit"] >= profile.payload_bytes
        assert knobs["max_packet_size"] >= min(profile.payload_bytes + 128, defaults(version)["max_packet_size"])
        assert knobs["memory_limit"] == 0 or knobs["memory_limit"] >= 2**29
        assert knobs["max_queued_messages"] == 0 or knobs["max_queued_messages"] >= 99
        assert knobs["max_inflight_messages"] == 0 or knobs["max_inflight_messages"] >= 20


def test_a_far_network_gets_room_for_what_is_in_flight() -> None:
    wan = Profile("any", 4, 4, 4, 1, 64, 40_000, 60_000, 100)  # 10,000 a second for 0.1 s: 1,000 in flight
    first = decode(SPACE.designed(seen(wan, (2, 0, 21)))[0][0])
    assert 2000 <= first["max_inflight_messages"] <= 20_000
    assert SPACE.designed(seen(wan, (2, 0, 21)))[0][1]


def test_both_settings_of_nodelay_are_tried_early() -> None:
    designed = SPACE.designed(seen(Profile("any", rate=100), (2, 1, 2)))
    assert {decode(action)["set_tcp_nodelay"] for action, _ in designed[:2]} == {True, False}


@pytest.mark.parametrize(
    ("qos", "clean_session", "wanted"),
    [
        (0, True, {"max_inflight_messages", "max_inflight_bytes", "queue_qos0_messages"}),
        (0, False, {"max_inflight_messages", "max_inflight_bytes"}),
        (1, True, {"queue_qos0_messages"}),
        (2, False, {"queue_qos0_messages"}),
    ],
)
def test_what_cannot_matter_under_a_load(qos: int, clean_session: bool, wanted: set[str]) -> None:
    numbers = seen(Profile("any", qos=qos, clean_session=clean_session), (2, 1, 2))
    assert {name for name, is_inert in zip(NAMES, SPACE.inert(numbers), strict=True) if is_inert} == wanted
    for action in SPACE.spread(np.random.default_rng(0).random((50, 11)), numbers):
        knobs = decode(action)
        assert {name: knobs[name] for name in wanted} == {name: defaults((2, 1, 2))[name] for name in wanted}


def test_what_cannot_matter_is_not_moved() -> None:
    """Nor put back, where the operator's own value is another than the broker's default."""
    agent = DDPG(len(CONTEXT_NAMES), 11, SLO, seed=0)
    load = seen(Profile("any", qos=1, rate=100), (2, 1, 2))
    own = defaults((2, 1, 2)) | {"queue_qos0_messages": True}
    for trial in range(12):
        action = encode(own) if trial == 0 else agent.propose(load).action
        if agent.propose(load).source != "warm-up":
            assert decode(action)["queue_qos0_messages"] is True, trial
        agent.remember(load, action, 0.5 if trial == 0 else 0.4, load)
        agent.update()


@pytest.mark.parametrize(("name", "size"), [("mosquitto", 10), ("moon", 11)])
def test_unknown_spaces_are_refused(name: str, size: int) -> None:
    with pytest.raises(ValueError, match=name):
        make_space(name, size)
