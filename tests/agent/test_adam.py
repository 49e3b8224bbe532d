import copy
import subprocess
import sys

import pytest
import torch

from brokertuner_tui.agent.adam import Adam


def network() -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return torch.nn.Sequential(torch.nn.Linear(5, 32), torch.nn.LayerNorm(32), torch.nn.Linear(32, 2))


def learn(net: torch.nn.Module, optimizer: Adam | torch.optim.Optimizer, steps: int, seed: int = 5) -> None:
    inputs = torch.randn(steps, 16, 5, generator=torch.Generator().manual_seed(seed))
    for step in range(steps):
        optimizer.zero_grad()
        net(inputs[step]).square().mean().backward()
        optimizer.step()


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_it_goes_exactly_where_torchs_own_goes() -> None:
    ours, theirs = network(), network()
    learn(ours, Adam(ours.parameters(), 1e-3), 200)
    learn(theirs, torch.optim.Adam(theirs.parameters(), lr=1e-3, fused=True), 200)
    assert same(ours, theirs)
    assert not same(ours, network())


def test_what_has_no_gradient_stays_where_it_is() -> None:
    net = network()
    before = copy.deepcopy(net)
    optimizer = Adam(net.parameters(), 1e-1)
    optimizer.step()
    assert same(net, before)
    assert optimizer.state() == {}


def test_a_restored_one_goes_on_as_if_nothing_had_happened() -> None:
    net = network()
    optimizer = Adam(net.parameters(), 1e-3)
    learn(net, optimizer, 20)
    other = copy.deepcopy(net)
    second = Adam(other.parameters(), 1e-3)
    second.restore(copy.deepcopy(optimizer.state()))
    learn(net, optimizer, 20, seed=6)
    learn(other, second, 20, seed=6)
    assert same(net, other)


def test_what_is_of_another_network_is_refused_and_changes_nothing() -> None:
    net = network()
    optimizer = Adam(net.parameters(), 1e-3)
    learn(net, optimizer, 1)
    state = copy.deepcopy(optimizer.state())
    with pytest.raises(ValueError, match="there is no parameter 6, but 6"):
        optimizer.restore({6: state[0]})
    with pytest.raises(ValueError, match="of parameter 0 is of another one"):
        optimizer.restore({0: state[1]})
    with pytest.raises(ValueError, match="of parameter 0 is of another one"):
        optimizer.restore({0: {"step": state[0]["step"]}})
    assert all(torch.equal(optimizer.state()[0][name], value) for name, value in state[0].items())


def test_an_agent_never_brings_torchs_compiler_along() -> None:
    """It costs as much as torch itself, at every start."""
    program = """
import sys
import numpy as np
import torch
from brokertuner_tui.agent.actor_critic import ActorCritic, Lesson
from brokertuner_tui.agent.presets import CLASSIC
nets = ActorCritic(3, 2, CLASSIC, 1, torch.device("cpu"))
context, action = torch.rand(8, 3), torch.rand(8, 2)
weight = torch.ones(8, CLASSIC.members)
batch = Lesson(context, action, torch.rand(8), context, torch.ones(8), weight, context, None)
nets.update_critics(batch), nets.update_actor(batch, {})
assert nets.actor_optimizer.state() and nets.critics_optimizer.state()
print(sorted(name for name in sys.modules if name in ("torch", "torch._dynamo")))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "['torch']"
