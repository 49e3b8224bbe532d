"""A bed without a broker: trials are drawn from the model of the recorded ones, and time passes on a clock of its own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from brokertuner_tui.bench.surrogate.dataset import load
from brokertuner_tui.bench.surrogate.model import check_recorded, check_version, failure_probability, model_of
from brokertuner_tui.bench.surrogate.window import make_window
from brokertuner_tui.broker.interface import Applied
from brokertuner_tui.config.settings import Settings
from brokertuner_tui.env.outcome import Outcome, Timings, Usage, Verdict
from brokertuner_tui.knobs.catalogue import KnobValues, Value, Version, changed, defaults, needs_restart
from brokertuner_tui.knobs.validation import check_all
from brokertuner_tui.workload.profile import Profile, Workload

_RECORD_S = 0.02
"""What a trial takes beside its phases: deciding, storing."""
_SURELY = 0.05
"""A smaller probability of failing is an artefact of the model."""


def open_bed(workload: Workload, version: Version, seed: int) -> SurrogateBed:
    """A bed (`bench/bed.py`) for recorded workloads, one after the other if it has phases.

    Raises:
        UsageError: one of them, or the version, was never recorded; or scikit-learn is not installed.
    """
    check_version(version)
    for phase in workload.phases:
        check_recorded(phase.profile)
    return SurrogateBed(workload, version, seed)


class SurrogateBed:
    """See `open_bed`. The same seed and the same trials give the same outcomes."""

    def __init__(self, workload: Workload, version: Version, seed: int) -> None:
        self._workload, self._version = workload, version
        self._rng = np.random.default_rng(seed)
        self._profile = workload.at(0.0)
        self._in_force: dict[str, Value] = defaults(version)
        self._pid = 1000
        self._tuning = Settings().tuning
        self.clock_s = 0.0
        """Seconds that its trials would have taken so far; a caller may add what it spent thinking."""
        self.on_time_total = 0
        """Deliveries in time until now, while queues settled too; none while the broker was restarted."""
        self._on_time_per_s = 0.0
        """Of what is in force."""

    @property
    def version(self) -> Version:
        """The broker's."""
        return self._version

    @property
    def profile(self) -> Profile:
        """The load that runs now."""
        return self._profile

    @property
    def defaults(self) -> dict[str, Value]:
        """The broker's own knobs."""
        return defaults(self._version)

    def follow_schedule(self) -> bool:
        """Goes over to the profile that is due; whether there was a change."""
        due = self._workload.at(self.clock_s)
        changes, self._profile = due != self._profile, due
        return changes

    def trial(self, knobs: KnobValues, *, seconds: float | None = None) -> Outcome:
        """As the broker would: a verdict `failed` leaves the knobs before it in force.

        Raises:
            UsageError: a knob is missing, or its value is not legal.
        """
        wanted = check_all(knobs)
        seconds = self._tuning.step_interval_sec if seconds is None else seconds
        probability = failure_probability(self._version, wanted)
        if probability > _SURELY and self._rng.random() < probability:
            return self._failed(wanted)
        applied, timings = self._applied(wanted, seconds)
        model = model_of(self._profile.name)
        seen = model.sample(self._version, wanted, seconds, self._rng)
        window = make_window(self._profile, seconds, seen, self._rng)
        usage = Usage(seen.cpu, seen.rss, seen.ctx)
        self.clock_s += timings.apply_s + timings.reconnect_s + timings.settle_s + timings.measure_s + timings.record_s
        self.on_time_total += window.on_time + round(window.on_time_per_s * timings.settle_s)
        self._on_time_per_s = window.on_time_per_s
        return Outcome(wanted, self._profile, self._version, Verdict.OK, "", applied, window, usage, None, timings)

    def wait(self, seconds: float) -> None:
        """Somebody thinks for so long, and what is in force goes on delivering."""
        self.clock_s += seconds
        self.on_time_total += round(seconds * self._on_time_per_s)

    def close(self) -> None:
        """There is nothing to end."""

    def _failed(self, wanted: dict[str, Value]) -> Outcome:
        took_s = self._pick(_times("failed", self._version))
        self.clock_s += took_s + _RECORD_S
        reason = f"the broker did not take the change: memory_limit {wanted['memory_limit']} may be less than it needs"
        timings = Timings(apply_s=took_s, record_s=_RECORD_S)
        return Outcome(wanted, self._profile, self._version, Verdict.FAILED, reason, None, None, Usage(), None, timings)

    def _applied(self, wanted: dict[str, Value], seconds: float) -> tuple[Applied, Timings]:
        differ = changed(self._in_force, wanted)
        restart = needs_restart(self._in_force, wanted)
        apply_s = self._pick(_times("restart" if restart else "reload", self._version)) if differ else 0.0
        reconnect_s = self._pick(_times("reconnect", self._version)) if restart else 0.0
        old_pid = self._pid
        self._pid += restart
        self._in_force = wanted
        applied = Applied(
            how="restart" if restart else "reload" if differ else "none",
            knobs=wanted,
            changed=differ,
            pid=self._pid,
            old_pid=old_pid,
            write_s=0.0,
            stop_s=0.0,
            start_s=apply_s,
            verify_s=0.0,
            total_s=apply_s,
            checks=(),
        )
        extra_s = 2 * self._profile.client_rtt_ms / 1000 + self._profile.slo_ms / 1000  # as in `env/trial.py`
        settle_s = self._tuning.settle_sec + min(extra_s, 1.0)
        timings = Timings(apply_s=apply_s, reconnect_s=reconnect_s, settle_s=settle_s, measure_s=seconds, record_s=_RECORD_S)
        return applied, timings

    def _pick(self, times: Sequence[float]) -> float:
        return float(times[int(self._rng.integers(len(times)))])


@cache
def _times(what: str, version: Version) -> tuple[float, ...]:
    """Recorded seconds of a restart, a reload, the clients' return, or a failed trial."""
    of_version = [trial for trial in load() if trial.version == version]
    if what == "failed":
        return tuple(trial.took_s for trial in of_version if trial.verdict == "failed") or (0.1,)
    if what == "reconnect":
        return tuple(trial.reconnect_s for trial in of_version if trial.how == "restart") or (0.0,)
    return tuple(trial.apply_s for trial in of_version if trial.how == what) or (0.05,)
