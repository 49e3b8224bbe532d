"""Our own agents, driven as the product drives them."""

from __future__ import annotations

from brokertuner_tui.bench.method import Task
from brokertuner_tui.env.outcome import Outcome
from brokertuner_tui.env.presets import make_preset
from brokertuner_tui.knobs.catalogue import CATALOGUE, KnobValues, Value
from brokertuner_tui.tuning.guard.traps import heap_in_use
from brokertuner_tui.tuning.learner import Choice, Learner
from brokertuner_tui.workload.profile import Profile


class Own:
    """A preset's agent in the product's `Learner`: it sees the load, repeats the best and the default, and keeps out of traps.

    It goes by its preset's own reward: for `slo` the one that all methods are judged by, for `classic` its linear one.
    """

    def __init__(self, preset: str, task: Task) -> None:
        from brokertuner_tui.agent.ddpg import DDPG
        from brokertuner_tui.agent.presets import config_for

        self.name = preset
        rewards = make_preset(preset)
        agent = DDPG(len(rewards.observation_names), len(CATALOGUE), config_for(preset), seed=task.seed)
        self._learner = Learner(agent, rewards, task.version, task.defaults, {})
        self._choice: Choice | None = None
        self._trials = 0
        self._heap_bytes = 0

    def ask(self, profile: Profile) -> dict[str, Value]:
        """What `tuning/trials.py` would try next."""
        self._choice = self._learner.choose(profile, heap_bytes=self._heap_bytes)
        return dict(self._choice.knobs)

    def tell(self, knobs: KnobValues, outcome: Outcome, reward: float | None) -> None:
        """A trial that was not asked for counts as one of what is in force."""
        self._trials += 1
        choice, self._choice = self._choice, None
        if choice is None or choice.knobs != dict(knobs):
            choice = self._learner.watch(outcome.profile, knobs)
        self._learner.learn(self._trials, choice, outcome)
        self._heap_bytes = heap_in_use(outcome.sample)

    def best(self, profile: Profile) -> dict[str, Value]:
        """What the product would leave in force; the default before there is a best."""
        best = self._learner.best(profile)
        return dict(best.knobs) if best is not None else self._learner.default

    def close(self) -> None:
        """Nothing to end."""


def classic(task: Task) -> Own:
    """The textbook's DDPG with the original's observation and reward."""
    return Own("classic", task)


def slo(task: Task) -> Own:
    """The default agent."""
    return Own("slo", task)
