"""The original's five numbers and its linear reward."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from brokertuner_tui.config.settings import ClassicReward, RewardSettings
from brokertuner_tui.env.classic import ClassicPreset
from brokertuner_tui.env.outcome import Outcome, Usage
from brokertuner_tui.env.presets import make_preset
from brokertuner_tui.errors import UsageError
from tests.env.made import outcome, outcomes, window


def test_the_five_numbers() -> None:
    usage = Usage(cpu_percent=200.0, rss_bytes=2**29, ctx_switches_per_s=250_000)
    seen = ClassicPreset().observe(outcome(window(20_000, 5_000, clients=500), usage=usage))
    assert seen.tolist() == [0.5, 2.5, 0.5, 0.5, 0.25]
    assert seen.dtype == np.float32


def test_the_linear_reward() -> None:
    preset = ClassicPreset(ClassicReward(alpha=1, beta=2, gamma=0.5, delta=0.25))
    usage = Usage(cpu_percent=200.0, rss_bytes=2**29)
    reward = preset.reward(outcome(window(20_000, 5_000, clients=500), usage=usage), None)
    assert reward.value == pytest.approx(1 * 0.5 + 2 * 2.5 - 0.5 * 0.5 - 0.25 * 0.5)
    assert reward.terms == pytest.approx({"clients": 0.5, "rate": 5.0, "cpu": -0.25, "memory": -0.125})


@given(outcomes)
def test_everything_is_finite_and_in_range(one: Outcome) -> None:
    preset = ClassicPreset()
    seen, (low, high) = preset.observe(one), preset.observation_range
    assert ((low <= seen) & (seen <= high)).all()
    worst, best = preset.reward_range
    assert worst <= preset.reward(one, None).value <= best


def test_a_trial_without_a_window() -> None:
    preset = ClassicPreset()
    assert preset.observe(outcome(None)).tolist() == [0, 0, 0, 0, 0]
    with pytest.raises(ValueError, match="failed"):
        preset.reward(outcome(None), None)
    assert preset.failed_reward == -1.0


def test_presets_by_name() -> None:
    settings = RewardSettings(classic=ClassicReward(alpha=7))
    assert make_preset("classic", settings).reward_range[1] == pytest.approx(800)
    assert make_preset("slo").name == "slo"
    with pytest.raises(UsageError, match="slo, classic"):
        make_preset("best")
