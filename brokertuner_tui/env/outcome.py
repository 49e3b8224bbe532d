"""What one trial did, from the wish to the measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from brokertuner_tui.broker.interface import Applied
from brokertuner_tui.knobs.catalogue import Value, Version
from brokertuner_tui.telemetry.sample import Sample
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.window import Window


class Verdict(StrEnum):
    """How a trial ended. Only `ok` teaches."""

    OK = "ok"
    FAILED = "failed"
    """The broker did not take the knobs, or died of them; what was in force before was put back."""
    INCONCLUSIVE = "inconclusive"
    """Nothing can be said: the load was down, the operator interfered, the profile changed."""


class PhaseName(StrEnum):
    """What a trial is doing."""

    PROPOSING = "proposing"
    APPLYING = "applying"
    VERIFYING = "verifying"
    SETTLING = "settling"
    MEASURING = "measuring"
    LEARNING = "learning"
    RECORDING = "recording"


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds that each phase of a trial took, in order."""

    propose_s: float = 0.0
    apply_s: float = 0.0
    """Decision to verified."""
    reconnect_s: float = 0.0
    """Until every client of the load was back."""
    settle_s: float = 0.0
    measure_s: float = 0.0
    learn_s: float = 0.0
    record_s: float = 0.0
    planned_s: float = 0.0
    """What the window was to last: it may be decided earlier or later (`env/deciding.py`). Part of no sum."""

    @property
    def overhead_s(self) -> float:
        """Everything but settling and measuring."""
        return self.propose_s + self.apply_s + self.reconnect_s + self.learn_s + self.record_s


@dataclass(frozen=True, slots=True)
class Usage:
    """What the broker used in a window."""

    cpu_percent: float = 0.0
    """Of one core."""
    rss_bytes: int = 0
    ctx_switches_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """One trial on the real thing. `window` is None unless the verdict is `ok`."""

    knobs: Mapping[str, Value]
    """In force while it was measured (what was wanted, if the broker never took it)."""
    profile: Profile
    version: Version
    verdict: Verdict
    reason: str
    """One sentence when the verdict is not `ok`, or the window was ended before its time."""
    applied: Applied | None
    window: Window | None
    usage: Usage
    sample: Sample | None
    """The last reading of the telemetry in the window."""
    timings: Timings
    cut_short: bool = False
    """Live traffic suffered, and the window was ended before its time: what was in force before is to be put back."""
