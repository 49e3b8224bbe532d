"""What all rivals that learn have in common: the warm-up, trials that say nothing, and the best setting.

**Space.** All of them search the cube [-1, 1]^11 of `knobs/codec.py`, as eleven plain numbers. With their libraries' own types
(integers on a logarithmic scale, booleans) the special values of eight knobs ("no limit") would each need a second, conditional
parameter that these samplers treat as unrelated to the first. The codec's cube spares them that (it has the special value at
the end of the scale where it belongs), and it is the very space that our own agents search.

**Load.** They see none: their users tune one load. After a change of load they go on with what they know.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass

import numpy as np

from brokertuner_tui.bench.method import Task
from brokertuner_tui.bench.methods.measured import Measured
from brokertuner_tui.env.outcome import Outcome, Verdict
from brokertuner_tui.env.slo import SloPreset
from brokertuner_tui.knobs.catalogue import KnobValues, Value
from brokertuner_tui.knobs.codec import Action, decode, encode
from brokertuner_tui.workload.profile import Profile

FAILED_REWARD = SloPreset().failed_reward
"""For libraries that must have a number for a failed trial: the least reward there is."""
_MOST_TRIES = 2
"""A setting whose trial says nothing is asked again; if that says nothing either, the setting is taken to be the reason."""


@dataclass(slots=True)
class _Question:
    action: Action
    knobs: dict[str, Value]
    own: bool
    """Proposed by the library, not by the warm-up."""
    tries: int = 0


class Rival(ABC):
    """One library that is asked and told. Subclasses say how."""

    name: str

    def __init__(self, task: Task) -> None:
        self._task = task
        self._measured = Measured(task.defaults)
        self._warm_up = deque(task.warm_up)
        self._question: _Question | None = None

    def ask(self, profile: Profile) -> dict[str, Value]:
        """The warm-up's settings, then the library's. Until there is an answer, the same again."""
        if self._question is None:
            self._question = self._next()
        return dict(self._question.knobs)

    def tell(self, knobs: KnobValues, outcome: Outcome, reward: float | None) -> None:
        """Passed on to the library, failed trials as its users do it; see `_MOST_TRIES` for inconclusive ones."""
        self._measured.add(knobs, reward)
        question = self._question
        if question is None or question.knobs != dict(knobs):
            if outcome.verdict is not Verdict.INCONCLUSIVE:
                self._take(encode(knobs), outcome, reward)
            return
        question.tries += 1
        if outcome.verdict is Verdict.INCONCLUSIVE and question.tries < _MOST_TRIES:
            return
        self._question = None
        learn = self._answer if question.own else self._take
        learn(question.action, outcome, reward)

    def best(self, profile: Profile) -> dict[str, Value]:
        """The best mean of all that was measured, whatever the load: one problem is all that it knows."""
        return self._measured.best()

    def close(self) -> None:  # noqa: B027 (most have nothing to end)
        """Ends what the library has begun."""

    def _next(self) -> _Question:
        if self._warm_up:
            knobs = dict(self._warm_up.popleft())
            return _Question(encode(knobs), knobs, own=False)
        action = np.clip(np.asarray(self._propose(), dtype=np.float64), -1.0, 1.0)
        return _Question(action, decode(action), own=True)

    @abstractmethod
    def _propose(self) -> Action:
        """The library's next point, (11,)."""

    @abstractmethod
    def _answer(self, action: Action, outcome: Outcome, reward: float | None) -> None:
        """What came of the point that was proposed last; None: the trial failed."""

    @abstractmethod
    def _take(self, action: Action, outcome: Outcome, reward: float | None) -> None:
        """What came of a point that the library did not propose: the default, the warm-up."""
