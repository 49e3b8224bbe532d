"""Chooses what the next trial tries, and learns from what it did. Touches neither broker nor load."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from brokertuner_tui.env.outcome import Outcome, Verdict
from brokertuner_tui.env.preset import Observation, Preset
from brokertuner_tui.knobs import codec
from brokertuner_tui.knobs.catalogue import NAMES, KnobValues, Value, Version
from brokertuner_tui.tuning.events import AgentState, TrialKind
from brokertuner_tui.tuning.guard.caution import Caution
from brokertuner_tui.tuning.guard.traps import evade
from brokertuner_tui.tuning.incumbents import Incumbent, Incumbents
from brokertuner_tui.workload.profile import Profile

if TYPE_CHECKING:  # importing the agent imports torch
    from brokertuner_tui.agent.ddpg import DDPG, Losses

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
    """

    def __init__(
        self,
        agent: DDPG,
        preset: Preset,
        version: Version,
        defaults: KnobValues,
        pinned: Mapping[str, Value],
        caution: Caution | None = None,
    ) -> None:
        self.agent = agent
        self._caution = caution
        self._preset = preset
        self._version = version
        self._defaults = dict(defaults)
        self._pinned = dict(pinned)
        self._manual: dict[str, Value] | None = None
        self._experience: dict[str, _Experience] = {}
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

    def try_next(self, knobs: KnobValues) -> None:
        """The operator's own setting: the next trial measures it."""
        self._manual = dict(knobs)

    def best(self, profile: Profile) -> Incumbent | None:
        """The best setting under `profile` that agrees with the pins."""
        return self._of(profile).incumbents.best(self._pinned)

    def floor(self, choice: Choice, profile: Profile) -> float | None:
        """The share in time below which the trial of `choice` is to be ended early; None: it is not."""
        reference = self._of(profile).reference
        margin = self._caution.margin if self._caution is not None else None
        if margin is None or choice.kind is TrialKind.DEFAULT or reference is None or reference.window is None:
            return None
        return max(0.0, reference.window.share_in_time - margin)

    def choose(self, profile: Profile) -> Choice:
        """What to try next under `profile`."""
        known = self._of(profile)
        observation = self._preset.observe(known.last) if known.last is not None else None
        if self._manual is not None:
            knobs, self._manual = self._manual | self._pinned, None
            return Choice(TrialKind.MANUAL, knobs, observation, "operator", why="set by hand")
        if observation is None or known.reference is None:
            return Choice(TrialKind.DEFAULT, self.default, observation, "default", why="the reference for everything else")
        if known.since_default >= (self._caution.default_every if self._caution else _REPEAT_DEFAULT_EVERY):
            return Choice(TrialKind.DEFAULT, self.default, observation, "default", why="the reference again, against drift")
        best = self.best(profile)
        if best and known.since_best >= _REPEAT_BEST_EVERY and len(best.rewards) < _ENOUGH_REPEATS:
            times = len(best.rewards)
            why = f"the best so far again, measured {times} time{'s' * (times > 1)}"
            return Choice(TrialKind.BEST, dict(best.knobs), observation, "best", why=why)
        return self._propose(profile, observation)

    def learn(self, number: int, choice: Choice, outcome: Outcome) -> Lesson:
        """Takes in one trial; only an `ok` one teaches."""
        known = self._of(outcome.profile)
        known.since_default = 0 if choice.kind is TrialKind.DEFAULT else known.since_default + 1
        known.since_best = 0 if choice.kind is TrialKind.BEST else known.since_best + 1
        before = _numbers(choice.observation)
        if outcome.verdict is not Verdict.OK:
            if outcome.verdict is Verdict.FAILED and choice.observation is not None:
                # Not a reward: only not to be tried again.
                self.agent.avoid(choice.observation, codec.encode(outcome.knobs))
            return Lesson(None, {}, before, (), False, 0.0)
        started = time.perf_counter()
        if choice.kind is TrialKind.DEFAULT and known.reference is None:
            known.reference = outcome
        known.last = outcome
        reward = self._preset.reward(outcome, known.reference)
        next_observation = self._preset.observe(outcome)
        observation = choice.observation if choice.observation is not None else next_observation
        self.agent.remember(observation, codec.encode(outcome.knobs), reward.value, next_observation)
        self._losses = self.agent.update() or self._losses
        known.incumbents.add(number, outcome.knobs, reward.value)
        best = self.best(outcome.profile)
        return Lesson(
            reward.value,
            dict(reward.terms),
            _numbers(observation),
            _numbers(next_observation),
            best is not None and best.knobs == dict(outcome.knobs),
            time.perf_counter() - started,
        )

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

    def _propose(self, profile: Profile, observation: Observation) -> Choice:
        pinned = self._held | self._pinned
        fixed = {NAMES.index(name): codec.encode_knob(name, value) for name, value in pinned.items()}
        proposal = self.agent.propose(observation, fixed=fixed)
        # The pins as values: an action in float32 may stand for a neighbour of a large one.
        wish = codec.decode(proposal.action) | pinned
        if self._caution is not None:
            best = self.best(profile)
            wish = self._caution.near(wish, best.knobs if best is not None else self.default) | pinned
        kind = TrialKind.WARM_UP if proposal.source == "warm-up" else TrialKind.AGENT
        knobs = evade(wish, profile, self._version, pinned)
        return Choice(kind, knobs, observation, proposal.source, proposal.noise, proposal.why)

    def _of(self, profile: Profile) -> _Experience:
        return self._experience.setdefault(profile.name, _Experience())


def _numbers(observation: Observation | None) -> tuple[float, ...]:
    return () if observation is None else tuple(float(number) for number in observation)
