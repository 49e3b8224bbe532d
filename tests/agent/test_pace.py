"""Exploring grows rare while it finds nothing, and comes back when it does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from brokertuner_tui.agent.config import AgentConfig
from brokertuner_tui.agent.pace import explores

CONFIG = AgentConfig(name="paced", patience=3, satisfied=0.96, rest=8)


def history(rewards: list[float], repeats: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A new action each time, then `repeats` of the first."""
    actions = np.linspace(-1, 1, len(rewards))[:, None] * np.ones((1, 11))
    actions = np.concatenate([actions, np.repeat(actions[:1], repeats, axis=0)])
    return actions, np.array([*rewards, *[rewards[0]] * repeats], dtype=np.float32)


def explored(trials: int, reward_of_new: float, best: float, config: AgentConfig = CONFIG) -> list[bool]:
    """Which of so many trials try something new, where each new one earns `reward_of_new`."""
    rewards, actions = [best], [np.zeros(11)]
    did = []
    for number in range(trials):
        did.append(explores(np.array(actions), np.array(rewards, dtype=np.float32), best, config))
        actions.append(np.full(11, 0.01 * (number + 1)) if did[-1] else actions[0])
        rewards.append(reward_of_new if did[-1] else best)
    return did


def test_without_patience_every_trial_explores() -> None:
    """The textbook's way stays possible."""
    assert explores(*history([0.5] * 30), 0.5, replace(CONFIG, patience=0))


def test_progress_keeps_it_exploring() -> None:
    """As long as new settings are better, nothing is repeated."""
    actions, rewards = history([0.1 * number for number in range(9)])
    assert explores(actions, rewards, 0.8, CONFIG)


def test_failures_make_it_rare() -> None:
    """The pauses grow by one trial with every three new ones that were no better."""
    did = explored(60, reward_of_new=0.3, best=0.6)
    assert did[:3] == [True] * 3
    first, second = sum(did[:20]), sum(did[40:])
    assert second < first
    assert second >= 2  # never quite: the machine and the load change


def test_a_pause_is_as_long_as_it_is_said() -> None:
    """Three failures: one repeat, then something new."""
    actions, rewards = history([0.6, 0.3, 0.3, 0.3])
    assert not explores(actions, rewards, 0.6, CONFIG)
    assert explores(*history([0.6, 0.3, 0.3, 0.3], repeats=1), 0.6, CONFIG)


def test_success_ends_the_pauses() -> None:
    """What is better by more than `progress` counts as a beginning."""
    actions, rewards = history([0.6, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.7])
    assert explores(actions, rewards, 0.7, CONFIG)
    actions, rewards = history([0.6, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.605])
    assert not explores(actions, rewards, 0.605, CONFIG)


@pytest.mark.parametrize("best", [0.96, 0.99])
def test_satisfied_it_looks_around_now_and_then(best: float) -> None:
    """Next to the greatest reward there can be, one trial in nine is new."""
    did = explored(90, reward_of_new=0.5, best=best)
    assert 5 <= sum(did) <= 10
