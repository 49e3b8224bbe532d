"""A bed, methods and a plan for tests of the machinery around them: no broker, and a clock that jumps."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from brokertuner_tui.bench.keep import Folder
from brokertuner_tui.bench.method import Task
from brokertuner_tui.bench.plan import Plan
from brokertuner_tui.bench.run import Bench
from brokertuner_tui.env.outcome import Outcome, Verdict
from brokertuner_tui.knobs.catalogue import KnobValues, Value, Version, defaults
from brokertuner_tui.workload.profile import Phase, Profile, Workload
from tests.env.made import outcome, window

OPEN = Profile("open", publishers=2, subscribers=2, topics=2, qos=1, rate=500, slo_ms=50)
CLOSED = Profile("closed", publishers=2, subscribers=2, topics=2, qos=1, rate=0, slo_ms=50)
STEADY = Workload.steady(OPEN)
CHANGING = Workload("changing", (Phase(OPEN, 10.0), Phase(CLOSED, 10.0)))
TRIAL_S = 2.0


def plan(*workloads: Workload, **changes: Any) -> Plan:
    """Two versions, two methods, two seeds, unless said otherwise."""
    made = Plan(
        workloads={workload.name: workload for workload in workloads or (STEADY,)},
        versions={"2.0.21": "/usr/sbin/mosquitto", "2.1.2": "/opt/mosquitto"},
        methods=("default", "walk"),
        seeds=2,
        trials=5,
        rounds=2,
        windows=3,
    )
    return replace(made, **changes)


class FakeBed:
    """Delivers as many messages in time as `max_inflight_messages` says; a trial takes two seconds, during which half of that
    is delivered as well. With `set_tcp_nodelay` the other profile is the better one.

    Args:
        verdicts: what the first trials come to; `ok` after that.
    """

    def __init__(self, workload: Workload, version: str, seed: int, verdicts: Sequence[Verdict] = ()) -> None:
        self._workload, self._verdicts = workload, list(verdicts)
        self.version: Version = tuple(map(int, version.split(".")))  # type: ignore[assignment]
        self._rng = random.Random(seed)
        self.profile = workload.at(0.0)
        self.defaults: dict[str, Value] = defaults(self.version)
        self._now, self._total, self.closed = 0.0, 0, 0
        self.tried: list[KnobValues] = []

    def follow_schedule(self) -> bool:
        before, self.profile = self.profile, self._workload.at(self._now)
        return before != self.profile

    def trial(self, knobs: KnobValues, *, seconds: float | None = None) -> Outcome:
        self.tried.append(knobs)
        self._now += TRIAL_S
        verdict = self._verdicts.pop(0) if self._verdicts else Verdict.OK
        if verdict is not Verdict.OK:
            return replace(outcome(None, self.profile, self.version, knobs=knobs), verdict=verdict)
        worth = int(knobs["max_inflight_messages"]) * (2 if knobs["set_tcp_nodelay"] == (self.profile.rate > 0) else 1)
        self._total += worth
        noisy = max(0, worth + self._rng.randint(-1, 1))
        return outcome(window(on_time=noisy, late=1), self.profile, self.version, how="restart", knobs=knobs)

    def now(self) -> float:
        return self._now

    def thought(self, seconds: float) -> None:
        pass

    def on_time_total(self) -> int:
        return self._total

    def close(self) -> None:
        self.closed += 1


class Walk:
    """More messages in flight each time; `broken` raises what a library might."""

    def __init__(self, name: str, task: Task) -> None:
        self.name, self._task = name, task
        self._next = dict(task.defaults)
        self.told: list[tuple[str, float | None]] = []

    def ask(self, profile: Profile) -> dict[str, Value]:
        if self.name == "broken":
            raise RuntimeError("the library has a bug")
        if self.name != "default":
            self._next = {**self._next, "max_inflight_messages": int(self._next["max_inflight_messages"]) + 10}
        return dict(self._next)

    def tell(self, knobs: KnobValues, outcome: Outcome, reward: float | None) -> None:
        self.told.append((outcome.profile.name, reward))

    def best(self, profile: Profile) -> dict[str, Value]:
        return {**self._next, "set_tcp_nodelay": self.name != "default" and profile.rate > 0}

    def close(self) -> None:
        pass


def warm_up(profile: Profile, version: Version, own: KnobValues, seed: int) -> Sequence[KnobValues]:
    return [dict(own)]


def bench(folder: Folder, stop: Callable[[], bool] = lambda: False, **changes: Any) -> Bench:
    """On fake beds, with these methods."""
    return Bench(folder, stop=stop, **{"open_bed": FakeBed, "make": Walk, "warm_up": warm_up, **changes})


def run(path: Path, asked: Plan | None, stop: Callable[[], bool] = lambda: False, **changes: Any) -> Bench:
    """A run of the folder `path` to its end."""
    with Folder(path, asked) as folder:
        made = bench(folder, stop, **changes)
        made.run()
    return made
