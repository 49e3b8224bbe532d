"""The reward cannot be gamed, and loads are told apart by what they look like."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokertuner_tui.config.settings import SloReward
from brokertuner_tui.config.workloads import resolve, shipped_tables
from brokertuner_tui.env.outcome import Outcome, Usage
from brokertuner_tui.env.slo import CONTEXT_NAMES, CONTEXT_SCALES, SloPreset, context, from_log_unit
from brokertuner_tui.workload.profile import Profile
from tests.env.made import CLOSED, OPEN, outcome, outcomes, profiles, usages, window

CHEAP = SloReward(cpu_weight=0.0, memory_weight=0.0, restart_weight=0.0)


@given(outcomes, outcomes)
def test_rewards_stay_in_their_range_and_are_the_sum_of_their_terms(one: Outcome, reference: Outcome) -> None:
    preset = SloPreset()
    reward = preset.reward(one, reference)
    low, high = preset.reward_range
    assert low <= reward.value <= high
    assert reward.value == pytest.approx(sum(reward.terms.values()))


@given(profiles, usages, st.lists(st.integers(0, 10**7), min_size=2, max_size=5), st.integers(0, 10**7))
def test_more_on_time_never_earns_less(profile: Profile, usage: Usage, on_time: list[int], late: int) -> None:
    preset = SloPreset()
    reference = outcome(window(1000, 1000), profile)
    earned = [preset.reward(outcome(window(n, late), profile, usage=usage), reference).value for n in sorted(on_time)]
    assert earned == sorted(earned)


@given(st.integers(0, 49_000), st.integers(1, 1000))
def test_more_on_time_earns_more_until_all_is(on_time: int, more: int) -> None:
    preset = SloPreset()
    for profile in (OPEN, CLOSED):
        less, greater = (preset.reward(outcome(window(n), profile), None).value for n in (on_time, on_time + more))
        assert less < greater


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_late_lost_missing_and_duplicated_earn_nothing(late: int, lost: int, missing: int, duplicated: int) -> None:
    for profile in (OPEN, CLOSED):
        preset = SloPreset(CHEAP, {(profile, (2, 0, 21)): 50_000.0})
        plain = outcome(window(1000), profile)
        worse = outcome(window(1000, late, lost=lost, missing=missing, duplicated=duplicated), profile)
        assert preset.reward(worse, None).value == preset.reward(plain, None).value


def test_open_loop_is_the_share_of_what_is_offered() -> None:
    preset = SloPreset(CHEAP)
    assert preset.reward(outcome(window(25_000, 25_000)), None).value == pytest.approx(0.5)
    assert preset.reward(outcome(window(100_000, seconds=2.0)), None).value == pytest.approx(1.0)
    assert preset.reward(outcome(window(60_000)), None).value == 1.0


def test_closed_loop_is_relative_to_what_the_default_delivers() -> None:
    preset = SloPreset(CHEAP)
    reference = outcome(window(0, 140_000), CLOSED)  # all of it late
    assert preset.reward(outcome(window(140_000), CLOSED), reference).value == pytest.approx(0.5)
    assert preset.reward(outcome(window(280_000), CLOSED), reference).value == pytest.approx(2 / 3)
    assert preset.reward(reference, reference).value == 0.0


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=5), st.integers(1, 10**6))
def test_a_drifting_reference_moves_no_reward(references: list[int], on_time: int) -> None:
    preset = SloPreset()
    trial = outcome(window(on_time), CLOSED)
    first = preset.reward(trial, outcome(window(77_777), CLOSED))
    for received in references:
        assert preset.reward(trial, outcome(window(0, received), CLOSED)) == first
    carried_over = SloPreset(references=preset.references)
    assert carried_over.reward(trial, None) == first


@pytest.mark.parametrize("reference", [None, outcome(None, CLOSED), outcome(window(0), CLOSED)])
def test_closed_loop_without_a_useful_reference(reference: Outcome | None) -> None:
    preset = SloPreset(CHEAP)
    assert preset.reward(outcome(window(0), CLOSED), reference).value == 0.0
    low, high = (preset.reward(outcome(window(n), CLOSED), reference).value for n in (1_000, 100_000))
    assert 0 < low < high < 1


def test_each_profile_and_version_has_its_own_reference() -> None:
    preset = SloPreset()
    preset.reward(outcome(window(100), CLOSED), None)
    preset.reward(outcome(window(200), CLOSED, version=(2, 1, 2)), None)
    preset.reward(outcome(window(300), replace(CLOSED, window=5)), None)
    assert sorted(preset.references.values()) == [100, 200, 300]


def test_costs_are_small_and_add_up() -> None:
    preset = SloPreset(SloReward(cpu_weight=0.02, memory_weight=0.03, restart_weight=0.01))
    usage = Usage(cpu_percent=50.0, rss_bytes=2**29)
    idle, busy = (outcome(window(25_000), usage=used, how=how) for used, how in ((Usage(), "none"), (usage, "restart")))
    assert preset.reward(idle, None).value - preset.reward(busy, None).value == pytest.approx(0.01 + 0.015 + 0.01)
    # A restart for one per cent more is worth it, a hundredth of a per cent is not.
    assert preset.reward(outcome(window(26_000), how="restart"), None).value > preset.reward(idle, None).value
    assert preset.reward(outcome(window(25_005), how="restart"), None).value < preset.reward(idle, None).value


def test_a_trial_without_a_window_has_no_reward() -> None:
    with pytest.raises(ValueError, match="failed"):
        SloPreset().reward(outcome(None), None)


@given(outcomes)
def test_observations_are_finite_and_bounded(one: Outcome) -> None:
    preset = SloPreset()
    low, high = preset.observation_range
    for seen in (preset.observe(one), preset.observe(replace(one, window=None))):
        assert seen.shape == (len(preset.observation_names),)
        assert seen.dtype == np.float32
        assert ((low <= seen) & (seen <= high)).all()
        assert (seen[: preset.context_size] >= 0).all()


@given(outcomes, outcomes)
def test_the_context_does_not_depend_on_action_or_response(one: Outcome, other: Outcome) -> None:
    preset = SloPreset()
    moved = replace(other, profile=one.profile, version=one.version)
    size = preset.context_size
    assert np.array_equal(preset.observe(one)[:size], preset.observe(moved)[:size])


def test_names_are_unique_and_the_loads_name_is_not_seen() -> None:
    preset = SloPreset()
    assert len(set(preset.observation_names)) == len(preset.observation_names)
    renamed = replace(OPEN, name="something else")
    assert context(OPEN, (2, 0, 21)) == context(renamed, (2, 0, 21))


def test_shipped_loads_are_told_apart() -> None:
    loads = {phase.profile for workload in resolve(dict(shipped_tables())).values() for phase in workload.phases}
    assert len(loads) >= 6
    seen = [(np.array(context(load, version)), load.name) for load in loads for version in ((2, 0, 11), (2, 0, 21), (2, 1, 2))]
    for index, (one, name) in enumerate(seen):
        for other, another in seen[:index]:
            assert np.sqrt(np.mean((one - other) ** 2)) > 0.05, (name, another)


@given(profiles)
def test_the_context_can_be_read_back(profile: Profile) -> None:
    number = dict(zip(CONTEXT_NAMES, context(profile, (2, 0, 21)), strict=True))
    for name, value in {"payload": profile.payload_bytes, "window": profile.window, "publishers": profile.publishers}.items():
        assert from_log_unit(name, number[name]) == pytest.approx(value, rel=1e-6)
    assert set(CONTEXT_SCALES) < set(number)
