"""What a front end can ask of a session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from brokertuner_tui.broker.interface import Applied
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import Value

Reply = Callable[[Applied | TunerError], None]
"""Told what came of a command, by the session's thread, briefly; never when the session ends first."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Change nothing on the broker any more; telemetry goes on."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on tuning."""


@dataclass(frozen=True, slots=True)
class Step:
    """Run one trial, then pause (again)."""


@dataclass(frozen=True, slots=True)
class Pin:
    """The agent shall leave this knob at `value` (None: what it is now)."""

    knob: str
    value: Value | None = None


@dataclass(frozen=True, slots=True)
class Unpin:
    """The agent may move this knob again."""

    knob: str


@dataclass(frozen=True, slots=True)
class SetKnob:
    """Bring one value into force now, by hand; it is measured in the next trial and not pinned."""

    knob: str
    value: Value


@dataclass(frozen=True, slots=True)
class SetKnobs:
    """Bring several values into force now, in one change; as `SetKnob` otherwise."""

    values: Mapping[str, Value]
    reply: Reply | None = None


@dataclass(frozen=True, slots=True)
class RestartBroker:
    """Restart the broker with the knobs in force."""

    reply: Reply | None = None


@dataclass(frozen=True, slots=True)
class RestartLoad:
    """End the load's process and start it again."""


@dataclass(frozen=True, slots=True)
class ApplyBest:
    """Bring the best knobs so far into force, and pause."""


@dataclass(frozen=True, slots=True)
class ApplyDefaults:
    """Bring the broker's own defaults into force, and pause."""


@dataclass(frozen=True, slots=True)
class ApplyProposal:
    """Bring what was proposed into force and measure it (mode `recommend`)."""

    reply: Reply | None = None


@dataclass(frozen=True, slots=True)
class SkipProposal:
    """Not this one: propose another (mode `recommend`)."""


@dataclass(frozen=True, slots=True)
class Reconcile:
    """The broker was changed behind our back: bring ours into force again, or go on with what is there now."""

    keep: Literal["ours", "theirs"]
    reply: Reply | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """End the session, leaving the broker with the best confirmed knobs, its defaults, or what is in force.

    `leave` None: what the config says. `state` is what the run's record will say.
    """

    leave: Literal["best", "default", "current"] | None = None
    state: Literal["completed", "cancelled", "failed"] = "cancelled"


Command = (
    Pause
    | Resume
    | Step
    | Pin
    | Unpin
    | SetKnob
    | SetKnobs
    | RestartBroker
    | RestartLoad
    | ApplyBest
    | ApplyDefaults
    | ApplyProposal
    | SkipProposal
    | Reconcile
    | Stop
)
