"""What a benchmark was asked for, and in which order that is done."""

from __future__ import annotations

import hashlib
import json
import random
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from brokertuner_tui.bench.results import Cell
from brokertuner_tui.knobs.catalogue import Version, parse_version
from brokertuner_tui.workload.profile import Phase, Profile, Workload

DEFAULT = "default"
"""The method that leaves everything as it is: always confirmed, too."""
OURS = "slo"
"""The method that the claims are about; all others but `default` are its rivals."""
CONSTANTS = (DEFAULT, "forum")
"""Methods that try one setting and nothing else."""
SUITES: Mapping[str, tuple[str, ...]] = {
    "static": ("telemetry", "pipeline", "wan", "fanout", "bulk", "burst", "durable", "qos2"),
    "day": ("day",),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is compared, and how it is measured.

    `workloads`, `versions`, `methods` and `seeds` may grow from one call to the next, since a cell is compared within itself:
    its methods are confirmed anew, all of them in turns, when one is added. Everything else may not: a method knows how many
    trials it has, and windows of another length say something else.
    """

    workloads: Mapping[str, Workload]
    versions: Mapping[str, str]
    """`2.0.21` to the program's path; empty on the surrogate."""
    methods: tuple[str, ...]
    seeds: int
    trials: int = 40
    """Of one method in one cell, the default's included; a workload with phases lasts for `rounds` instead."""
    rounds: int = 2
    """How often the phases of a workload come."""
    windows: int = 6
    """In which each method's best setting is confirmed."""
    step_interval_s: float = 1.0
    """Length of a window."""
    surrogate: bool = False
    machine: str = ""
    """Where it is measured; empty on the surrogate."""

    def cells(self) -> list[Cell]:
        """All of them, shuffled (always in the same way), so that a drift of the machine favours no workload."""
        made = [
            Cell(workload, version, seed)
            for workload in sorted(self.workloads)
            for version in sorted(self.versions, key=version_of)
            for seed in range(1, self.seeds + 1)
        ]
        random.Random(self.seeds).shuffle(made)
        return made

    def order(self, cell: Cell) -> list[str]:
        """The methods of `cell`, shuffled; of a workload with phases the default comes first: it is everybody's reference."""
        methods = sorted(self.methods)
        random.Random(seed_of(cell)).shuffle(methods)
        if has_phases(self.workloads[cell.workload]):
            methods = [DEFAULT, *(method for method in methods if method != DEFAULT)]
        return methods

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits: the same for two benchmarks that were asked for the same on machines of the same kind."""
        asked = {**self.as_dict(), "versions": sorted(self.versions)}
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]

    def grown(self, asked: Plan) -> Plan:
        """This and what `asked` adds to it.

        Raises:
            ValueError: what is there would not be comparable with what was asked for; says in what they differ.
        """
        for name in ("trials", "rounds", "windows", "step_interval_s", "surrogate", "machine"):
            mine, its = getattr(self, name), getattr(asked, name)
            if mine != its:
                raise ValueError(f"{_WORDS[name]} {_told(mine)} there, not {_told(its)}")
        for name, workload in asked.workloads.items():
            if name in self.workloads and self.workloads[name] != workload:
                raise ValueError(f"the workload {name} is another one there")
        return replace(
            asked,
            workloads={**self.workloads, **asked.workloads},
            versions={**self.versions, **asked.versions},
            methods=(*self.methods, *(method for method in asked.methods if method not in self.methods)),
            seeds=max(self.seeds, asked.seeds),
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        plain = {name: getattr(self, name) for name in (*_WORDS, "seeds")}
        workloads = {name: _workload_to(workload) for name, workload in self.workloads.items()}
        return {**plain, "workloads": workloads, "versions": dict(self.versions), "methods": list(self.methods)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        """From what `as_dict` gave.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: it is something else.
        """
        workloads = {name: _workload_from(name, phases) for name, phases in data["workloads"].items()}
        versions = {str(version): str(path) for version, path in data["versions"].items()}
        return cls(**{**data, "workloads": workloads, "versions": versions, "methods": tuple(data["methods"])})


_WORDS = {
    "trials": "--trials is",
    "rounds": "--rounds is",
    "windows": "the number of confirming windows is",
    "step_interval_s": "--step-interval is",
    "surrogate": "--surrogate is",
    "machine": "the machine is",
}
"""What must not change, and how that is said."""


def has_phases(workload: Workload) -> bool:
    """Whether its load changes."""
    return len(workload.phases) > 1


def profiles_of(workload: Workload) -> list[Profile]:
    """The different ones, in the order in which they come first."""
    return list({phase.profile.name: phase.profile for phase in workload.phases}.values())


def version_of(text: str) -> Version:
    """`2.0.21` as numbers, for sorting too."""
    return parse_version(text)


def told_version(version: Version) -> str:
    """`2.0.21`"""
    return ".".join(map(str, version))


def seed_of(*what: object) -> int:
    """A seed from a cell, and whatever tells one use from another: below 2^31, the same in every process."""
    return zlib.crc32(repr(what).encode()) & 0x7FFF_FFFF


def machine_told() -> str:
    """What the figures were measured on, as far as they depend on it: `2 cores of AMD EPYC 7B13`."""
    import os
    import platform
    from pathlib import Path

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    model = platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    except OSError:
        pass
    return f"{cores} core{'s' * (cores != 1)} of {model}"


def _told(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _workload_to(workload: Workload) -> list[dict[str, Any]]:
    if not has_phases(workload):
        return [{"profile": workload.phases[0].profile.as_dict(), "seconds": None}]
    return [{"profile": phase.profile.as_dict(), "seconds": phase.seconds} for phase in workload.phases]


def _workload_from(name: str, phases: Sequence[Mapping[str, Any]]) -> Workload:
    made = (
        Phase(Profile.from_dict(phase["profile"]), float("inf") if phase["seconds"] is None else float(phase["seconds"]))
        for phase in phases
    )
    return Workload(name, tuple(made))
