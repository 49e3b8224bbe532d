"""Which action to try next: candidates around the best known and from the actor, compared by the critics.

The parts, each a few lines: the *elite* (the best known action for this load), a *pace* (`pace.py`: stay with it, or try
something new), *candidates* around elite and actor and from the whole space, and an *optimistic choice* among those that the
critics do not think dangerous (OnlineTune, arXiv 2203.14473).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brokertuner_tui.agent.config import AgentConfig
from brokertuner_tui.agent.pace import explores
from brokertuner_tui.agent.replay import Batch, Floats
from brokertuner_tui.agent.space import Actions, Space

Predict = Callable[[Actions], NDArray[np.float32]]
"""(k, n) actions to (members, k) values in the present context."""

_SAME_LOAD = 0.02
"""Contexts whose root mean square difference is below this are one load."""
SAME_ACTION = 1e-4
"""Actions whose numbers all differ by less are one."""
_TOO_CLOSE = 0.05
"""An action is avoided with everything that is within this of it in every number."""
_ASKED_ENOUGH = 2
"""A point of the warm-up that was proposed so often, and never came back as a trial, is given up."""
_BACK = 0.3
"""Of the candidates near the best known, those whose moved knobs go back to where they usually are."""
_MOST_REVISITED = 3
"""So many of the settings that earlier runs found best are measured at once; then it is the critics' choice as ever."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What to try next."""

    action: NDArray[np.float64]
    """(n,), each in [-1, 1]."""
    source: str
    """`warm-up`, `actor`, `elite`, `near`, `far` or `random`."""
    noise: float
    """How far exploring goes: the deviation of the noise, or of the steps from the best known action."""
    why: str
    """One sentence."""


@dataclass(frozen=True, slots=True)
class Elite:
    """The best known action of a load."""

    action: Actions
    value: float
    """Its mean reward, drawn a little towards what the critics say of it."""


def same_load(trials: Batch, context: Floats) -> NDArray[np.bool_]:
    """(n,): which trials were under the load that `context` describes."""
    return alike(trials.observation[:, : len(context)], context)


def alike(contexts: Floats, context: Floats) -> NDArray[np.bool_]:
    """(n,): which of the (n, c) `contexts` describe the load that `context` describes."""
    if not len(context):
        return np.ones(len(contexts), dtype=bool)
    near: NDArray[np.bool_] = np.sqrt(np.mean((contexts - context) ** 2, axis=1)) < _SAME_LOAD
    return near


def find_elite(actions: Actions, rewards: Floats, predict: Predict | None) -> Elite | None:
    """The action with the best mean reward; each mean counts as one more trial with the critics' opinion (shrinkage:
    the luckiest of many noisy trials is not the best)."""
    if len(actions) == 0:
        return None
    groups = np.unique(np.round(actions / SAME_ACTION), axis=0, return_inverse=True)[1].reshape(-1)
    count = np.bincount(groups)
    mean = np.bincount(groups, weights=rewards) / count
    first = np.array([int(np.argmax(groups == group)) for group in range(len(count))])
    if predict is not None:
        mean = (mean * count + predict(actions[first]).mean(axis=0)) / (count + 1)
    best = int(np.argmax(mean))
    return Elite(actions[first[best]], float(mean[best]))


class Search:
    """Chooses among candidates. Remembers how far the warm-up of each load is, and what the broker could not live with."""

    def __init__(self, config: AgentConfig, space: Space, seed: int) -> None:
        self._config, self._space, self._seed = config, space, seed
        self._loads: dict[str, Floats] = {}
        """By name, each as it looked first."""
        self._warmed: dict[str, int] = {}
        """Points of the warm-up that are done with, by load."""
        self._asked: dict[str, int] = {}
        """How often the next one was proposed without an answer."""
        self._avoided: list[tuple[str, list[float]]] = []
        self._revisited: list[tuple[str, list[float]]] = []
        """The best of earlier runs, as far as this one was asked to measure them."""

    def propose(
        self,
        context: Floats,
        trials: Batch,
        actor: Actions,
        predict: Predict,
        fixed: Mapping[int, float],
        rng: np.random.Generator,
    ) -> Proposal:
        """One action for the load that `context` describes.

        Args:
            actor: (n,), the actor's own.
            fixed: action numbers that are pinned; every candidate has them.
        """
        near = same_load(trials, context)
        actions, rewards = trials.action[near], trials.reward[near]
        learned = len(trials.reward) >= self._config.learning_starts
        elite = find_elite(actions, rewards, predict if learned else None)
        if elite is not None and (earlier := trials.earlier[near] > 0).any():
            revisit = self._revisit(context, elite, actions[~earlier], fixed)
            if revisit is not None:
                return revisit
        satisfied = elite is not None and elite.value >= self._config.satisfied
        if elite is not None and not explores(actions, rewards, elite.value, self._config):
            held = self._settle(_held(elite, actions, rewards, near, self._config)[None], fixed)
            if not self._is_avoided(held, self._load(context)).any():
                why = "next to nothing is left to find" if satisfied else "new ones have not been better of late"
                return Proposal(held[0], "elite", 0.0, f"best known, {elite.value:.3f}: {why}")
        if not satisfied and (warm_up := self._warm_up(context, actions, fixed)) is not None:
            return warm_up
        candidates, sources = self._candidates(context, actor, elite, rng)
        candidates = self._settle(candidates, fixed)
        values = predict(candidates)
        mean, deviation = values.mean(axis=0), values.std(axis=0)
        score = mean + self._config.optimism * deviation
        if elite is not None and elite.value > self._config.tolerance:  # else there is nothing to lose
            careful = mean - self._config.caution * deviation >= elite.value - self._config.tolerance
            if careful.any():
                score = np.where(careful, score, -np.inf)
        avoided = self._is_avoided(candidates, self._load(context))
        if not avoided.all():
            score = np.where(avoided, -np.inf, score)
        best = int(np.argmax(score))
        why = f"expected {mean[best]:.3f} ± {deviation[best]:.3f}"
        if elite is not None:
            why += f", best known {elite.value:.3f}"
        return Proposal(candidates[best], sources[best], self._config.region, why)

    def best(self, context: Floats, trials: Batch, actor: Actions, predict: Predict, fixed: Mapping[int, float]) -> Proposal:
        """The best that was measured under this load; for a new one, what the critics are surest of."""
        near = same_load(trials, context)
        elite = find_elite(self._settle(trials.action[near], fixed), trials.reward[near], predict)
        if elite is not None:
            return Proposal(elite.action, "elite", 0.0, f"best known, {elite.value:.3f}")
        designed = [action for action, _ in self._space.designed(context)]
        candidates = self._settle(np.stack([actor, *designed]), fixed)
        values = predict(candidates)
        surest = int(np.argmax(values.mean(axis=0) - values.std(axis=0)))
        source = "warm-up" if surest else "actor"
        return Proposal(candidates[surest], source, 0.0, "nothing was measured under this load yet")

    def answered(self, context: Floats) -> None:
        """A trial under this load was remembered or avoided: the warm-up goes on."""
        load = self._load(context)
        if self._asked.pop(load, 0):
            self._warmed[load] = self._warmed.get(load, 0) + 1

    def avoid(self, context: Floats, action: Actions) -> None:
        """Leaves `action` and its neighbours out from now on under this load."""
        self._avoided.append((self._load(context), [float(number) for number in action]))

    def state(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "warmed": self._warmed,
            "asked": self._asked,
            "avoided": self._avoided,
            "revisited": self._revisited,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """From what `state` gave."""
        self._warmed, self._asked = dict(state["warmed"]), dict(state["asked"])
        self._avoided = [(load, list(action)) for load, action in state["avoided"]]
        self._revisited = [(load, list(action)) for load, action in state.get("revisited", [])]
        named = (self._warmed, self._asked, dict(self._avoided), dict(self._revisited))
        self._loads = {name: np.array(name.split(), dtype=np.float32) for known in named for name in known}

    def _load(self, context: Floats) -> str:
        """A name for the load that `context` describes, the same for all that are alike: live traffic never looks the same
        twice. It tells the context, so that it can be kept as a key of JSON."""
        name = " ".join(f"{number:.3f}" for number in context)
        if name not in self._loads:
            for known, seen in self._loads.items():
                if alike(seen[None], context)[0]:
                    return known
            self._loads[name] = np.array(name.split(), dtype=np.float32)
        return name

    def _revisit(self, context: Floats, elite: Elite, measured: Actions, fixed: Mapping[int, float]) -> Proposal | None:
        """The best known action, where only earlier runs have measured it: the shortest way to a good one."""
        wanted, load = self._settle(elite.action[None], fixed)[0], self._load(context)
        asked = [action for known, action in self._revisited if known == load]
        if len(asked) >= _MOST_REVISITED or not self._is_new(wanted[None], load, np.array([*measured, *asked])):
            return None
        self._revisited.append((load, [float(number) for number in wanted]))
        why = f"the best of earlier runs under this load, {elite.value:.3f}, not measured in this one yet"
        return Proposal(wanted, "elite", 0.0, why)

    def _warm_up(self, context: Floats, tried: Actions, fixed: Mapping[int, float]) -> Proposal | None:
        """The space's own points that were not tried yet, then a Sobol sequence; None when the warm-up is over."""
        load = self._load(context)
        designed = self._space.designed(context)
        if self._asked.get(load, 0) >= _ASKED_ENOUGH:
            self.answered(context)
        while len(tried) < self._config.warm_up and (index := self._warmed.get(load, 0)) < self._config.warm_up:
            if index < len(designed):
                action, why = designed[index]
            else:
                point = sobol(self._space.size, self._seed, index)
                action = self._space.spread(point[None], context)[0]
                why = "one of a spread of settings that do not strangle this load"
            wanted = self._settle(action[None], fixed)
            self._asked[load] = self._asked.get(load, 0) + 1
            if self._is_new(wanted, load, tried):
                return Proposal(wanted[0], "warm-up", self._config.region, why)
            self.answered(context)
        return None

    def _is_new(self, wanted: Actions, load: str, tried: Actions) -> bool:
        if len(tried) and np.abs(tried - wanted).max(axis=1).min() < SAME_ACTION * 10:
            return False
        return not self._is_avoided(wanted, load)[0]

    def _is_avoided(self, actions: Actions, load: str) -> NDArray[np.bool_]:
        found = np.zeros(len(actions), dtype=bool)
        for known, action in self._avoided:
            if known == load:
                found |= np.abs(actions - np.array(action)).max(axis=1) < _TOO_CLOSE
        return found

    def _candidates(
        self, context: Floats, actor: Actions, elite: Elite | None, rng: np.random.Generator
    ) -> tuple[Actions, list[str]]:
        count, size, side = self._config.candidates, self._space.size, self._config.region
        rows = [actor[None], actor + rng.normal(0, side / 2, (count // 8, size))]
        sources = ["actor"] * (1 + count // 8)
        if elite is not None:
            rows.append(elite.action[None])
            sources.append("elite")
            # Few numbers at a time: most knobs of a good setting are good.
            moved = rng.random((count // 2, size)) < rng.choice([1, 2, 4], (count // 2, 1)) / size
            steps = rng.normal(0, side, (count // 2, size))
            # A switch has nowhere to go but over; a step that would leave the interval turns back.
            stepped = _reflect(elite.action + np.where(moved, steps, 0))
            if (usual := self._space.usual(context)) is not None:
                # What was changed for nothing finds its way back: a short config is one that can be understood.
                stepped = np.where(moved & (rng.random((count // 2, 1)) < _BACK), usual, stepped)
            rows.append(stepped)
            sources += ["near"] * (count // 2)
            flips = np.repeat(elite.action[None], size, axis=0)
            flips[np.arange(size), np.arange(size)] *= -1
            rows.append(flips)
            sources += ["near"] * size
        far = self._space.spread(rng.random((int(count * self._config.far), size)), context)
        rows.append(far)
        sources += ["far"] * len(far)
        if self._config.region == 0:  # nothing is explored: what is known of the space is believed, too
            designed = [action for action, _ in self._space.designed(context)]
            rows += [action[None] for action in designed]
            sources += ["far"] * len(designed)
        candidates = np.maximum(np.concatenate(rows), self._space.floor(context))
        still = elite.action if elite is not None else self._space.usual(context)
        if still is not None:  # what cannot matter is not moved
            candidates = np.where(self._space.inert(context), still, candidates)
        return candidates, sources

    def _settle(self, actions: Actions, fixed: Mapping[int, float]) -> Actions:
        settled = self._space.snap(np.clip(actions, -1.0, 1.0))
        for index, value in fixed.items():
            settled[:, index] = value
        return settled


def _held(elite: Elite, actions: Actions, rewards: Floats, near: NDArray[np.bool_], config: AgentConfig) -> Actions:
    """What to stay with: the best known, or what is in force where that is as good as makes no difference.

    Args:
        near: which of all trials are of this load; what is in force is known from the last of all.
    """
    if near[-1]:
        again = np.abs(actions - actions[-1]).max(axis=1) < SAME_ACTION
        if rewards[again].mean() > elite.value - config.progress:
            return np.asarray(actions[-1])
    return elite.action


def _reflect(actions: Actions) -> Actions:
    over = np.where(actions > 1, 2 - actions, actions)
    return np.clip(np.where(over < -1, -2 - over, over), -1.0, 1.0)


def sobol(size: int, seed: int, index: int) -> NDArray[np.float64]:
    """Point `index` of a scrambled Sobol sequence in the unit cube."""
    from torch.quasirandom import SobolEngine

    engine = SobolEngine(size, scramble=True, seed=seed)  # type: ignore[no-untyped-call]
    if index:
        engine.fast_forward(index)  # type: ignore[no-untyped-call]
    return np.asarray(engine.draw(1)[0].double().numpy())
