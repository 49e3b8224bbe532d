"""The buffer."""

from __future__ import annotations

import numpy as np
import pytest

from brokertuner_tui.agent.replay import Replay


def filled(count: int, capacity: int) -> Replay:
    replay = Replay(2, 3, 4, capacity)
    for number in range(count):
        replay.add(
            observation=[number, 0],
            action=[number] * 3,
            reward=number,
            next_observation=[number + 1, 0],
            terminated=False,
            weight=[1, 2, 3, 4],
        )
    return replay


@pytest.mark.parametrize(("count", "capacity"), [(0, 5), (3, 5), (5, 5), (6, 5), (13, 5), (200, 1000), (1001, 1000)])
def test_keeps_the_last_ones_oldest_first(count: int, capacity: int) -> None:
    kept = filled(count, capacity).all().reward
    assert kept.tolist() == list(range(max(0, count - capacity), count))


def test_draws_rows_that_belong_together() -> None:
    batch = filled(100, 60).sample(np.random.default_rng(0), 32)
    assert batch.action.shape == (32, 3)
    assert (batch.action[:, 0] == batch.reward).all()
    assert (batch.next_observation[:, 0] == batch.reward + 1).all()
    assert batch.reward.min() >= 40


def test_a_small_buffer_is_drawn_whole() -> None:
    assert filled(5, 60).sample(np.random.default_rng(0), 32).reward.tolist() == [0, 1, 2, 3, 4]


def test_foreign_shapes_are_refused() -> None:
    arrays = filled(5, 10).arrays()
    with pytest.raises(ValueError, match="shape"):
        Replay(2, 4, 4, 10).restore(arrays)
    with pytest.raises(ValueError, match="shape"):
        Replay(2, 3, 4, 3).restore(arrays)
