"""What a benchmark keeps: plain data, a line of JSON each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from brokertuner_tui.knobs.catalogue import Value


@dataclass(frozen=True, slots=True)
class Cell:
    """What is compared within: one workload on one version of the broker, with one seed."""

    workload: str
    version: str
    """`2.0.21`"""
    seed: int


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial of one method."""

    number: int
    """From 1; 1 is the default's."""
    profile: str
    """Name of the profile that ran (a workload with phases has several)."""
    verdict: str
    knobs: Mapping[str, Value]
    reward: float | None
    on_time_per_s: float
    """On-time goodput, deliveries a second; 0 unless the verdict is `ok`."""
    on_time_stderr: float
    received_per_s: float
    p99_ms: float | None
    restarted: bool
    """Whether this setting took a restart of the broker."""
    at_s: float
    """Seconds of this method's own time until the trial was over, thinking included."""


@dataclass(frozen=True, slots=True)
class PhaseTotal:
    """What arrived in time while one phase of a workload lasted, restarts and settling included."""

    profile: str
    seconds: float
    on_time: int


@dataclass(frozen=True, slots=True)
class Unit:
    """All trials of one method in one cell: what is repeated as a whole if it was interrupted."""

    cell: Cell
    method: str
    started_at: float
    """Seconds since the epoch."""
    seconds: float
    best: Mapping[str, Mapping[str, Value]]
    """By the profile's name: the setting that the method would leave in force."""
    trials: tuple[Trial, ...]
    thinking_s: float
    """Of `seconds`: spent in `ask` and `tell`."""
    on_time_total: int = 0
    """Deliveries in time over the whole of `seconds`, restarts and settling included (the load counts); 0: not known."""
    phases: tuple[PhaseTotal, ...] = ()
    """Of a workload with phases: one each time that one came, in order."""
    stolen: float | None = field(default=None, compare=False)
    """The share of the machine's CPU time that its host kept for others meanwhile; None: not known."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The windows in which one method's best setting was measured, in turns with those of all others of the cell."""

    cell: Cell
    method: str
    profile: str
    on_time_per_s: tuple[float, ...]
    """One number a window; 0 where the broker did not take the setting."""
    received_per_s: tuple[float, ...]
    p99_ms: tuple[float | None, ...]
    """None where nothing came."""
    found_under: str = ""
    """Of a workload with phases: the profile for which the method had this setting, measured here as a constant under
    `profile`."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """All windows of one cell, measured in turns: what is repeated as a whole if it was interrupted, or a method was added."""

    cell: Cell
    methods: tuple[str, ...]
    """Whose best settings took part."""
    records: tuple[Confirmed, ...]
    stolen: float | None = field(default=None, compare=False)
    """As of a `Unit`."""


def to_json(record: Unit | Confirmation) -> dict[str, Any]:
    """With `kind` saying which of the two it is; all numbers are finite."""
    return {"kind": type(record).__name__.lower(), **asdict(record)}


def from_json(data: Mapping[str, Any]) -> Unit | Confirmation:
    """From what `to_json` gave.

    Raises:
        ValueError, KeyError, TypeError: it is something else.
    """
    values = {key: value for key, value in data.items() if key != "kind"}
    values["cell"] = Cell(**values["cell"])
    if data["kind"] == "unit":
        values["trials"] = tuple(Trial(**trial) for trial in values["trials"])
        values["phases"] = tuple(PhaseTotal(**phase) for phase in values.get("phases", ()))
        return Unit(**values)
    if data["kind"] == "confirmation":
        records = tuple(_confirmed(record) for record in values["records"])
        return Confirmation(values["cell"], tuple(values["methods"]), records, values.get("stolen"))
    raise ValueError(f"unknown kind {data['kind']!r}")


def _confirmed(data: Mapping[str, Any]) -> Confirmed:
    figures = ("on_time_per_s", "received_per_s", "p99_ms")
    return Confirmed(**{**data, "cell": Cell(**data["cell"]), **{name: tuple(data[name]) for name in figures}})
