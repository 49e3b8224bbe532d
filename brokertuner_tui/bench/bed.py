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
