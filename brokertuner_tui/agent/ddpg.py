"""Deep deterministic policy gradient: an actor and an ensemble of critics that see the load.

    propose    a = actor(s) + noise, or the best of many candidates in the critics' eyes (`search.py`)
    remember   (s, a, r, s') into the buffer; a is what was executed
    update     each critic towards  r + gamma * Q'(s', actor'(s'));  the actor up the mean critic, and towards the elite

With gamma 0 the critics are a model of the reward, trained by regression: no bootstrapping, no target networks.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brokertuner_tui.agent.actor_critic import ActorCritic, Lesson, find_device, one_thread
from brokertuner_tui.agent.config import AgentConfig
from brokertuner_tui.agent.earlier import Beliefs, Earlier
from brokertuner_tui.agent.noise import GaussianNoise
from brokertuner_tui.agent.replay import Batch, Floats, Replay
from brokertuner_tui.agent.search import SAME_ACTION, Proposal, Search, find_elite, same_load
from brokertuner_tui.agent.space import make_space
from brokertuner_tui.errors import UsageError

if TYPE_CHECKING:
    import gymnasium

_UPDATES_TO_KNOW = 100
"""Of the critics, after experience of earlier runs came or went."""

_MOST_LOADS = 32
"""The actor imitates the elite of so many loads in one update."""

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

    Raises:
        UsageError: there is no such device here.
    """

    def __init__(self, observation_size: int, action_size: int, config: AgentConfig, *, seed: int, device: str = "cpu") -> None:
        self.observation_size, self.action_size = observation_size, action_size
        self.config, self.seed = config, seed
        try:
            self.device = find_device(device)
        except ValueError as error:
            raise UsageError(str(error)) from None
        self.env: gymnasium.Env[Any, Any] | None = None
        """For `learn`."""
        self.notice = ""
        """What the operator should know of how this agent was loaded; usually nothing."""
        self.extra: dict[str, str] = {}
        """What was given to `save` with the checkpoint that this agent was loaded from."""
        self.replay = Replay(observation_size, action_size, config.members, config.buffer_size)
        self._context_size = config.context_size or observation_size
        self.nets = ActorCritic(self._context_size, action_size, config, seed, self.device)
        self._rng = np.random.default_rng(seed)
        self._noise = GaussianNoise(config.noise, config.noise_decay, config.noise_min)
        self._space = make_space(config.space, action_size)
        self._search = Search(config, self._space, seed)
        self._beliefs = Beliefs(config.tolerance)
        self._updates = 0
        self._fixed: dict[int, float] = {}

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

    # -- propose -------------------------------------------------------------------------------------------------------

    def propose(self, observation: ArrayLike, *, fixed: Mapping[int, float] | None = None, explore: bool = True) -> Proposal:
        """The next action.

        Args:
            observation: (observation_size,); numbers that are not finite count as 0.
            fixed: action numbers that are pinned, with their values: neither moved nor learned to move.
            explore: False: the best that is known.

        Raises:
            ValueError: the observation has another shape, or a pinned number is out of range.
        """
        context = self._context(observation)
        self._fixed = self._check_fixed(fixed or {})
        with one_thread(self.device):
            actor = self.nets.act(context)
            if self.config.candidates == 0:
                return self._plain(actor, explore)
            trials, values = self.replay.all(), partial(self.nets.values, context)
            if explore:
                return self._search.propose(context, trials, actor, values, self._fixed, self._rng)
            return self._search.best(context, trials, actor, values, self._fixed)

    def _plain(self, actor: NDArray[np.float64], explore: bool) -> Proposal:
        """The textbook's choice: random at first, then the actor's action plus noise."""
        if not explore or self.noise == 0:
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

    # -- remember ------------------------------------------------------------------------------------------------------

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
        executed = self._executed(action)
        both = np.stack([np.asarray(x, dtype=np.float32) for x in (observation, next_observation)])
        if both.shape != (2, self.observation_size) or not np.isfinite(both).all() or not np.isfinite(reward):
            raise ValueError(f"observations are {self.observation_size} finite numbers and a reward is one")
        self._measured(both[0][: self._context_size], executed, reward)
        self.replay.add(
            observation=both[0],
            action=executed,
            reward=reward,
            next_observation=both[1],
            terminated=terminated,
            weight=self._draw_weight(),
        )
        self._noise.steps += 1
        self._search.answered(both[0][: self._context_size])

    def avoid(self, observation: ArrayLike, action: ArrayLike) -> None:
        """The broker could not live with `action` under this load: nothing is learned from it, nor is it tried again."""
        context, executed = self._context(observation), self._executed(action)
        self._measured(context, executed, -np.inf)
        self._search.avoid(context, executed)
        self._search.answered(context)

    # -- earlier runs --------------------------------------------------------------------------------------------------

    def knows(self, observation: ArrayLike) -> bool:
        """Whether `know` was called for this load."""
        return self._beliefs.has(self._context(observation))

    def know(self, observation: ArrayLike, earlier: Earlier) -> int:
        """Takes in what earlier runs measured under the load of `observation`, once, and learns from it (`agent/earlier.py`).

        What this run has measured itself is left out.

        Returns: how many trials were taken in.

        Raises:
            ValueError: a shape is another, or a number is not finite (nothing is kept).
        """
        context = self._context(observation)
        whole = self.replay.all()
        own = whole.action[same_load(whole, context)]
        rows = []
        for seen, action, reward, then in zip(
            earlier.observation, earlier.action, earlier.reward, earlier.next_observation, strict=True
        ):
            executed = self._executed(action)
            if not np.isfinite([*seen, reward, *then]).all() or not len(seen) == len(then) == self.observation_size:
                raise ValueError(f"observations are {self.observation_size} finite numbers and a reward is one")
            if not len(own) or np.abs(own - executed).max(axis=1).min() >= SAME_ACTION:
                rows.append({"observation": seen, "action": executed, "reward": reward, "next_observation": then})
        for row in rows:
            self.replay.add(**row, terminated=0.0, weight=self._draw_weight(), earlier=1.0)
        for action in earlier.avoided:
            self._search.avoid(context, self._executed(action))
        self._beliefs.add(context)
        self.update(_UPDATES_TO_KNOW)
        return len(rows)

    def _measured(self, context: Floats, executed: NDArray[np.float64], reward: float) -> None:
        """This run's own word on an action replaces that of earlier ones, and may end the belief in all they said."""
        rows, everything = self._beliefs.outdated(self.replay.all(), context, executed, reward)
        if not rows.any():
            return
        self.replay.drop(rows)
        if everything:  # what the networks made of it goes, too
            self.nets = ActorCritic(self._context_size, self.action_size, self.config, self.seed, self.device)
            self.update(_UPDATES_TO_KNOW)

    def _draw_weight(self) -> NDArray[np.float64]:
        """The Bayesian bootstrap (Rubin 1981): every critic weighs the trials in its own way, so that they differ where
        there is little to go by."""
        members = self.config.members
        return self._rng.exponential(1.0, members) if members > 1 else np.ones(1)

    # -- update --------------------------------------------------------------------------------------------------------

    def update(self, updates: int | None = None) -> Losses | None:
        """Learns from the buffer; None while that is too small.

        Args:
            updates: of the critics; None: what the config says.
        """
        if len(self.replay) < max(1, self.config.learning_starts):
            return None
        wanted = self.config.updates_per_trial if updates is None else updates
        started = time.monotonic()
        critic_losses: list[float] = []
        actor_losses: list[float] = []
        with one_thread(self.device):
            whole = self._lesson(self.replay.all()) if len(self.replay) <= self.config.batch_size else None
            while len(critic_losses) < wanted and time.monotonic() - started < self.config.max_update_s:
                batch = whole or self._lesson(self.replay.sample(self._rng, self.config.batch_size))
                critic_losses.append(self.nets.update_critics(batch))
                if self._updates % self.config.actor_every == 0:
                    actor_losses.append(self.nets.update_actor(batch, self._fixed))
                self._updates += 1
        done, seconds = len(critic_losses), time.monotonic() - started
        return Losses(sum(critic_losses) / max(1, done), sum(actor_losses) / max(1, len(actor_losses)), done, seconds)

    def _lesson(self, batch: Batch) -> Lesson:
        context, tensor = batch.observation[:, : self._context_size], self.nets.tensor
        loads, elites = context, None
        if self.config.imitation:
            loads = np.unique(context, axis=0)  # a handful, unless this is not about loads at all
            if len(loads) > _MOST_LOADS:
                loads = loads[self._rng.choice(len(loads), _MOST_LOADS, replace=False)]
            elites = np.stack([self._elite(load) for load in loads])
        return Lesson(
            context=tensor(context),
            action=tensor(batch.action),
            reward=tensor(batch.reward),
            next_context=tensor(batch.next_observation[:, : self._context_size]),
            terminated=tensor(batch.terminated),
            weight=tensor(batch.weight),
            load=tensor(loads),
            elite=None if elites is None else tensor(elites),
        )

    def _elite(self, load: Floats) -> NDArray[np.float64]:
        """The best known action for a load that is in the buffer."""
        whole = self.replay.all()
        near = same_load(whole, load)
        elite = find_elite(whole.action[near], whole.reward[near], partial(self.nets.values, load))
        assert elite is not None
        return elite.action

    # -- the library ---------------------------------------------------------------------------------------------------

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

    def state(self) -> dict[str, Any]:
        """What is neither config nor tensor, for JSON."""
        return {
            "rng": self._rng.bit_generator.state,
            "updates": self._updates,
            "noise_steps": self._noise.steps,
            "search": self._search.state(),
            "beliefs": self._beliefs.state(),
            "fixed": {str(index): value for index, value in self._fixed.items()},
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """From what `state` gave."""
        self._rng.bit_generator.state = state["rng"]
        self._updates, self._noise.steps = int(state["updates"]), int(state["noise_steps"])
        self._search.set_state(state["search"])
        self._beliefs.set_state(state.get("beliefs", []))
        self._fixed = {int(index): float(value) for index, value in state.get("fixed", {}).items()}

    # -- checks --------------------------------------------------------------------------------------------------------

    def _context(self, observation: ArrayLike) -> Floats:
        seen = np.asarray(observation, dtype=np.float32)
        if seen.shape != (self.observation_size,):
            raise ValueError(f"an observation has shape ({self.observation_size},), not {seen.shape}")
        return np.nan_to_num(seen, nan=0.0, posinf=0.0, neginf=0.0)[: self._context_size]

    def _executed(self, action: ArrayLike) -> NDArray[np.float64]:
        executed = np.asarray(action, dtype=np.float64)
        if executed.shape != (self.action_size,) or not np.isfinite(executed).all():
            raise ValueError(f"an action is {self.action_size} finite numbers, not {executed}")
        snapped: NDArray[np.float64] = self._space.snap(np.clip(executed, -1.0, 1.0)[None])[0]
        return snapped

    def _check_fixed(self, fixed: Mapping[int, float]) -> dict[int, float]:
        for index, value in fixed.items():
            if not 0 <= index < self.action_size or not -1.0 <= value <= 1.0:
                raise ValueError(f"action number {index} cannot be pinned to {value}")
        return dict(fixed)
