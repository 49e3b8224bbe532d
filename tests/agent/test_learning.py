"""The agent must learn: better than chance, by a margin, in a few dozen trials."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.toy_broker import PROFILES, ToyBroker
from brokertuner_tui.agent.ddpg import DDPG
from brokertuner_tui.agent.presets import CLASSIC, SLO, config_for
from brokertuner_tui.agent.search import Proposal
from brokertuner_tui.env.slo import SloPreset
from brokertuner_tui.knobs.catalogue import Version, defaults
from brokertuner_tui.knobs.codec import decode, encode
from tests.agent.problems import ACTIONS, SLO_BOX, UNHURRIED, hill, tune


@pytest.mark.parametrize("seed", [0, 1])
def test_finds_a_hill_in_eleven_dimensions(seed: int) -> None:
    worth = hill(np.linspace(-0.7, 0.7, ACTIONS))
    agent = DDPG(3, ACTIONS, SLO_BOX, seed=seed)
    earned = tune(agent, worth, 60)
    rng = np.random.default_rng(seed)
    chance = [worth(rng.uniform(-1, 1, ACTIONS)) for _ in range(60)]
    final = worth(agent.propose(np.zeros(3), explore=False).action)
    assert final > max(chance) + 0.05
    assert np.mean(earned[-20:]) > max(chance)


def test_textbook_ddpg_learns_to_follow_what_it_sees() -> None:
    config = replace(CLASSIC, hidden=32, lr=3e-3, gamma=0.5, noise=0.3, updates_per_trial=4, max_update_s=UNHURRIED)
    agent = DDPG(1, 1, config, seed=0)
    rng = np.random.default_rng(0)
    seen = rng.uniform(-1, 1, 1)
    for _ in range(300):
        action = agent.propose(seen).action
        following = rng.uniform(-1, 1, 1)
        agent.remember(seen, action, -float((action[0] - seen[0]) ** 2), following)
        agent.update()
        seen = following
    points = np.linspace(-0.8, 0.8, 9)
    error = [abs(float(agent.predict(np.array([x]))[0][0]) - x) for x in points]
    assert np.mean(error) < 0.2  # a constant action is off by 0.44 on average, chance by 0.6


def test_sees_the_load() -> None:
    """Two loads whose best settings are opposites: one agent, two answers."""
    agent = DDPG(2, ACTIONS, SLO_BOX, seed=0)
    left, right = np.array([0.0, 1.0]), np.array([1.0, 0.0])
    for _ in range(3):
        tune(agent, hill(np.full(ACTIONS, -0.5)), 10, left)
        tune(agent, hill(np.full(ACTIONS, 0.5)), 10, right)
    assert agent.propose(left, explore=False).action.mean() < -0.1
    assert agent.propose(right, explore=False).action.mean() > 0.1
    # The actor, too, and not the memory alone.
    assert agent.nets.act(left.astype(np.float32)).mean() < -0.1
    assert agent.nets.act(right.astype(np.float32)).mean() > 0.1


@pytest.mark.parametrize("workload", ["fanout", "pipeline"])
@pytest.mark.parametrize("version", [(2, 0, 21), (2, 1, 2)], ids=str)
def test_tunes_a_toy_broker(workload: str, version: Version) -> None:
    """Known settings of the broker's knobs, measured with noise, without any guard."""
    toy, preset = ToyBroker(PROFILES[workload], version, 0), SloPreset()
    agent = DDPG(len(preset.observation_names), ACTIONS, replace(SLO, max_update_s=UNHURRIED), seed=0)
    knobs = defaults(version)
    outcome = toy.trial(knobs)
    seen, reached = preset.observe(outcome), []
    agent.remember(seen, encode(knobs), preset.reward(outcome, None).value, seen)
    for _ in range(25):
        knobs = decode(agent.propose(seen).action)
        outcome = toy.trial(knobs)
        following = preset.observe(outcome)
        agent.remember(seen, encode(knobs), preset.reward(outcome, None).value, following)
        agent.update()
        seen = following
        reached.append(toy.on_time_per_s(knobs))
    best = decode(agent.propose(seen, explore=False).action)
    possible = {"fanout": 50_000, "pipeline": toy.on_time_per_s(defaults(version) | {"max_inflight_messages": 2000})}
    rng = np.random.default_rng(0)
    chance = [toy.on_time_per_s(decode(rng.uniform(-1, 1, ACTIONS))) for _ in range(200)]
    assert toy.on_time_per_s(best) >= 0.97 * possible[workload]
    assert np.mean(reached) >= 0.75 * possible[workload] > 1.5 * np.mean(chance)
    assert np.mean(np.array(reached) < 0.01 * possible[workload]) <= 0.1


def _proposals(exploration: float, trials: int = 30) -> list[Proposal]:
    toy, preset = ToyBroker(PROFILES["fanout"], (2, 0, 21), 0), SloPreset()
    config = replace(config_for("slo", exploration=exploration), max_update_s=UNHURRIED)
    agent = DDPG(len(preset.observation_names), ACTIONS, config, seed=0)
    knobs, made = defaults((2, 0, 21)), list[Proposal]()
    seen = preset.observe(toy.trial(knobs))
    for _ in range(trials):
        outcome = toy.trial(knobs)
        following = preset.observe(outcome)
        agent.remember(seen, encode(knobs), preset.reward(outcome, None).value, following)
        agent.update()
        seen = following
        made.append(agent.propose(seen))
        knobs = decode(made[-1].action)
    return made


def test_exploration_goes_from_what_is_believed_to_be_best_to_twice_the_spread() -> None:
    assert config_for("slo", exploration=0.5) == SLO, "exactly what the preset says"
    nothing, twice = _proposals(0.0, 12), _proposals(1.0)
    assert not [made for made in nothing if made.source == "warm-up"]
    assert {made.noise for made in nothing} == {0.0}
    assert [made for made in twice if made.source == "warm-up"]
    assert len([made for made in twice if made.source == "elite"]) < len(
        [made for made in _proposals(0.5) if made.source == "elite"]
    )
    assert max(made.noise for made in twice) >= 2 * SLO.region


@pytest.mark.parametrize("preset", ["slo", "classic"])
def test_without_exploration_the_same_knowledge_gives_the_same_proposal(preset: str) -> None:
    agent = DDPG(len(SloPreset().observation_names), ACTIONS, config_for(preset, exploration=0), seed=3)
    seen = SloPreset().observe(ToyBroker(PROFILES["fanout"], (2, 0, 21), 0).trial(defaults((2, 0, 21))))
    first, second = (agent.propose(seen).action for _ in range(2))
    assert (first == second).all()
