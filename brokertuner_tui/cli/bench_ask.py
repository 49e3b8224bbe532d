"""From what was typed after `bench` to a plan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from brokertuner_tui.bench.methods import registry
from brokertuner_tui.bench.plan import SUITES, Plan, machine_told, told_version
from brokertuner_tui.cli import settings
from brokertuner_tui.config.workloads import get_workload
from brokertuner_tui.errors import UsageError
from brokertuner_tui.workload import live
from brokertuner_tui.workload.profile import Workload

_T = TypeVar("_T")
_MOST = {"--trials": 10_000, "--seeds": 1000, "--rounds": 1000, "--confirm-windows": 1000}


@dataclass(frozen=True, slots=True)
class Asked:
    """What was typed; None and empty: not typed."""

    workloads: tuple[str, ...] = ()
    suite: str | None = None
    methods: str | None = None
    trials: int | None = None
    seeds: int | None = None
    mosquitto: tuple[Path, ...] = ()
    rounds: int | None = None
    step_interval_s: float | None = None
    windows: int | None = None
    surrogate: bool = False
    workload_file: Path | None = None
    config: Path | None = None

    def plan(self, kept: Plan | None) -> Plan:
        """What is to be compared. What was not typed is as it was (`kept`, of a folder that has a plan), or at its default.

        Raises:
            UsageError: something is not known, or not allowed. Nothing was begun.
            TunerError: a program is not Mosquitto, or there is none.
        """
        for flag, number in (
            ("--trials", self.trials),
            ("--seeds", self.seeds),
            ("--rounds", self.rounds),
            ("--confirm-windows", self.windows),
        ):
            if number is not None and not 1 <= number <= _MOST[flag]:
                raise UsageError(f"{flag} {number}: must be from 1 to {_MOST[flag]}")
        if self.step_interval_s is not None and not 0 < self.step_interval_s <= 3600:
            raise UsageError(f"--step-interval {self.step_interval_s:g}: must be greater than 0 and at most 3600 seconds")
        surrogate = self.surrogate or (kept is not None and kept.surrogate)
        return Plan(
            workloads=self._workloads(kept),
            methods=self._methods(kept),
            versions=self._versions(kept, surrogate),  # the last, since it looks around on this machine
            seeds=_first(self.seeds, kept.seeds if kept else None, 1),
            trials=_first(self.trials, kept.trials if kept else None, 40),
            rounds=_first(self.rounds, kept.rounds if kept else None, 2),
            windows=_first(self.windows, kept.windows if kept else None, 6),
            step_interval_s=_first(self.step_interval_s, kept.step_interval_s if kept else None, 1.0),
            surrogate=surrogate,
            machine=kept.machine if kept is not None else "" if surrogate else machine_told(),
        )

    def _workloads(self, kept: Plan | None) -> dict[str, Workload]:
        if self.suite is not None and self.suite not in SUITES:
            raise UsageError(f"--suite {self.suite}: must be {' or '.join(SUITES)}")
        names = [*(SUITES[self.suite] if self.suite is not None else ()), *self.workloads]
        if not names:
            if kept is not None:
                return dict(kept.workloads)
            names = [*SUITES["static"]]
        loaded = settings.load(config=self.config, workload_file=self.workload_file)
        if live.NAME in names:
            raise UsageError(f"--workload {live.NAME}: traffic that is really there cannot be made again for every method")
        return {name: get_workload(loaded, name) for name in names}

    def _methods(self, kept: Plan | None) -> tuple[str, ...]:
        if self.methods is None:
            return kept.methods if kept is not None else registry.names()
        if self.methods == "all":
            return registry.names()
        names = tuple(dict.fromkeys(name.strip() for name in self.methods.split(",") if name.strip()))
        if not names:
            raise UsageError(f"--methods {self.methods!r}: must be all, or some of {', '.join(registry.names())}")
        if unknown := [name for name in names if name not in registry.names()]:
            raise UsageError(f"--methods: unknown method {unknown[0]!r}: known are {', '.join(registry.names())}")
        return names

    def _versions(self, kept: Plan | None, surrogate: bool) -> dict[str, str]:
        if surrogate:
            if self.mosquitto:
                raise UsageError("--mosquitto is for the real broker; --surrogate has the versions that were recorded")
            from brokertuner_tui.bench.surrogate import model

            return {told_version(version): "" for version in model.versions()}
        if not self.mosquitto and kept is not None:
            return dict(kept.versions)
        from brokertuner_tui.broker.find import find_mosquitto, probe_version

        found: dict[str, str] = {}
        for path in self.mosquitto or (None,):
            program = find_mosquitto(path)
            version = told_version(probe_version(program))
            if version in found and found[version] != str(program):
                raise UsageError(f"--mosquitto {program}: is Mosquitto {version}, as is {found[version]}")
            found[version] = str(program)
        return found


def _first(*values: _T | None) -> _T:
    return next(value for value in values if value is not None)
