"""The record of an ablation: the best setting, and the best with one knob set back to its default, measured in turns.

What each knob of a tuned configuration is worth cannot be read off the trials of an agent that soon stays with the best; it has
to be measured (ablation analysis: Fawcett and Hoos 2016, J. Heuristics 22; here one knob at a time, from the best). `weighing`
says what came of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from brokertuner_tui.knobs.catalogue import KnobValues
from brokertuner_tui.workload.window import Window

BEST, SIMPLEST = "best", "simplest"
"""What is measured beside settings that are named by the knob that is set back in them."""


@dataclass(frozen=True, slots=True)
class AblationWindow:
    """One window, and what was in force in it."""

    turn: int
    """Those of one turn were measured one after the other."""
    of: str
    """`best`, `simplest`, or the name of the knob that was set back."""
    window: Window


@dataclass(frozen=True, slots=True)
class Ablation:
    """One ablation, whole."""

    at: float
    """Seconds since the epoch."""
    profile: str
    """The name of the load's profile."""
    best_trial: int
    best_knobs: KnobValues
    default: KnobValues
    windows: tuple[AblationWindow, ...]
    """In the order of time."""
    left_out: Mapping[str, str]
    """Knobs that differ from the default and were not measured to the end, and why."""
    broke: tuple[str, ...] = ()
    """Knobs among them that break the SLO when they are set back."""
    dropped: tuple[str, ...] = ()
    """Knobs that are at their defaults in the setting called `simplest`; none: there is no simpler one."""
