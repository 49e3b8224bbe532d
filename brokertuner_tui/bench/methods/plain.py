"""Searches that learn nothing: points of the codec's cube."""

from __future__ import annotations

import numpy as np

from brokertuner_tui.bench.method import Task
from brokertuner_tui.bench.methods.measured import Measured
from brokertuner_tui.env.outcome import Outcome
from brokertuner_tui.knobs.catalogue import NAMES, KnobValues, Value
from brokertuner_tui.knobs.codec import Action, decode
from brokertuner_tui.workload.profile import Profile


class Points:
    """All points of a design, made beforehand, one after the other.

    Args:
        points: (n, 11), each number in [-1, 1]. After the last one it begins anew.
    """

    def __init__(self, name: str, task: Task, points: Action) -> None:
        self.name = name
        self._points = points
        self._asked = 0
        self._measured = Measured(task.defaults)

    def ask(self, profile: Profile) -> dict[str, Value]:
        """The next one, whatever came of those before."""
        self._asked += 1
        return decode(self._points[(self._asked - 1) % len(self._points)])

    def tell(self, knobs: KnobValues, outcome: Outcome, reward: float | None) -> None:
        """Remembered for `best` only."""
        self._measured.add(knobs, reward)

    def best(self, profile: Profile) -> dict[str, Value]:
        """The best that was measured, the default included."""
        return self._measured.best()

    def close(self) -> None:
        """Nothing to end."""


def random(task: Task) -> Points:
    """Uniform over the cube."""
    rng = np.random.default_rng(task.seed)
    return Points("random", task, rng.uniform(-1.0, 1.0, (max(1, task.trials), len(NAMES))))


def sobol(task: Task) -> Points:
    """A scrambled Sobol sequence over the cube (Owen's scrambling, as torch has it)."""
    from torch.quasirandom import SobolEngine

    engine = SobolEngine(len(NAMES), scramble=True, seed=task.seed)  # type: ignore[no-untyped-call]
    points = np.asarray(engine.draw(max(1, task.trials)).double().numpy())
    return Points("sobol", task, 2 * points - 1)
