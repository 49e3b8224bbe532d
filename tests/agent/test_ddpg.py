"""What holds for every proposal and every update, learned or not."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from brokertuner_tui.agent.config import AgentConfig
from brokertuner_tui.agent.ddpg import DDPG
from brokertuner_tui.agent.presets import SLO, config_for
from brokertuner_tui.config.settings import AgentSettings
from brokertuner_tui.errors import UsageError
from tests.agent.problems import ACTIONS, CLASSIC_QUICK, SLO_QUICK, hill, trained, tune

BOTH = pytest.mark.parametrize("config", [SLO_QUICK, CLASSIC_QUICK], ids=lambda config: config.name)
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
ZERO = np.zeros(4)


@BOTH
def test_same_seed_same_outcomes_same_proposals(config: AgentConfig) -> None:
    runs = []
    for seed in (3, 3, 4):
        agent, actions = DDPG(4, ACTIONS, config, seed=seed), []
        for trial in range(16):
            actions.append(agent.propose(ZERO).action)
            agent.remember(ZERO, actions[-1], float(np.sin(trial)), ZERO)
            agent.update()
            torch.rand(1)  # somebody else uses the global generators
            np.random.rand(1)
        runs.append(np.array(actions))
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


@BOTH
def test_global_generators_are_left_alone(config: AgentConfig) -> None:
    torch.manual_seed(7)
    wanted = torch.rand(3)
    torch.manual_seed(7)
    trained(config)
    assert torch.equal(torch.rand(3), wanted)


@BOTH
@pytest.mark.parametrize("device", DEVICES)
def test_pinned_numbers_never_move(config: AgentConfig, device: str) -> None:
    fixed = {0: 0.25, 4: -1.0, 10: 0.9}
    agent = DDPG(4, ACTIONS, config, seed=0, device=device)
    for _ in range(14):
        proposal = agent.propose(ZERO, fixed=fixed)
        assert {index: proposal.action[index] for index in fixed} == fixed
        assert np.abs(proposal.action).max() <= 1
        agent.remember(ZERO, proposal.action, float(proposal.action.mean()), ZERO)
        agent.update()
    assert {index: agent.propose(ZERO, fixed=fixed, explore=False).action[index] for index in fixed} == fixed


@BOTH
def test_pinned_numbers_are_not_learned_to_move(config: AgentConfig) -> None:
    """The last layer's rows stay bit for bit, though momentum from before the pin would move them."""
    agent = trained(config, trials=14)
    before = [parameter.detach().clone() for parameter in agent.nets.actor.head.parameters()]
    agent.propose(ZERO, fixed={2: 0.5, 7: -0.5})
    agent.update(10)
    for old, new in zip(before, agent.nets.actor.head.parameters(), strict=True):
        assert torch.equal(old[[2, 7]], new[[2, 7]])
        assert not torch.equal(old[[0, 1]], new[[0, 1]])


@BOTH
def test_no_gradient_flows_through_a_pinned_number(config: AgentConfig) -> None:
    agent = trained(config, trials=14)
    agent.propose(ZERO, fixed={2: 0.5})
    agent.update(2)
    weight, bias = agent.nets.actor.head.weight.grad, agent.nets.actor.head.bias.grad
    assert weight is not None
    assert bias is not None
    assert not weight[2].any()
    assert not bias[2]
    assert weight[3].any()


@BOTH
def test_all_numbers_pinned(config: AgentConfig) -> None:
    agent = DDPG(4, ACTIONS, config, seed=0)
    fixed = dict.fromkeys(range(ACTIONS), 0.5)
    for _ in range(12):
        assert (agent.propose(ZERO, fixed=fixed).action == 0.5).all()
        agent.remember(ZERO, np.full(ACTIONS, 0.5), 1.0, ZERO)
        agent.update()


@BOTH
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none(config: AgentConfig, bad: float) -> None:
    agent = trained(config)
    size = agent.buffer_size
    assert np.isfinite(agent.propose(np.full(4, bad)).action).all()
    good = np.zeros(ACTIONS)
    for arguments in ((ZERO, good, bad, ZERO), (np.full(4, bad), good, 0.0, ZERO), (ZERO, np.full(ACTIONS, bad), 0.0, ZERO)):
        with pytest.raises(ValueError):
            agent.remember(*arguments)
    assert agent.buffer_size == size
    agent.update()
    assert all(torch.isfinite(p).all() for module in agent.nets.modules().values() for p in module.parameters())


def test_extreme_rewards_do_not_break_the_networks() -> None:
    agent = DDPG(4, ACTIONS, SLO_QUICK, seed=0)
    for reward in (1e30, -1e30, 0.0, 1e38, -1e38, 1.0):
        agent.remember(ZERO, np.zeros(ACTIONS), reward, ZERO)
        agent.update()
    assert np.isfinite(agent.propose(ZERO).action).all()


@pytest.mark.parametrize("shape", [(3,), (5,), (4, 1)])
def test_wrong_shapes_are_refused(shape: tuple[int, ...]) -> None:
    agent = DDPG(4, ACTIONS, SLO_QUICK, seed=0)
    with pytest.raises(ValueError, match="observation"):
        agent.propose(np.zeros(shape))
    with pytest.raises(ValueError, match="pinned"):
        agent.propose(ZERO, fixed={11: 0.0})
    with pytest.raises(ValueError, match="pinned"):
        agent.propose(ZERO, fixed={0: 1.5})


def test_nothing_is_learned_from_too_little() -> None:
    agent = DDPG(4, ACTIONS, CLASSIC_QUICK, seed=0)
    for _ in range(CLASSIC_QUICK.learning_starts):
        assert agent.update() is None
        agent.remember(ZERO, agent.propose(ZERO).action, 0.0, ZERO)
    losses = agent.update()
    assert losses is not None
    assert (losses.updates, agent.updates) == (1, 1)


def test_learning_ends_when_its_time_is_up() -> None:
    agent = DDPG(4, ACTIONS, replace(SLO_QUICK, max_update_s=0.05), seed=0)
    for _ in range(5):
        agent.remember(ZERO, np.zeros(ACTIONS), 0.0, ZERO)
    losses = agent.update(1_000_000)
    assert losses is not None
    assert 0 < losses.updates < 100_000
    assert losses.seconds < 5


def test_a_trial_that_failed_is_not_tried_again() -> None:
    agent = DDPG(4, ACTIONS, SLO_QUICK, seed=0)
    for _ in range(20):
        failed = agent.propose(ZERO).action
        agent.avoid(ZERO, failed)
        following = agent.propose(ZERO).action
        assert np.abs(following - failed).max() > 0.01
        agent.remember(ZERO, following, float(following[0]), ZERO)
        agent.update()


def test_what_failed_is_not_tried_again_when_the_load_looks_a_little_different() -> None:
    """Live traffic never looks the same twice; also after a checkpoint."""
    agent = DDPG(4, ACTIONS, replace(SLO_QUICK, warm_up=0), seed=0)
    failed = agent.propose(ZERO).action
    agent.avoid(ZERO, failed)
    kept = DDPG(4, ACTIONS, replace(SLO_QUICK, warm_up=0), seed=0)
    kept.set_state(json.loads(json.dumps(agent.state())))
    for one in (agent, kept):
        one._rng = np.random.default_rng(0)
        assert np.abs(one.propose(ZERO + 0.01).action - failed).max() > 0.01
        one._rng = np.random.default_rng(0)
        assert np.abs(one.propose(ZERO + 0.5).action - failed).max() < 0.01


def test_a_warm_up_point_without_an_answer_is_asked_for_once_more_only() -> None:
    """An inconclusive trial comes back neither as a trial nor as a failure."""
    agent = DDPG(4, ACTIONS, SLO_QUICK, seed=0)
    asked = [agent.propose(ZERO).action for _ in range(5)]
    assert np.array_equal(asked[0], asked[1])
    assert not np.array_equal(asked[1], asked[2])


def test_prediction_has_the_shape_of_stable_baselines() -> None:
    agent = trained(SLO_QUICK)
    one, state = agent.predict(ZERO)
    many, _ = agent.predict(np.zeros((3, 4)), deterministic=False)
    assert one.shape == (ACTIONS,)
    assert one.dtype == np.float32
    assert state is None
    assert many.shape == (3, ACTIONS)
    assert np.array_equal(one, agent.predict(ZERO)[0])


def test_exploiting_asks_for_the_best_known() -> None:
    agent = DDPG(4, ACTIONS, SLO_QUICK, seed=0)
    target = np.full(ACTIONS, 0.6)
    tune(agent, hill(target), 8)
    for _ in range(4):
        agent.remember(ZERO, target, 1.0, ZERO)
        agent.update()
    assert hill(target)(agent.propose(ZERO, explore=False).action) > 0.95


def test_textbook_has_targets_and_the_reward_model_has_none() -> None:
    assert set(trained(CLASSIC_QUICK).nets.modules()) == {"actor", "critics", "actor_target", "critics_target"}
    assert set(trained(SLO_QUICK).nets.modules()) == {"actor", "critics"}


def test_targets_follow_slowly() -> None:
    agent = trained(replace(CLASSIC_QUICK, tau=0.005), trials=30)
    target, source = agent.nets.critics_target, agent.nets.critics
    assert target is not None
    apart = [(t - s).abs().max().item() for t, s in zip(target.parameters(), source.parameters(), strict=True)]
    assert 0 < max(apart) < 0.1


@pytest.mark.parametrize("device", ["cuda:99", "tpu"])
def test_a_device_that_is_not_here(device: str) -> None:
    with pytest.raises(UsageError, match=device):
        DDPG(4, ACTIONS, SLO_QUICK, seed=0, device=device)


def test_auto_finds_a_device() -> None:
    assert DDPG(4, ACTIONS, SLO_QUICK, seed=0, device="auto").device.type in ("cpu", "cuda")


def test_presets_are_what_they_say() -> None:
    classic = config_for("classic")
    assert (classic.lr, classic.batch_size, classic.gamma, classic.tau) == (1e-4, 128, 0.99, 0.005)
    assert (classic.members, classic.candidates, config_for("slo")) == (1, 0, SLO)
    changed = config_for("slo", AgentSettings(lr=0.01, hidden=32, buffer_size=50))
    assert (changed.lr, changed.hidden, changed.buffer_size, changed.gamma) == (0.01, 32, 50, SLO.gamma)
    with pytest.raises(UsageError, match="slo, classic"):
        config_for("other")
