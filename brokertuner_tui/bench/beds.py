"""The two beds that units run on: a Mosquitto of our own under a real load, and the surrogate of both."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from brokertuner_tui.bench.bed import TimedBed
from brokertuner_tui.bench.plan import Plan, version_of
from brokertuner_tui.broker.interface import ApplyFailed
from brokertuner_tui.config.settings import BrokerSettings, Settings, TuningSettings
from brokertuner_tui.env.outcome import Outcome, Verdict
from brokertuner_tui.env.testbed import Testbed
from brokertuner_tui.env.trial import never
from brokertuner_tui.errors import UsageError
from brokertuner_tui.knobs.catalogue import KnobValues, Value, Version
from brokertuner_tui.workload.profile import Profile, Workload

if TYPE_CHECKING:
    from brokertuner_tui.bench.surrogate.bed import SurrogateBed

OpenBed = Callable[[Workload, str, int], TimedBed]
"""From a workload, a version (`2.0.21`) and a seed to an open bed."""


def opener(plan: Plan, interrupted: Callable[[], bool] = never) -> OpenBed:
    """What opens the beds of `plan`.

    Args:
        interrupted: asked every few milliseconds of a real trial, which ends when it is so.
    """

    def real(workload: Workload, version: str, seed: int) -> TimedBed:
        return RealBed(Path(plan.versions[version]), workload, plan.step_interval_s, interrupted)

    def simulated(workload: Workload, version: str, seed: int) -> TimedBed:
        from brokertuner_tui.bench.surrogate.bed import open_bed

        return Simulated(open_bed(workload, version_of(version), seed), plan.step_interval_s)

    return simulated if plan.surrogate else real


class RealBed:
    """A `Testbed` that mends itself: after a trial that was not `ok` the last good knobs are in force, and broker and load run.

    All that is configured but the program and the interval is at its default: results shall not depend on who measures. Broker
    and load live in a temporary folder.

    Raises:
        TunerError: broker or load cannot be brought up.
    """

    def __init__(
        self, program: Path, workload: Workload, step_interval_s: float, interrupted: Callable[[], bool] = never
    ) -> None:
        settings = Settings(broker=BrokerSettings(mosquitto=program), tuning=TuningSettings(step_interval_sec=step_interval_s))
        self._interrupted = interrupted
        self._folder = tempfile.TemporaryDirectory(prefix="brokertuner-bench-")
        self._testbed = Testbed(settings, workload, Path(self._folder.name))
        self._counted, self._before, self._pid = 0, 0, 0
        try:
            self._testbed.open()
            self._testbed.start_load()
            self._testbed.load.wait_ready(settings.load.ready_sec, interrupted)
        except BaseException:
            self.close()
            raise
        self._good: KnobValues = self._testbed.defaults

    @property
    def version(self) -> Version:
        """See `Bed`."""
        return self._testbed.version

    @property
    def profile(self) -> Profile:
        """See `Bed`."""
        return self._testbed.profile

    @property
    def defaults(self) -> dict[str, Value]:
        """See `Bed`."""
        return self._testbed.defaults

    def follow_schedule(self) -> bool:
        """See `Bed`.

        Raises:
            LoadError: the load did not take it.
        """
        return self._testbed.follow_schedule()

    def trial(self, knobs: KnobValues, *, seconds: float | None = None) -> Outcome:
        """See `Bed`.

        Raises:
            TunerError: broker or load cannot be brought back, or a value is not legal.
        """
        outcome = self._testbed.trial(knobs, seconds=seconds, interrupted=self._interrupted)
        if outcome.verdict is Verdict.OK:
            self._good = dict(outcome.knobs)
            self._testbed.broker.confirm()
        elif not self._interrupted():
            self._mend()
        return outcome

    def now(self) -> float:
        """See `TimedBed`."""
        return time.monotonic()

    def thought(self, seconds: float) -> None:
        """See `TimedBed`."""

    def on_time_total(self) -> int:
        """See `TimedBed`."""
        status = self._testbed.load.status()
        if status.pid != self._pid:  # a new process counts from 0
            self._before, self._counted, self._pid = self._before + self._counted, 0, status.pid or 0
        self._counted = max(self._counted, status.on_time_total)
        return self._before + self._counted

    def close(self) -> None:
        """See `Bed`; removes the folder, too."""
        self._testbed.close()
        self._folder.cleanup()

    def _mend(self) -> None:
        testbed = self._testbed
        if not testbed.broker.alive():
            testbed.restart_broker()
        elif testbed.hung():
            testbed.mend()
        try:
            testbed.apply(self._good)
        except ApplyFailed:  # a memory_limit that was just enough is less than what the broker holds by now
            self._good = testbed.defaults
            testbed.apply(self._good)
        if testbed.load.status().state in ("dead", "stopped"):
            self.on_time_total()
            testbed.load.restart()


class Simulated:
    """The surrogate, on whose clock thinking takes as long as it really does."""

    def __init__(self, bed: SurrogateBed, step_interval_s: float) -> None:
        self._bed, self._seconds = bed, step_interval_s

    @property
    def version(self) -> Version:
        """See `Bed`."""
        return self._bed.version

    @property
    def profile(self) -> Profile:
        """See `Bed`."""
        return self._bed.profile

    @property
    def defaults(self) -> dict[str, Value]:
        """See `Bed`."""
        return self._bed.defaults

    def follow_schedule(self) -> bool:
        """See `Bed`."""
        return self._bed.follow_schedule()

    def trial(self, knobs: KnobValues, *, seconds: float | None = None) -> Outcome:
        """See `Bed`."""
        return self._bed.trial(knobs, seconds=self._seconds if seconds is None else seconds)

    def now(self) -> float:
        """See `TimedBed`."""
        return self._bed.clock_s

    def thought(self, seconds: float) -> None:
        """See `TimedBed`."""
        self._bed.wait(seconds)

    def on_time_total(self) -> int:
        """See `TimedBed`."""
        return self._bed.on_time_total

    def close(self) -> None:
        """See `Bed`."""
        self._bed.close()


def check_can_run(plan: Plan) -> None:
    """Whether all beds of `plan` can be opened, as far as that can be told before.

    Raises:
        UsageError: a program is not the Mosquitto that it was, or the surrogate does not know a version or workload.
        TunerError: a program is not Mosquitto.
    """
    from brokertuner_tui.broker.find import find_mosquitto, probe_version

    if plan.surrogate:
        from brokertuner_tui.bench.surrogate.bed import open_bed

        for workload in plan.workloads.values():
            for version in plan.versions:
                open_bed(workload, version_of(version), 0).close()
        return
    for version, path in plan.versions.items():
        found = probe_version(find_mosquitto(Path(path)))
        if found != version_of(version):
            now = ".".join(map(str, found))
            raise UsageError(f"mosquitto = {path}: is Mosquitto {now} by now, and was {version} when the benchmark began")
