"""The two halves of DDPG and what one update does to them."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from brokertuner_tui.agent.adam import Adam
from brokertuner_tui.agent.config import AgentConfig
from brokertuner_tui.agent.networks import Actor, Critics, move_towards


@dataclass(frozen=True, slots=True)
class Lesson:
    """A batch of B trials as tensors on the device."""

    context: Tensor
    """(B, contexts)"""
    action: Tensor
    """(B, actions)"""
    reward: Tensor
    """(B,)"""
    next_context: Tensor
    """(B, contexts)"""
    terminated: Tensor
    """(B,)"""
    weight: Tensor
    """(B, members)"""
    load: Tensor
    """(K, contexts): what the actor learns in; B rows, or each load once where contexts are loads."""
    elite: Tensor | None
    """(K, actions): the best known action for each of them; None without imitation."""


class ActorCritic:
    """Networks, targets (with gamma above 0) and optimisers.

    Weights are drawn on the CPU, so that a seed means the same on every device.
    """

    def __init__(self, contexts: int, actions: int, config: AgentConfig, seed: int, device: torch.device) -> None:
        self.config, self.device, self._actions = config, device, actions
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.actor = Actor(contexts, actions, config.hidden, config.layer_norm).to(device)
            self.critics = Critics(contexts, actions, config.hidden, config.members, config.layer_norm).to(device)
        bootstraps = config.gamma > 0
        self.actor_target = copy.deepcopy(self.actor) if bootstraps else None
        self.critics_target = copy.deepcopy(self.critics) if bootstraps else None
        self.actor_optimizer = Adam(self.actor.parameters(), config.lr)
        self.critics_optimizer = Adam(self.critics.parameters(), config.lr)

    @torch.no_grad()
    def act(self, context: NDArray[np.float32]) -> NDArray[np.float64]:
        """The actor's action, shape (actions,), for one context."""
        action: NDArray[np.float64] = self.actor(self.tensor(context[None]))[0].double().cpu().numpy()
        return action

    @torch.no_grad()
    def values(self, context: NDArray[np.float32], actions: NDArray[np.float64]) -> NDArray[np.float32]:
        """What each critic expects of each of k actions in one context, shape (members, k)."""
        contexts = self.tensor(context[None]).expand(len(actions), -1)
        values: NDArray[np.float32] = self.critics(contexts, self.tensor(actions)).cpu().numpy()
        return values

    def update_critics(self, batch: Lesson) -> float:
        """One step of every critic towards r + gamma * Q'(s', actor'(s')); gives the mean squared error."""
        target = batch.reward
        if self.actor_target is not None and self.critics_target is not None:
            with torch.no_grad():
                after = self.critics_target(batch.next_context, self.actor_target(batch.next_context)).mean(dim=0)
                target = target + self.config.gamma * (1 - batch.terminated) * after
        error = self.critics(batch.context, batch.action) - target
        loss = (batch.weight.T * error.square()).mean(dim=1).sum()
        if not torch.isfinite(loss):
            return 0.0  # never with finite trials; if it does happen, the weights stay as they are
        self.critics_optimizer.zero_grad()
        loss.backward()
        self.critics_optimizer.step()
        if self.critics_target is not None:
            move_towards(self.critics_target, self.critics, self.config.tau)
        return float(loss.detach()) / self.config.members

    def update_actor(self, batch: Lesson, fixed: Mapping[int, float]) -> float:
        """One step of the actor up the mean of the critics; pinned numbers count as what they are pinned to."""
        action = self.actor(batch.load)
        free = [index for index in range(self._actions) if index not in fixed]
        for index, value in fixed.items():  # a constant in its place: no gradient goes through
            action = action.index_fill(1, torch.tensor([index], device=self.device), value)
        loss = -self.critics(batch.load, action).mean()
        if batch.elite is not None:
            loss = loss + self.config.imitation * (action - batch.elite).square()[:, free].mean()
        if not free or not torch.isfinite(loss):
            return 0.0
        self.actor_optimizer.zero_grad()
        loss.backward(inputs=list(self.actor.parameters()))
        with self._rows_kept(sorted(fixed)):
            self.actor_optimizer.step()
        if self.actor_target is not None:
            move_towards(self.actor_target, self.actor, self.config.tau)
        return float(loss.detach())

    def modules(self) -> dict[str, torch.nn.Module]:
        """Every network by name."""
        found = {
            "actor": self.actor,
            "critics": self.critics,
            "actor_target": self.actor_target,
            "critics_target": self.critics_target,
        }
        return {name: module for name, module in found.items() if module is not None}

    def optimizers(self) -> dict[str, Adam]:
        """Both optimisers by name."""
        return {"actor_optimizer": self.actor_optimizer, "critics_optimizer": self.critics_optimizer}

    def tensor(self, array: NDArray[Any]) -> Tensor:
        """`array` as float32 on the device."""
        return torch.as_tensor(np.ascontiguousarray(array, dtype=np.float32), device=self.device)

    @contextlib.contextmanager
    def _rows_kept(self, pinned: list[int]) -> Iterator[None]:
        """Leaves the last layer alone where a number is pinned: momentum and decay would move it without any gradient."""
        kept = [parameter[pinned].detach().clone() for parameter in self.actor.head.parameters()]
        yield
        with torch.no_grad():
            for parameter, rows in zip(self.actor.head.parameters(), kept, strict=True):
                parameter[pinned] = rows


@contextlib.contextmanager
def one_thread(device: torch.device) -> Iterator[None]:
    """Small networks are slower on many threads, and the broker needs the other cores."""
    before = torch.get_num_threads()
    if device.type != "cpu" or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def find_device(name: str) -> torch.device:
    """`cpu`, `cuda`, `cuda:1`, or `auto`: the first CUDA device, else the CPU.

    Raises:
        ValueError: there is no such device here; the message says so in one line.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device {name!r}: torch finds no CUDA here; use cpu or auto")
    try:
        return torch.empty(1, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {name!r}: {str(error).splitlines()[0]}") from error
