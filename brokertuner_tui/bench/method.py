"""What is compared: something that proposes a setting, is told what it was worth, and names the best one in the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from brokertuner_tui.env.outcome import Outcome
from brokertuner_tui.knobs.catalogue import KnobValues, Value, Version
from brokertuner_tui.workload.profile import Profile


@dataclass(frozen=True, slots=True)
class Task:
    """What a method is made for: one seed of one cell of the benchmark."""

    profile: Profile
    """The load at the start."""
    version: Version
    defaults: KnobValues
    trials: int
    """How many there will be, the default's and the warm-up's included."""
    seed: int
    warm_up: Sequence[KnobValues]
    """Settings that every method that learns begins with, right after the default: the same for all of them."""


class Method(Protocol):
    """One way to tune. Made anew for each seed of each cell; the same task and the same answers give the same questions.

    Trial 1 is always the default, measured by the runner: `tell` says what it was worth before the first `ask`.
    """

    name: str

    def ask(self, profile: Profile) -> dict[str, Value]:
        """The setting of the next trial, all eleven knobs.

        Args:
            profile: the load that runs. A method that is not made to see the load must not look at it.
        """

    def tell(self, knobs: KnobValues, outcome: Outcome, reward: float | None) -> None:
        """What came of it. `reward` (the `slo` preset's, the same for all methods) is None unless the verdict is `ok`."""

    def best(self, profile: Profile) -> dict[str, Value]:
        """The setting that it would leave in force under `profile`."""

    def close(self) -> None:
        """Ends threads and removes files. May be called again."""
