"""Deep deterministic policy gradient: an actor and an ensemble of critics that see the load.

    propose    a = actor(s) + noise, or the best of many candidates in the critics' eyes (`search.py`)
    remember   (s, a, r, s') into the buffer; a is what was executed
    update     each critic towards  r + gamma * Q'(s', actor'(s'));  the actor up the mean critic, and towards the elite

With gamma 0 the critics are a model of the reward, trained by regression: no bootstrapping, no target networks.
"""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from brokertuner_tui.agent.config import AgentConfig
from brokertuner_tui.agent.networks import Actor, Critics, move_towards
from brokertuner_tui.agent.noise import GaussianNoise
from brokertuner_tui.agent.replay import Batch, Floats, Replay
from brokertuner_tui.agent.search import Proposal, Search, find_elite, same_load
from brokertuner_tui.agent.space import make_space

if TYPE_CHECKING:
    import gymnasium

__all__ = ["DDPG", "Losses", "Proposal"]


@dataclass(frozen=True, slots=True)
class Losses:
    """Means over one call of `update`."""

    critic: float
    actor: float
    updates: int
    seconds: float


class DDPG:
    """The agent. Used by one thread.

    Args:
        observation_size, action_size: lengths of both vectors.
        seed: of everything random here; no global generator is used or seeded.
        device: `cpu`, `cuda`, `cuda:1`, or `auto`.
    """

    def __init__(self, observation_size: int, action_size: int, config: AgentConfig, *, seed: int, device: str = "cpu") -> None:
        self.observation_size, self.action_size = observation_size, action_size
        self.config, self.seed = config, seed
        self.device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
        self.env: gymnasium.Env[Any, Any] | None = None
        self.notice = ""
        """What the operator should know of how this agent was loaded; usually nothing."""
        self.extra: dict[str, str] = {}
        """What was given to `save` with the checkpoint that this agent was loaded from."""
        self._context_size = config.context_size or observation_size
        self._rng = np.random.default_rng(seed)
        self.replay = Replay(observation_size, action_size, config.members, config.buffer_size)
        self._noise = GaussianNoise(config.noise, config.noise_decay, config.noise_min)
        self._space = make_space(config.space, action_size)
        self._search = Search(config, self._space, seed)
        self._updates = 0
        self._fixed: dict[int, float] = {}
        with torch.random.fork_rng(devices=[]):  # weights are drawn on the CPU: alike on every device
            torch.manual_seed(seed)
            shape = (self._context_size, action_size, config.hidden)
            self.actor = Actor(*shape, config.layer_norm).to(self.device)
            self.critics = Critics(*shape, config.members, config.layer_norm).to(self.device)
        bootstraps = config.gamma > 0
        self.actor_target = copy.deepcopy(self.actor) if bootstraps else None
        self.critics_target = copy.deepcopy(self.critics) if bootstraps else None
        options = {"lr": config.lr, "weight_decay": config.weight_decay, "fused": True}
        self.actor_optimizer = torch.optim.AdamW(self.actor.parameters(), **options)  # type: ignore[arg-type]
        self.critics_optimizer = torch.optim.AdamW(self.critics.parameters(), **options)  # type: ignore[arg-type]

    @property
    def buffer_size(self) -> int:
        """Trials in the buffer."""
        return len(self.replay)

    @property
    def noise(self) -> float:
        """Standard deviation of the noise on the actor's action."""
        return self._noise.deviation

    @property
    def updates(self) -> int:
        """Updates of the critics, ever."""
        return self._updates

    # ------------------------------------------------------------------------------------------------ propose

    def propose(self, observation: ArrayLike, *, fixed: Mapping[int, float] | None = None, explore: bool = True) -> Proposal:
        """The next action.

        Args:
            observation: (observation_size,); numbers that are not finite count as 0.
            fixed: action numbers that are pinned, with their values: neither moved nor learned to move.
            explore: False: the best that is known.

        Raises:
            ValueError: the observation has another shape, or a pinned number is out of range.
        """
        seen = self._check(observation)
        self._fixed = self._check_fixed(fixed or {})
        context = seen[: self._context_size]
        with one_thread(self.device):
            actor = self._act(context)
            if self.config.candidates == 0:
                return self._plain(actor, explore)
            trials = self.replay.all()
            predict = self._predictor(context)
            if explore:
                return self._search.propose(context, trials, actor, predict, self._fixed, self._rng)
            return self._search.best(context, trials, actor, predict, self._fixed)

    def _plain(self, actor: NDArray[np.float64], explore: bool) -> Proposal:
        if not explore:
            action, source, why, noise = actor, "actor", "the actor's own", 0.0
        elif len(self.replay) < self.config.learning_starts:
            action = self._rng.uniform(-1.0, 1.0, self.action_size)
            source, why, noise = "random", f"nothing is learned from fewer than {self.config.learning_starts} trials", 1.0
        else:
            action = actor + self._noise.draw(self._rng, self.action_size)
            source, why, noise = "actor", "the actor's own, with noise", self.noise
        action = np.clip(action, -1.0, 1.0)
        for index, value in self._fixed.items():
            action[index] = value
        return Proposal(action, source, noise, why)

    @torch.no_grad()
    def _act(self, context: Floats) -> NDArray[np.float64]:
        action: NDArray[np.float64] = self.actor(self._tensor(context[None]))[0].double().cpu().numpy()
        return action

    def _predictor(self, context: Floats) -> Any:
        @torch.no_grad()
        def predict(actions: NDArray[np.float64]) -> NDArray[np.float32]:
            contexts = self._tensor(context[None]).expand(len(actions), -1)
            values: NDArray[np.float32] = self.critics(contexts, self._tensor(actions)).cpu().numpy()
            return values

        return predict

    # ----------------------------------------------------------------------------------------------- remember

    def remember(
        self,
        observation: ArrayLike,
        action: ArrayLike,
        reward: float,
        next_observation: ArrayLike,
        terminated: bool = False,
    ) -> None:
        """Keeps one trial: seen, executed (pins included), earned, seen then.

        Raises:
            ValueError: a shape is another, or a number is not finite (nothing is kept: one NaN would spoil every weight).
        """
        executed = np.asarray(action, dtype=np.float64)
        if executed.shape != (self.action_size,) or not np.isfinite(executed).all():
            raise ValueError(f"an action is {self.action_size} finite numbers, not {executed}")
        both = np.stack([np.asarray(x, dtype=np.float32) for x in (observation, next_observation)])
        if both.shape != (2, self.observation_size) or not np.isfinite(both).all() or not np.isfinite(reward):
            raise ValueError(f"observations are {self.observation_size} finite numbers and a reward is one")
        # The Bayesian bootstrap (Rubin 1981): every critic weighs the trials in its own way, so that they differ where
        # there is little to go by.
        members = self.config.members
        weight = self._rng.exponential(1.0, members) if members > 1 else np.ones(1)
        self.replay.add(
            observation=both[0],
            action=self._space.snap(np.clip(executed, -1.0, 1.0)[None])[0],
            reward=reward,
            next_observation=both[1],
            terminated=terminated,
            weight=weight,
        )
        self._noise.steps += 1
        self._search.answered(both[0][: self._context_size])

    def avoid(self, observation: ArrayLike, action: ArrayLike) -> None:
        """The broker could not live with `action` under this load: nothing is learned from it, nor is it tried again."""
        context = self._check(observation)[: self._context_size]
        executed = self._space.snap(np.clip(np.asarray(action, dtype=np.float64), -1.0, 1.0)[None])[0]
        self._search.avoid(context, executed)
        self._search.answered(context)

    # ------------------------------------------------------------------------------------------------- update

    def update(self, updates: int | None = None) -> Losses | None:
        """Learns from the buffer; None while that is too small.

        Args:
            updates: of the critics; None: what the config says.
        """
        if len(self.replay) < max(1, self.config.learning_starts):
            return None
        wanted = self.config.updates_per_trial if updates is None else updates
        started = time.monotonic()
        critic_loss = actor_loss = 0.0
        done = 0
        with one_thread(self.device):
            whole = len(self.replay) <= self.config.batch_size
            tensors = self._tensors(self.replay.all()) if whole else None
            for _ in range(wanted):
                batch = tensors or self._tensors(self.replay.sample(self._rng, self.config.batch_size))
                critic_loss += self._update_critics(batch)
                if self._updates % self.config.actor_every == 0:
                    actor_loss += self._update_actor(batch)
                self._updates += 1
                done += 1
                if time.monotonic() - started > self.config.max_update_s:
                    break
        actors = max(1, -(-done // self.config.actor_every))
        return Losses(critic_loss / max(1, done), actor_loss / actors, done, time.monotonic() - started)

    def _update_critics(self, batch: dict[str, Tensor]) -> float:
        target = batch["reward"]
        if self.actor_target is not None and self.critics_target is not None:
            with torch.no_grad():
                after = self.critics_target(batch["next_context"], self.actor_target(batch["next_context"])).mean(dim=0)
                target = target + self.config.gamma * (1 - batch["terminated"]) * after
        error = self.critics(batch["context"], batch["action"]) - target
        loss = (batch["weight"].T * error.square()).mean(dim=1).sum()
        if not torch.isfinite(loss):
            return 0.0  # never happens with finite trials; if it does, the weights stay as they are
        self.critics_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.critics_optimizer.step()
        if self.critics_target is not None:
            move_towards(self.critics_target, self.critics, self.config.tau)
        return float(loss.detach()) / self.config.members

    def _update_actor(self, batch: dict[str, Tensor]) -> float:
        raw = self.actor.raw(batch["context"])
        action = torch.tanh(raw)
        for index, value in self._fixed.items():  # no gradient goes through a pinned number
            action = action.index_fill(1, torch.tensor([index], device=self.device), value)
        loss = -self.critics(batch["context"], action).mean()
        free = [index for index in range(self.action_size) if index not in self._fixed]
        if self.config.imitation:
            loss = loss + self.config.imitation * (action - batch["elite"]).square()[:, free].mean()
        if self.config.saturation:
            loss = loss + self.config.saturation * (raw[:, free].abs() - 2).clamp(min=0).square().mean()
        if not torch.isfinite(loss):
            return 0.0
        self.actor_optimizer.zero_grad(set_to_none=True)
        loss.backward(inputs=list(self.actor.parameters()))  # type: ignore[no-untyped-call]
        with self._heads_kept():
            self.actor_optimizer.step()
        if self.actor_target is not None:
            move_towards(self.actor_target, self.actor, self.config.tau)
        return float(loss.detach())

    @contextlib.contextmanager
    def _heads_kept(self) -> Iterator[None]:
        """Leaves the actor's last layer alone where a number is pinned: Adam's momentum would move it without a gradient."""
        pinned = sorted(self._fixed)
        rows = [parameter[pinned].detach().clone() for parameter in self.actor.head.parameters()]
        yield
        with torch.no_grad():
            for parameter, kept in zip(self.actor.head.parameters(), rows, strict=True):
                parameter[pinned] = kept

    def _tensors(self, batch: Batch) -> dict[str, Tensor]:
        context = batch.observation[:, : self._context_size]
        tensors = {
            "context": context,
            "action": batch.action,
            "reward": batch.reward,
            "next_context": batch.next_observation[:, : self._context_size],
            "terminated": batch.terminated,
            "weight": batch.weight,
        }
        if self.config.imitation:
            tensors["elite"] = self._elites(context)
        return {name: self._tensor(array) for name, array in tensors.items()}

    def _elites(self, contexts: Floats) -> Floats:
        """(batch, actions): the best known action for each row's load."""
        whole = self.replay.all()
        elites = np.zeros((len(contexts), self.action_size), dtype=np.float32)
        kinds, kind_of = np.unique(contexts, axis=0, return_inverse=True)
        for kind, context in enumerate(kinds):
            near = same_load(whole, context)
            elite = find_elite(whole.action[near].astype(np.float64), whole.reward[near], self._predictor(context))
            assert elite is not None, "the load is in the buffer"
            elites[kind_of.reshape(-1) == kind] = elite.action
        return elites

    # --------------------------------------------------------------------------------------------- the library

    def predict(
        self,
        observation: ArrayLike,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[np.float32], None]:
        """The action for an observation, in Stable-Baselines3's shape: ((n,) or (batch, n), None)."""
        seen = np.asarray(observation, dtype=np.float32)
        rows = seen.reshape(-1, self.observation_size)
        actions = np.stack([self.propose(row, explore=not deterministic).action for row in rows]).astype(np.float32)
        return (actions if seen.ndim > 1 else actions[0]), None

    def learn(self, total_timesteps: int, callback: Any = None) -> DDPG:
        """Tunes `env` for so many steps; see `agent/library.py`."""
        from brokertuner_tui.agent.library import learn

        return learn(self, total_timesteps, callback)

    def save(self, folder: Path, *, extra: Mapping[str, str] | None = None) -> None:
        """Whole and atomically, keeping the previous one; see `agent/checkpoint.py`."""
        from brokertuner_tui.agent.checkpoint import save

        save(self, folder, extra or {})

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu") -> DDPG:
        """What `save` wrote; `notice` says so if it is the previous one.

        Raises:
            UsageError: neither is a whole checkpoint of ours.
        """
        from brokertuner_tui.agent.checkpoint import load

        return load(folder, device)

    # ----------------------------------------------------------------------------------------------- plumbing

    def modules(self) -> dict[str, torch.nn.Module]:
        """Every network by name, for checkpoints."""
        found = {
            "actor": self.actor,
            "critics": self.critics,
            "actor_target": self.actor_target,
            "critics_target": self.critics_target,
        }
        return {name: module for name, module in found.items() if module is not None}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Both optimisers by name, for checkpoints."""
        return {"actor_optimizer": self.actor_optimizer, "critics_optimizer": self.critics_optimizer}

    def state(self) -> dict[str, Any]:
        """What is neither config nor tensor, for JSON."""
        return {
            "rng": self._rng.bit_generator.state,
            "updates": self._updates,
            "noise_steps": self._noise.steps,
            "search": self._search.state(),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """From what `state` gave."""
        self._rng.bit_generator.state = state["rng"]
        self._updates, self._noise.steps = int(state["updates"]), int(state["noise_steps"])
        self._search.set_state(state["search"])

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(array, dtype=np.float32), device=self.device)

    def _check(self, observation: ArrayLike) -> Floats:
        seen = np.asarray(observation, dtype=np.float32)
        if seen.shape != (self.observation_size,):
            raise ValueError(f"an observation has shape ({self.observation_size},), not {seen.shape}")
        return np.nan_to_num(seen, nan=0.0, posinf=0.0, neginf=0.0)

    def _check_fixed(self, fixed: Mapping[int, float]) -> dict[int, float]:
        for index, value in fixed.items():
            if not 0 <= index < self.action_size or not -1.0 <= value <= 1.0:
                raise ValueError(f"action number {index} cannot be pinned to {value}")
        return dict(fixed)


@contextlib.contextmanager
def one_thread(device: torch.device) -> Iterator[None]:
    """Small networks are slower on many threads, and the broker needs the other cores."""
    before = torch.get_num_threads()
    if device.type == "cpu" and before != 1:
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)
    else:
        yield
