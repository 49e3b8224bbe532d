"""Chooses what the next trial tries, and learns from what it did. Touches neither broker nor load."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from brokertuner_tui.env.outcome import Outcome, Verdict
from brokertuner_tui.env.preset import Observation, Preset, Reward
from brokertuner_tui.env.slo import context
from brokertuner_tui.knobs import codec
from brokertuner_tui.knobs.catalogue import CATALOGUE, NAMES, KnobValues, Value, Version, needs_restart
from brokertuner_tui.tuning.events import AgentState, TrialKind
from brokertuner_tui.tuning.guard.caution import Caution
from brokertuner_tui.tuning.guard.traps import evade
from brokertuner_tui.tuning.incumbents import Incumbent, Incumbents
from brokertuner_tui.workload import live
from brokertuner_tui.workload.profile import Profile

if TYPE_CHECKING:  # importing the agent imports torch
    from brokertuner_tui.agent.ddpg import DDPG, Losses
    from brokertuner_tui.tuning.memory import Memory

_REPEAT_BEST_EVERY = 6
"""Trials between two repeats of the best setting, while it has been measured less often than `_ENOUGH_REPEATS`."""
_ENOUGH_REPEATS = 4
_REPEAT_DEFAULT_EVERY = 25
"""Trials between two measurements of the default under one profile: a reference for drift."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What the next trial tries, and why."""

    kind: TrialKind
    knobs: dict[str, Value]
    observation: Observation | None
    source: str
    noise: float = 0.0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a trial was worth; `reward` is None unless its verdict is `ok`."""

    reward: float | None
    terms: Mapping[str, float]
    observation: tuple[float, ...]
    next_observation: tuple[float, ...]
    is_best: bool
    learn_s: float


@dataclass(slots=True)
class _Experience:
    """What is known under one profile."""

    reference: Outcome | None = None
    """The default's first outcome. Later ones do not replace it: a moving reference would make rewards incomparable."""
    last: Outcome | None = None
    incumbents: Incumbents = field(default_factory=Incumbents)
    since_best: int = 0
    since_default: int = 0


class Learner:
    """The agent, the preset, and what was measured so far, profile by profile.

    Args:
        defaults: the broker's own knobs.
        pinned: knobs that the agent must leave alone, and their values. They hold for every trial, the default's too.
        caution: how far a trial may go; None: anything may be tried.
        memory: what earlier runs measured; None: nothing is known.
    """

    def __init__(
        self,
        agent: DDPG,
        preset: Preset,
        version: Version,
        defaults: KnobValues,
        pinned: Mapping[str, Value],
        caution: Caution | None = None,
        memory: Memory | None = None,
    ) -> None:
        self.agent = agent
        self._memory = memory
        self._caution = caution
        self._preset = preset
        self._version = version
        self._defaults = dict(defaults)
        self._pinned = dict(pinned)
        self._manual: dict[str, Value] | None = None
        self._experience: dict[str, _Experience] = {}
        self._looks: dict[str, NDArray[np.float32]] = {}
        """What live traffic has looked like so far (`env.slo.context`)."""
        self._losses: Losses | None = None

    @property
    def pinned(self) -> dict[str, Value]:
        """The knobs that the agent must leave alone, and their values."""
        return dict(self._pinned)

    @property
    def default(self) -> dict[str, Value]:
        """What everything is compared with: the broker's defaults, with the operator's pins."""
        return self._defaults | self._pinned

    @property
    def _held(self) -> dict[str, Value]:
        """Knobs that caution leaves at their defaults, unless the operator sets them."""
        return {name: self._defaults[name] for name in self._caution.held} if self._caution is not None else {}

    def pin(self, knob: str, value: Value) -> None:
        """From the next trial on, `knob` stays at `value`."""
        self._pinned[knob] = value

    def unpin(self, knob: str) -> None:
        """From the next trial on, the agent may move `knob`."""
        self._pinned.pop(knob, None)

    def pin_all(self, pinned: Mapping[str, Value]) -> None:
        """From the next trial on, these and no others are pinned."""
        self._pinned = dict(pinned)

    def try_next(self, knobs: KnobValues) -> None:
        """The operator's own setting: the next trial measures it."""
        self._manual = dict(knobs)

    def best(self, profile: Profile) -> Incumbent | None:
        """The best setting under `profile` that agrees with the pins."""
        return self._of(profile).incumbents.best(self._pinned)

    def ban(self, profile: Profile, knobs: KnobValues) -> None:
        """This setting is never the best under `profile`."""
        self._of(profile).incumbents.ban(knobs)

    def floor(self, choice: Choice, profile: Profile) -> float | None:
        """The share in time below which the trial of `choice` is to be ended early; None: it is not."""
        reference = self._of(profile).reference
        margin = self._caution.margin if self._caution is not None else None
        if margin is None or choice.kind is TrialKind.DEFAULT or reference is None or reference.window is None:
            return None
        return max(0.0, reference.window.share_in_time - margin)

    def choose(
        self,
        profile: Profile,
        *,
        hold: KnobValues | None = None,
        heap_bytes: int = 0,
        broke: Collection[KnobValues] = (),
    ) -> Choice:
        """What to try next under `profile`.

        Args:
            hold: what is in force while the broker must not be restarted: what would need that stays, or is put off.
            heap_bytes: what the broker's heap holds now; 0: not known.
            broke: settings that broke the SLO under this profile, and are not measured again.
        """
        known = self._of(profile)
        observation = self._observe(known)
        if self._manual is not None:
            return self._by_hand(observation)

        def put_off(knobs: KnobValues) -> bool:
            return dict(knobs) in broke or (hold is not None and needs_restart(hold, knobs))

        if observation is None or known.reference is None:
            if hold is not None and needs_restart(hold, self.default):
                return self.watch(profile, hold)
            return Choice(TrialKind.DEFAULT, self.default, observation, "default", why="the reference for everything else")
        every = self._caution.default_every if self._caution else _REPEAT_DEFAULT_EVERY
        if known.since_default >= every and _tells_drift(known.reference) and not put_off(self.default):
            return Choice(TrialKind.DEFAULT, self.default, observation, "default", why="the reference again, against drift")
        best = self.best(profile)
        is_due = known.since_best >= _REPEAT_BEST_EVERY
        if best and is_due and len(best.rewards) < _ENOUGH_REPEATS and not put_off(best.knobs):
            times = len(best.rewards)
            why = f"the best so far again, measured {times} time{'s' * (times > 1)}"
            return Choice(TrialKind.BEST, dict(best.knobs), observation, "best", why=why)
        return self._propose(profile, observation, hold, heap_bytes)

    def watch(self, profile: Profile, in_force: KnobValues) -> Choice:
        """Measures what is in force, and changes nothing."""
        known = self._of(profile)
        observation, best = self._observe(known), self.best(profile)
        if self._manual is not None:
            return self._by_hand(observation)
        kind = TrialKind.BEST if best is not None and best.knobs == dict(in_force) else TrialKind.MANUAL
        if dict(in_force) == self.default:
            kind = TrialKind.DEFAULT
        return Choice(kind, dict(in_force), observation, "in force", why="what is in force, unchanged")

    def suggest(self, profile: Profile, in_force: KnobValues, *, heap_bytes: int = 0) -> Choice | None:
        """What the agent would try next; None before anything was measured, or where it wants what is in force."""
        observation = self._observe(self._of(profile))
        if observation is None:
            return None
        choice = self._propose(profile, observation, None, heap_bytes)
        return None if choice.knobs == dict(in_force) else choice

    def skip(self, choice: Choice) -> None:
        """Somebody does not want this proposal: it is not made again."""
        if choice.observation is not None:
            self.agent.avoid(choice.observation, codec.encode(choice.knobs))

    def learn(self, number: int, choice: Choice, outcome: Outcome, *, broke: bool = False) -> Lesson:
        """Takes in one trial; only an `ok` one teaches.

        Args:
            broke: it broke the SLO: never to be the best, nor to be tried again. It is remembered with the reward of a failed
                trial, so that its neighbours are believed to be no better.
        """
        started = time.perf_counter()
        before = _numbers(choice.observation)
        reward = self.recall(number, choice.kind, choice.source, outcome, broke=broke)
        if reward is None:
            if outcome.verdict is Verdict.FAILED and choice.observation is not None:
                # Not a reward: only not to be tried again.
                self.agent.avoid(choice.observation, codec.encode(outcome.knobs))
            return Lesson(None, {}, before, (), False, 0.0)
        next_observation = self._preset.observe(outcome)
        observation = self._under(choice.observation, next_observation)
        self.agent.remember(observation, codec.encode(outcome.knobs), reward.value, next_observation)
        self._losses = self.agent.update() or self._losses
        if broke:
            self.agent.avoid(observation, codec.encode(outcome.knobs))
        best = self.best(outcome.profile)
        return Lesson(
            reward.value,
            dict(reward.terms),
            _numbers(observation),
            _numbers(next_observation),
            best is not None and best.knobs == dict(outcome.knobs),
            time.perf_counter() - started,
        )

    def recall(self, number: int, kind: TrialKind, source: str, outcome: Outcome, *, broke: bool = False) -> Reward | None:
        """Takes in a trial without the agent: what this knows besides it. So a run that goes on knows what it knew.

        Args:
            source: where the choice came from (`Choice.source`).
            broke: see `learn`.

        Returns: what it is worth; None unless its verdict is `ok`.
        """
        known = self._of(outcome.profile)
        known.since_default = 0 if kind is TrialKind.DEFAULT else known.since_default + 1
        known.since_best = 0 if kind is TrialKind.BEST else known.since_best + 1
        if outcome.verdict is not Verdict.OK:
            return None
        if known.reference is None and (kind is TrialKind.DEFAULT or source == "in force"):
            known.reference = outcome
        known.last = outcome
        reward = self._preset.reward(outcome, known.reference)
        if broke:
            reward = self._broken(reward)
            known.incumbents.ban(outcome.knobs)
        known.incumbents.add(number, outcome.knobs, reward.value)
        return reward

    def agent_state(self, choice: Choice) -> AgentState:
        """How the agent stands after the trial that `choice` led to."""
        return AgentState(
            source=choice.source,
            noise=choice.noise,
            critic_loss=self._losses.critic if self._losses else None,
            actor_loss=self._losses.actor if self._losses else None,
            buffer=self.agent.buffer_size,
            updates=self.agent.updates,
            why=choice.why,
        )

    def _broken(self, reward: Reward) -> Reward:
        worth = min(reward.value, self._preset.failed_reward)
        return Reward(worth, {**reward.terms, "slo": worth - reward.value})

    def _observe(self, known: _Experience) -> Observation | None:
        return self._preset.observe(known.last) if known.last is not None else None

    def _by_hand(self, observation: Observation | None) -> Choice:
        knobs, self._manual = (self._manual or {}) | self._pinned, None
        return Choice(TrialKind.MANUAL, knobs, observation, "operator", why="set by hand")

    def _propose(self, profile: Profile, observation: Observation, hold: KnobValues | None, heap_bytes: int) -> Choice:
        kept = {knob.name: hold[knob.name] for knob in CATALOGUE if knob.applies == "restart"} if hold is not None else {}
        pinned = self._held | kept | self._pinned
        fixed = {NAMES.index(name): codec.encode_knob(name, value) for name, value in pinned.items()}
        self._know(profile, observation)
        proposal = self.agent.propose(observation, fixed=fixed)
        wish = codec.decode(proposal.action)
        if proposal.source != "elite":  # that was measured as it is
            wish = codec.rounded_changes(wish, self.default)
        # The pins as values: an action may stand for a neighbour of a large one.
        wish |= pinned
        if self._caution is not None:
            best = self.best(profile)
            wish = self._caution.near(wish, best.knobs if best is not None else self.default) | pinned
        knobs = evade(wish, profile, self._version, pinned, heap_bytes)
        kind = TrialKind.WARM_UP if proposal.source == "warm-up" else TrialKind.AGENT
        if (known := self.best(profile)) is not None and known.knobs == knobs:
            kind = TrialKind.BEST
        return Choice(kind, knobs, observation, proposal.source, proposal.noise, proposal.why)

    def _under(self, observation: Observation | None, then: Observation) -> Observation:
        """What was seen when the trial was chosen, with the load that it was then measured under: live traffic may have
        changed in between, and a reward belongs to the load that it was earned under."""
        if observation is None:
            return then
        size = self._preset.context_size
        return np.concatenate([then[:size], observation[size:]])

    def _know(self, profile: Profile, observation: Observation) -> None:
        """Gives the agent what earlier runs know of a load that it has not met yet; the best of this run is its own matter."""
        if self._memory is None or self.agent.knows(observation):
            return
        earlier = self._memory.like(observation, profile.name)
        if earlier is not None:
            self.agent.know(observation, earlier)

    def _of(self, profile: Profile) -> _Experience:
        if profile.name == live.NAME:
            return self._experience.setdefault(self._look_of(profile), _Experience())
        return self._experience.setdefault(profile.name, _Experience())

    def _look_of(self, profile: Profile) -> str:
        """Live traffic has one name, and is another load when it looks like one: with a reference and a best of its own."""
        from brokertuner_tui.agent.search import alike

        seen = np.array(context(profile, self._version), dtype=np.float32)
        for known, look in self._looks.items():
            if alike(look[None], seen)[0]:
                return known
        name = f"{profile.name} {len(self._looks) + 1}"
        self._looks[name] = seen
        return name


def _tells_drift(reference: Outcome) -> bool:
    """Whether the default, measured again, could show that the machine has changed: nothing in time is nothing in time."""
    return reference.window is not None and reference.window.on_time > 0


def _numbers(observation: Observation | None) -> tuple[float, ...]:
    return () if observation is None else tuple(float(number) for number in observation)
