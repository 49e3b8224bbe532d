"""The best setting is not the luckiest one."""

from __future__ import annotations

import random

from brokertuner_tui.knobs.catalogue import defaults
from brokertuner_tui.tuning.incumbents import Incumbents


def test_a_repeated_good_setting_beats_a_single_slightly_better_one() -> None:
    known = Incumbents()
    steady = defaults() | {"max_inflight_messages": 500}
    lucky = defaults() | {"max_inflight_messages": 400}
    for trial, reward in enumerate((0.80, 0.81, 0.79, 0.80), start=1):
        known.add(trial, steady, reward)
    known.add(5, lucky, 0.81)
    best = known.best()
    assert best is not None
    assert best.knobs == steady
    assert best.trial == 1
    assert len(best.rewards) == 4


def test_pins_leave_out_what_does_not_agree_with_them() -> None:
    known = Incumbents()
    known.add(1, defaults() | {"set_tcp_nodelay": True}, 0.9)
    known.add(2, defaults(), 0.5)
    best = known.best({"set_tcp_nodelay": False})
    assert best is not None
    assert best.trial == 2
    assert known.best({"set_tcp_nodelay": False, "persistence": True}) is None


def test_measuring_the_best_again_finds_better_settings_than_trusting_the_luckiest() -> None:
    generator = random.Random(3)
    regret_ranked = regret_lucky = 0.0
    for _ in range(300):
        known = Incumbents()
        rewards = [generator.gauss(0.02 * index, 0.08) for index in range(10)]
        for index, reward in enumerate(rewards):
            known.add(index, defaults() | {"max_inflight_messages": index + 1}, reward)
        for _ in range(8):
            best = known.best()
            assert best is not None
            known.add(10, best.knobs, generator.gauss(0.02 * best.trial, 0.08))
        best = known.best()
        assert best is not None
        regret_ranked += 0.02 * (9 - best.trial)
        regret_lucky += 0.02 * (9 - rewards.index(max(rewards)))
    assert regret_ranked < 0.8 * regret_lucky
