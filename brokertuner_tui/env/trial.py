"""How one trial goes: apply, wait for the load, settle, measure; and whatever ends it before."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from brokertuner_tui.broker.interface import Applied, ApplyFailed, BrokerUnavailable
from brokertuner_tui.config.settings import Settings
from brokertuner_tui.connection.tracker import Linked
from brokertuner_tui.env.deciding import CLEARLY_WORSE, Best, is_clearly_bad, is_worth_more, whole_s
from brokertuner_tui.env.outcome import Outcome, PhaseName, Timings, Usage, Verdict
from brokertuner_tui.env.usage import UsageGauge, open_gauge
from brokertuner_tui.knobs.catalogue import KnobValues
from brokertuner_tui.telemetry.sample import Sample
from brokertuner_tui.workload.live.figures import FEWEST_JUDGED
from brokertuner_tui.workload.load import LoadError, LoadStatus, Watched
from brokertuner_tui.workload.window import Window

if TYPE_CHECKING:
    from brokertuner_tui.env.testbed import Testbed

OnPhase = Callable[[PhaseName, float], None]
Early = Callable[[Sample | None, float], str]
"""From the last reading of the telemetry and the share of the window that is over to why that need not be finished."""
_POLL_S = 0.02
_LOOK_S = 0.25
_DECIDE_S = 0.05
_BY_OPERATOR = "interrupted by the operator"
_HEARTBEAT_S = 1.0
_MAX_EXTRA_SETTLE_S = 1.0
_PROBE_PATIENCE_S = 30.0
_REPORTS_S = 1.0
"""The load reports four times a second."""


def quiet(_phase: PhaseName, _seconds: float) -> None:
    """Nobody wants to know."""


def never() -> bool:
    """Nobody interrupts."""
    return False


class _Interrupted(Exception):
    """The trial has to end now; carries its verdict and the reason."""

    def __init__(self, verdict: Verdict, reason: str) -> None:
        self.verdict, self.reason = verdict, reason


@dataclass(frozen=True, slots=True)
class _Cut:
    """Why a window was ended before its time."""

    reason: str
    suffering: bool = True
    """What was in force before is to be put back (see `Outcome.cut_short`)."""


class Trial:
    """One trial on a testbed that is open; `run` is called once.

    Args:
        on_phase, interrupted, floor, early, best: see `Testbed.trial`.
    """

    def __init__(
        self,
        testbed: Testbed,
        settings: Settings,
        *,
        on_phase: OnPhase,
        interrupted: Callable[[], bool],
        floor: float | None,
        early: Early | None,
        best: Best | None,
    ) -> None:
        self._testbed, self._broker, self._load = testbed, testbed.broker, testbed.load
        self._settings = settings
        self._on_phase, self._interrupted = on_phase, interrupted
        self._floor, self._early, self._best = floor, early, best
        self._pid = 0
        """The broker's process; 0: not known."""
        self._load_looked_at = 0.0

    def run(self, knobs: KnobValues, seconds: float | None) -> Outcome:
        """A fault of the broker or the load is a verdict, not an exception."""
        profile, version = self._testbed.profile, self._testbed.version
        seconds = whole_s(self._usual_seconds() if seconds is None else seconds, profile)
        outcome = Outcome(knobs, profile, version, Verdict.INCONCLUSIVE, "", None, None, Usage(), None, Timings())
        try:
            self._on_phase(PhaseName.APPLYING, 0.0)
            started = time.perf_counter()
            applied = self._apply(knobs)
            self._pid = applied.pid
            outcome = replace(outcome, applied=applied)
            outcome = _timed(outcome, apply_s=time.perf_counter() - started)
            self._on_phase(PhaseName.SETTLING, 0.0)
            outcome = _timed(outcome, reconnect_s=self._await_load(seconds))
            settle_s = self._settle_s()
            self._on_phase(PhaseName.SETTLING, settle_s)
            outcome = _timed(outcome, settle_s=self._wait(settle_s))
            self._on_phase(PhaseName.MEASURING, seconds)
            started = time.perf_counter()
            window, usage, cut = self._measure(seconds)
            outcome = _timed(outcome, measure_s=time.perf_counter() - started, planned_s=seconds)
        except _Interrupted as end:
            return replace(outcome, verdict=end.verdict, reason=end.reason)
        latest = self._testbed.sampler.latest()
        if cut is not None:
            outcome = replace(outcome, reason=cut.reason, cut_short=cut.suffering)
        return self._concluded(replace(outcome, usage=usage, sample=latest), window)

    def _concluded(self, outcome: Outcome, window: Window) -> Outcome:
        """With its verdict: whether the window says anything."""
        testbed = self._testbed
        if window.live is not None:
            outcome = replace(outcome, profile=testbed.learn_profile())
        if window.live is not None and window.live.judged < FEWEST_JUDGED and not outcome.cut_short:
            return replace(outcome, reason=window.live.too_few)
        if window.sent == 0:
            return replace(outcome, reason="the load sent nothing in this window")
        name = testbed.profile.name
        if window.received:
            testbed.arriving.add(name)
        elif window.live is None and window.missing + window.lost and name not in testbed.arriving:
            reason = "not one message has arrived, in this window or before: publishers and subscribers do not meet"
            return replace(outcome, reason=f"{reason} (topics, access rules, a limit of the broker's own)")
        return replace(outcome, verdict=Verdict.OK, window=window)

    def _usual_seconds(self) -> float:
        seconds = self._settings.tuning.step_interval_sec
        return max(seconds, self._settings.live.window_sec) if isinstance(self._load, Watched) else seconds

    # -- until the window opens ----------------------------------------------------------------------------------------

    def _apply(self, knobs: KnobValues) -> Applied:
        try:
            return self._testbed.apply(knobs)
        except ApplyFailed as error:
            raise _Interrupted(Verdict.FAILED, str(error)) from error
        except BrokerUnavailable as error:
            raise _Interrupted(Verdict.INCONCLUSIVE, str(error)) from error

    def _settle_s(self) -> float:
        """Queues need a few round trips to fill or drain before a window says what is typical."""
        profile = self._testbed.profile
        extra = 2 * profile.client_rtt_ms / 1000 + profile.slo_ms / 1000
        return self._settings.tuning.settle_sec + min(extra, _MAX_EXTRA_SETTLE_S)

    def _await_load(self, seconds: float) -> float:
        hung = self._testbed.hung
        try:
            self._testbed.follow_broker()
            ready_s = self._load.wait_ready(self._settings.load.ready_sec, lambda: self._interrupted() or bool(hung()))
            self._check_broker()  # else the load may be the guest of somebody who took the port
            return ready_s
        except LoadError as error:
            if self._interrupted():
                raise _Interrupted(Verdict.INCONCLUSIVE, _BY_OPERATOR) from error
            self._check_broker()
            if (out := self._kept_out()) is not None:
                # The load is well and the broker answers a probe, yet these knobs keep clients out.
                reason = f"{out.connected} of {out.wanted} clients could connect and stay: {error}"
                raise _Interrupted(Verdict.FAILED, reason) from error
            # Trials go on at their pace, so that a load that is away for a moment does not cost the whole budget.
            self._wait(seconds)
            raise _Interrupted(Verdict.INCONCLUSIVE, str(error)) from error

    def _kept_out(self) -> LoadStatus | None:
        """The load's status, if its clients cannot get in, or not stay.

        Those that are let in for a moment again and again may all be there when one report is made, but not in the next ones.
        """
        end = time.monotonic() + _REPORTS_S
        while (status := self._load.status()).pid is not None:
            if status.state == "reconnecting" and status.connected < status.wanted:
                return status
            if time.monotonic() >= end:
                break
            time.sleep(_POLL_S)
        return None

    # -- waiting, and what is checked meanwhile ------------------------------------------------------------------------

    def _wait(self, seconds: float, gauge: UsageGauge | None = None, *, to_the_end: bool = False) -> float:
        """Waits; gives the seconds that took. `to_the_end`: whatever the operator wants."""
        started = time.perf_counter()
        while (left := seconds - (time.perf_counter() - started)) > 0:
            if not to_the_end and self._interrupted():
                raise _Interrupted(Verdict.INCONCLUSIVE, _BY_OPERATOR)
            self._check_broker()
            self._check_load()
            if gauge is not None:
                gauge.poll()
            time.sleep(min(left, _POLL_S))
        return time.perf_counter() - started

    def _check_broker(self) -> None:
        connection = self._testbed.connection
        if connection is not None and not connection.state.usable:
            raise _Interrupted(Verdict.INCONCLUSIVE, connection.last_error or f"{connection.name} cannot be reached")
        if self._broker.alive():
            why = self._testbed.hung()
            if self._pid and (self._broker.status().pid or self._pid) != self._pid:
                why = "the broker was restarted in the middle of the trial"  # by its agent: it may never have been seen down
            if why:
                raise _Interrupted(Verdict.INCONCLUSIVE, why)
            return
        status = self._broker.status()
        error = status.error or "the broker is gone"
        raise _Interrupted(Verdict.INCONCLUSIVE if status.outside else Verdict.FAILED, error)

    def _check_load(self) -> None:
        now = time.monotonic()
        if now - self._load_looked_at < _LOOK_S:
            return
        self._load_looked_at = now
        status = self._load.status()
        if status.state in ("dead", "stopped"):
            raise _Interrupted(Verdict.INCONCLUSIVE, status.error or "the load does not run")

    # -- the window ----------------------------------------------------------------------------------------------------

    def _measure(self, seconds: float) -> tuple[Window, Usage, _Cut | None]:
        """The window, what the broker used in it, and why it was ended before its time."""
        load = self._load
        try:
            load.open_window()
            gauge = open_gauge(self._broker)
            cut = self._watch(load, seconds, gauge) if isinstance(load, Watched) else self._wait_in_parts(seconds, gauge)
            usage = gauge.close()
            window = load.close_window()
            self._check_broker()
            if window.reconnects and isinstance(self._broker, Linked):
                # Its agent may have restarted it, which the next heartbeat tells.
                self._wait(_HEARTBEAT_S, to_the_end=True)
        except LoadError as error:
            self._check_broker()
            raise _Interrupted(Verdict.INCONCLUSIVE, str(error)) from error
        return window, usage, cut

    def _watch(self, load: Watched, seconds: float, gauge: UsageGauge) -> _Cut | None:
        """Waits until live traffic was watched for long enough, or suffers; in the latter case, says how."""
        began, due, floor = time.perf_counter(), 0, self._floor
        while (
            (left := seconds - (time.perf_counter() - began)) > 0
            or not load.whole()
            # A probe that keeps small beside little traffic needs longer until there is enough to judge by.
            or (due < FEWEST_JUDGED and left > -_PROBE_PATIENCE_S)
        ):
            self._wait(min(max(left, _POLL_S), _LOOK_S), gauge)
            if cut := self._ended_early(began, seconds):
                return cut
            due, on_time = load.so_far()
            if floor is not None and due >= FEWEST_JUDGED and on_time < floor * due:
                took = time.perf_counter() - began
                share = f"{on_time / due:.0%} of the probe's messages came in time"
                return _Cut(f"ended after {took:.1f} s: {share}, and fewer than {floor:.0%} are too few for live traffic")
        return None

    def _wait_in_parts(self, seconds: float, gauge: UsageGauge) -> _Cut | None:
        """Waits for the window to be long enough, or until there is a reason to end it; gives that."""
        began, step_s = time.perf_counter(), _LOOK_S if self._best is None else _DECIDE_S
        if self._best is None and self._early is None:
            self._wait(seconds, gauge)
            return None
        profile = self._testbed.profile
        most_s = whole_s(self._settings.tuning.window_max_share * seconds, profile)
        until_s, is_told = seconds, False
        while True:
            while (left := until_s - (time.perf_counter() - began)) > 0:
                self._wait(min(left, step_s), gauge)
                if left > step_s and (cut := self._ended_early(began, seconds) or self._given_up(began, seconds, gauge)):
                    return cut
            if until_s >= most_s or not self._is_worth_more():
                return None
            if cut := self._ended_early(began, seconds):
                return cut
            if not is_told:
                self._on_phase(PhaseName.MEASURING, most_s - until_s)
                is_told = True
            until_s = min(most_s, until_s + max(step_s, profile.period_s))

    def _given_up(self, began: float, seconds: float, gauge: UsageGauge) -> _Cut | None:
        """Whether the window shows already that its setting is no good; of a bursty load, at the end of a period."""
        so_far = self._load.status().window if self._best is not None else None
        if self._best is None or so_far is None:
            return None
        profile, least_s = self._testbed.profile, self._settings.tuning.window_min_share * seconds
        if not is_clearly_bad(so_far, self._best, profile, least_s=least_s):
            return None
        took = time.perf_counter() - began
        self._wait(whole_s(took, profile) - took, gauge)
        took = time.perf_counter() - began
        figures = f"{so_far.on_time_per_s:,.0f}/s on time, the best so far {self._best.per_s:,.0f}/s"
        return _Cut(f"{CLEARLY_WORSE}, ended after {took:.2f} s: {figures}", suffering=False)

    def _is_worth_more(self) -> bool:
        so_far = self._load.status().window if self._best is not None else None
        return self._best is not None and so_far is not None and is_worth_more(so_far, self._best)

    def _ended_early(self, began: float, seconds: float) -> _Cut | None:
        took = time.perf_counter() - began
        reason = self._early(self._testbed.sampler.latest(), min(1.0, took / seconds)) if self._early is not None else ""
        return _Cut(f"ended after {took:.1f} s: {reason}") if reason else None


def _timed(outcome: Outcome, **seconds: float) -> Outcome:
    return replace(outcome, timings=replace(outcome.timings, **seconds))
