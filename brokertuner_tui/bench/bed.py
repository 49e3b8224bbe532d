"""What methods are tried on: the real broker under a real load (`env/testbed.py`), or a model of both (`surrogate/`)."""

from __future__ import annotations

from typing import Protocol

from brokertuner_tui.env.outcome import Outcome
from brokertuner_tui.knobs.catalogue import KnobValues, Value, Version
from brokertuner_tui.workload.profile import Profile


class Bed(Protocol):
    """One broker under one workload, open and running. `Testbed` is one."""

    @property
    def version(self) -> Version:
        """The broker's."""

    @property
    def profile(self) -> Profile:
        """The load that runs now."""

    @property
    def defaults(self) -> dict[str, Value]:
        """The broker's own knobs."""

    def follow_schedule(self) -> bool:
        """Goes over to the profile that is due; whether there was a change."""

    def trial(self, knobs: KnobValues, *, seconds: float | None = None) -> Outcome:
        """Apply, settle, measure. A fault is a verdict, not an exception."""

    def close(self) -> None:
        """Ends everything. May be called again."""


class TimedBed(Bed, Protocol):
    """One that also says what time it is for whoever tunes on it. `beds.py` has the two that there are."""

    def now(self) -> float:
        """Seconds on the clock that the workload's phases follow: the wall's, or the model's."""

    def thought(self, seconds: float) -> None:
        """A method has been thinking for so long: on the wall's clock that has passed by itself."""

    def on_time_total(self) -> int:
        """Deliveries in time since the start, restarts and settling included; exact right after a change of phase."""
