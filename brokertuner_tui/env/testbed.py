"""The real thing that is tuned: a broker, a load on it, and the telemetry of both; and one trial on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from brokertuner_tui.broker.interface import Applied, ApplyFailed, Broker, BrokerStopped, BrokerUnavailable, TakenOver, Tended
from brokertuner_tui.broker.kinds import make_broker
from brokertuner_tui.config.settings import Settings
from brokertuner_tui.connection.policy import POLICIES
from brokertuner_tui.connection.tracker import ConnectionStatus, Linked
from brokertuner_tui.env.outcome import Outcome, PhaseName, Timings, Usage, Verdict
from brokertuner_tui.env.usage import UsageGauge, open_gauge
from brokertuner_tui.errors import TunerError, UsageError
from brokertuner_tui.knobs.catalogue import KnobValues, Value, Version, needs_restart
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.telemetry.heartbeat import Heartbeat
from brokertuner_tui.telemetry.sample import Sample, SysRates
from brokertuner_tui.telemetry.sampler import Sampler
from brokertuner_tui.workload import live
from brokertuner_tui.workload.builtin import BuiltinLoad
from brokertuner_tui.workload.emqtt_bench import EmqttBenchLoad
from brokertuner_tui.workload.live.figures import FEWEST_JUDGED
from brokertuner_tui.workload.load import Load, LoadError, LoadStatus, Watched
from brokertuner_tui.workload.profile import Profile, Workload
from brokertuner_tui.workload.window import Window

OnPhase = Callable[[PhaseName, float], None]
Early = Callable[[Sample | None, float], str]
"""From the last reading of the telemetry and the share of the window that is over to why that need not be finished."""
_POLL_S = 0.02
_LOOK_S = 0.25
_BY_OPERATOR = "interrupted by the operator"
_HEARTBEAT_S = 1.0
_MAX_EXTRA_SETTLE_S = 1.0
_PROBE_PATIENCE_S = 30.0
_REPORTS_S = 1.0
"""The load reports four times a second."""


def _quiet(_phase: PhaseName, _seconds: float) -> None:
    """Nobody wants to know."""


def _never() -> bool:
    return False


class _Interrupted(Exception):
    """The trial has to end now; carries its verdict and the reason."""

    def __init__(self, verdict: Verdict, reason: str) -> None:
        self.verdict, self.reason = verdict, reason


class Testbed:
    """Owns a broker, a load and the sampler. Used by one thread; `close` ends everything that was started.

    Args:
        folder: for the broker's private config and all logs of the run; made if missing.
        broker: where it was made before, to be asked about; None: the one that the settings name.
    """

    __test__ = False  # not a test, whatever pytest thinks of the name

    def __init__(self, settings: Settings, workload: Workload, folder: Path, broker: Broker | None = None) -> None:
        self._settings = settings
        self._workload = workload
        self._folder = folder
        self._started_at = time.monotonic()
        self._profile = self._due = workload.at(0.0)
        self.broker: Broker = broker or make_broker(settings.broker, folder / "broker")
        """Nothing is started before `open`."""
        self.load: Load = _make_load(settings, folder, self.broker, workload, lambda: self.sampler.read_sys())
        self._watch_sys: Callable[[ConnectionStatus], None] | None = None
        self._arriving: set[str] = set()
        """Profiles whose messages have arrived here before: if none does then, it is the knobs' doing."""
        self._load_at: Endpoint | None = None
        """Where the load was sent."""
        self._load_looked_at = 0.0
        self._trial_pid = 0
        """The broker's process in the trial that is under way; 0: not known."""
        self._sampler: Sampler | None = None
        self.heartbeat = Heartbeat(
            lambda: self.broker.endpoint,
            POLICIES[settings.broker.connection],
            evidence=self._deliveries,
            # What is there is measured by what `$SYS` counts: a message of ours would be one of theirs.
            publishes=workload.name != live.NAME,
        )
        """Says when the broker hangs; started by `open`, where the broker's port is one for us to reach."""

    @property
    def sampler(self) -> Sampler:
        """The telemetry; there once `open` was called."""
        assert self._sampler is not None, "open() comes first"
        return self._sampler

    @property
    def version(self) -> Version:
        """The broker's version."""
        return self.broker.version

    @property
    def defaults(self) -> dict[str, Value]:
        """What trials are compared with (`Broker.baseline`)."""
        return self.broker.baseline

    @property
    def connection(self) -> ConnectionStatus | None:
        """How the connection to whoever has the broker is; None where the broker is ours to touch."""
        return self.broker.connection if isinstance(self.broker, Linked) else None

    def watch_connections(self, callback: Callable[[str, ConnectionStatus], None]) -> None:
        """Calls `callback` with a name (`Sample.connections`) at every change of state of a connection, from any thread.

        It must be quick. To be called before `open`.
        """
        if isinstance(self.broker, Linked):
            self.broker.watch_connection(lambda status: callback("agent", status))
        self.heartbeat.watch(lambda status: callback("heartbeat", status))
        self._watch_sys = lambda status: callback("$SYS", status)

    def open(self, knobs: KnobValues | None = None, *, untouched: bool = False) -> Applied:
        """Starts the broker with its baseline, `knobs` (some or all) put in, and the telemetry.

        Args:
            untouched: a broker that was there before us is taken over as it is, and `knobs` are left out.

        Raises:
            TunerError: there is no Mosquitto, or it did not come up. A load that does not start is not an error here.
        """
        (self._folder / "load").mkdir(parents=True, exist_ok=True, mode=0o700)
        if untouched:
            applied = self.broker.take_over() if isinstance(self.broker, TakenOver) else self.broker.start(self.defaults)
        else:
            applied = self.broker.start({**self.defaults, **(knobs or {})})
        self._sampler = Sampler(
            self.broker, self.load, POLICIES[self._settings.broker.connection], self.heartbeat, watcher=self._watch_sys
        )
        self._sampler.start()
        if self._settings.load.side == "here":
            self.heartbeat.start()
        return applied

    def start_load(self) -> None:
        """Starts the load's process on the profile that is due.

        Raises:
            LoadError: it does not start.
        """
        self._started_at = time.monotonic()
        self._profile = self._due = self._workload.at(0.0)
        self._load_at = self.broker.endpoint
        self.load.start(self._profile, self._load_at)

    @property
    def profile(self) -> Profile:
        """What the load runs now; of live traffic, what it looked like in the last window."""
        return self._profile

    def follow_schedule(self) -> bool:
        """Goes over to the profile that is due; whether there was a change.

        Raises:
            LoadError: the load did not take it.
        """
        due = self._workload.at(time.monotonic() - self._started_at)
        if due == self._due:
            return False
        self._profile = self._due = due
        self.load.change(due)
        return True

    def apply(self, knobs: KnobValues) -> Applied:
        """Brings `knobs` into force outside a trial.

        Raises:
            ApplyFailed: they did not come into force.
        """
        current = self.broker.status().knobs
        if knobs != current:
            self._check_may_touch()
        if current is None or not self.broker.alive() or needs_restart(current, knobs):
            self.load.expect_restart()
        with self.heartbeat.expect_restart():
            return self.broker.apply(knobs)

    def settle_drift(self, keep: Literal["ours", "theirs"]) -> Applied:
        """See `Broker.reclaim` and `Broker.accept`."""
        self.load.expect_restart()
        with self.heartbeat.expect_restart():
            return self.broker.reclaim() if keep == "ours" else self.broker.accept()

    def accept_as_read(self) -> Applied:
        """`Broker.accept`, where that touches nothing."""
        return self.broker.accept(untouched=True)

    def restart_broker(self) -> Applied:
        """Restarts the broker with the knobs in force, or brings back one that has died.

        Raises:
            ApplyFailed: it did not come up.
        """
        self._check_may_touch()
        self.load.expect_restart()
        with self.heartbeat.expect_restart():
            return self.broker.restart()

    def revive_broker(self) -> Applied:
        """Brings back a broker that is gone; one that somebody else looks after, too, by as little as possible.

        Raises:
            ApplyFailed: it did not come up.
            BrokerUnavailable: it cannot be reached, or somebody stopped it on purpose (`BrokerStopped`).
        """
        if self._only_looks:
            return self._find_again()
        self.load.expect_restart()
        with self.heartbeat.expect_restart():
            if isinstance(self.broker, Tended):
                return self.broker.revive(may_restart=not self._settings.tuning.read_only)
            return self.broker.restart()

    def mend(self) -> Applied:
        """Restarts a broker that hangs.

        Raises:
            BrokerUnavailable: it is not for us to restart.
            ApplyFailed: it did not come up.
        """
        if self._settings.tuning.read_only and isinstance(self.broker, Tended):
            raise BrokerUnavailable("the broker hangs, and this session only reads (tuning.read_only)")
        return self.restart_broker()

    def fall_back(self, knobs: KnobValues) -> Applied:
        """Brings other knobs into force, since the broker does not come up with those that were.

        Raises:
            BrokerUnavailable: it is not for us to change.
            ApplyFailed: they did not come into force either.
        """
        if self._settings.tuning.read_only and isinstance(self.broker, Tended):
            raise BrokerUnavailable("the broker does not come up, and this session only reads (tuning.read_only)")
        return self.apply(knobs)

    @property
    def _only_looks(self) -> bool:
        """Whether the broker is somebody's, and only looked at."""
        return self._settings.tuning.read_only and isinstance(self.broker, TakenOver)

    def _check_may_touch(self) -> None:
        if self._only_looks:
            raise BrokerStopped("the broker is left to whoever runs it: this session only reads (tuning.read_only)")

    def _find_again(self) -> Applied:
        """Goes on with what somebody else has started."""
        try:
            return self.broker.accept()
        except BrokerUnavailable:
            raise
        except TunerError as error:
            raise BrokerStopped(f"the broker is left to whoever runs it, and is not up: {error}") from error

    def hung(self) -> str:
        """Why the broker counts as hung; empty while it answers."""
        return self.heartbeat.hung()

    def trial(
        self,
        knobs: KnobValues,
        *,
        seconds: float | None = None,
        on_phase: OnPhase = _quiet,
        interrupted: Callable[[], bool] = _never,
        floor: float | None = None,
        early: Early | None = None,
    ) -> Outcome:
        """Apply, verify, settle, measure. A fault of the broker or the load is a verdict, not an exception.

        Args:
            seconds: of measuring; None: `step_interval_sec`, and `live.window_sec` at least under live traffic.
            interrupted: asked every few milliseconds; True ends the trial as inconclusive.
            floor: under live traffic, the share of the probe's messages in time below which the window ends early.
            early: asked a few times a second in the window; a reason that it gives ends the window.
        """
        seconds = self._seconds() if seconds is None else seconds
        outcome = Outcome(knobs, self._profile, self.version, Verdict.INCONCLUSIVE, "", None, None, Usage(), None, Timings())
        try:
            on_phase(PhaseName.APPLYING, 0.0)
            started = time.perf_counter()
            applied = self._apply_for_trial(knobs)
            self._trial_pid = applied.pid
            outcome = replace(outcome, applied=applied)
            outcome = _timed(outcome, apply_s=time.perf_counter() - started)
            on_phase(PhaseName.SETTLING, 0.0)
            outcome = _timed(outcome, reconnect_s=self._await_load(seconds, interrupted))
            settle_s = self._settle_s()
            on_phase(PhaseName.SETTLING, settle_s)
            outcome = _timed(outcome, settle_s=self._wait(settle_s, interrupted))
            on_phase(PhaseName.MEASURING, seconds)
            started = time.perf_counter()
            window, usage, cut = self._measure(seconds, interrupted, floor, early)
            outcome = _timed(outcome, measure_s=time.perf_counter() - started)
        except _Interrupted as end:
            return replace(outcome, verdict=end.verdict, reason=end.reason)
        outcome = replace(outcome, usage=usage, sample=self.sampler.latest(), reason=cut, cut_short=bool(cut))
        if window.live is not None:
            self._profile = self.load.status().profile or self._profile
            outcome = replace(outcome, profile=self._profile)
        if window.live is not None and window.live.judged < FEWEST_JUDGED and not cut:
            return replace(outcome, reason=window.live.too_few)
        if window.sent == 0:
            return replace(outcome, reason="the load sent nothing in this window")
        if window.received:
            self._arriving.add(self._profile.name)
        elif window.live is None and window.missing + window.lost and self._profile.name not in self._arriving:
            reason = "not one message has arrived, in this window or before: publishers and subscribers do not meet"
            return replace(outcome, reason=f"{reason} (topics, access rules, a limit of the broker's own)")
        return replace(outcome, verdict=Verdict.OK, window=window)

    def close(self) -> None:
        """Ends load, telemetry and broker. May be called again."""
        self.load.stop()
        self.heartbeat.stop()
        if self._sampler is not None:
            self._sampler.stop()
        self.broker.stop()

    def _deliveries(self) -> object:
        """Changes whenever the broker has delivered something."""
        sample = self._sampler.latest() if self._sampler is not None else None
        return None if sample is None else (sample.load.pid, sample.load.received_total)

    def _apply_for_trial(self, knobs: KnobValues) -> Applied:
        try:
            return self.apply(knobs)
        except ApplyFailed as error:
            raise _Interrupted(Verdict.FAILED, str(error)) from error
        except BrokerUnavailable as error:
            raise _Interrupted(Verdict.INCONCLUSIVE, str(error)) from error

    def _settle_s(self) -> float:
        """Queues need a few round trips to fill or drain before a window says what is typical."""
        extra = 2 * self._profile.client_rtt_ms / 1000 + self._profile.slo_ms / 1000
        return self._settings.tuning.settle_sec + min(extra, _MAX_EXTRA_SETTLE_S)

    def _await_load(self, seconds: float, interrupted: Callable[[], bool]) -> float:
        try:
            self._follow_broker()
            ready_s = self.load.wait_ready(self._settings.load.ready_sec, lambda: interrupted() or bool(self.hung()))
            self._check_broker()  # else the load may be the guest of somebody who took the port
            return ready_s
        except LoadError as error:
            if interrupted():
                raise _Interrupted(Verdict.INCONCLUSIVE, _BY_OPERATOR) from error
            self._check_broker()
            if (out := self._kept_out()) is not None:
                # The load is well and the broker answers a probe, yet these knobs keep clients out.
                reason = f"{out.connected} of {out.wanted} clients could connect and stay: {error}"
                raise _Interrupted(Verdict.FAILED, reason) from error
            # Trials go on at their pace, so that a load that is away for a moment does not cost the whole budget.
            self._wait(seconds, interrupted)
            raise _Interrupted(Verdict.INCONCLUSIVE, str(error)) from error

    def _follow_broker(self) -> None:
        """A broker that came back elsewhere (an agent's own one, on another port) takes the load along.

        Raises:
            LoadError: the load does not start there.
        """
        endpoint = self.broker.endpoint
        if self._load_at is not None and endpoint != self._load_at:
            self._load_at = endpoint
            self.load.start(self._profile, endpoint)

    def _kept_out(self) -> LoadStatus | None:
        """The load's status, if its clients cannot get in, or not stay.

        Those that are let in for a moment again and again may all be there when one report is made, but not in the next ones.
        """
        end = time.monotonic() + _REPORTS_S
        while (status := self.load.status()).pid is not None:
            if status.state == "reconnecting" and status.connected < status.wanted:
                return status
            if time.monotonic() >= end:
                break
            time.sleep(_POLL_S)
        return None

    def _wait(self, seconds: float, interrupted: Callable[[], bool], gauge: UsageGauge | None = None) -> float:
        started = time.perf_counter()
        while (left := seconds - (time.perf_counter() - started)) > 0:
            if interrupted():
                raise _Interrupted(Verdict.INCONCLUSIVE, _BY_OPERATOR)
            self._check_broker()
            self._check_load()
            if gauge is not None:
                gauge.poll()
            time.sleep(min(left, _POLL_S))
        return time.perf_counter() - started

    def _check_broker(self) -> None:
        connection = self.connection
        if connection is not None and not connection.state.usable:
            raise _Interrupted(Verdict.INCONCLUSIVE, connection.last_error or f"{connection.name} cannot be reached")
        if self.broker.alive():
            why = self.hung()
            if self._trial_pid and (self.broker.status().pid or self._trial_pid) != self._trial_pid:
                why = "the broker was restarted in the middle of the trial"  # by its agent: it may never have been seen down
            if why:
                raise _Interrupted(Verdict.INCONCLUSIVE, why)
            return
        status = self.broker.status()
        error = status.error or "the broker is gone"
        raise _Interrupted(Verdict.INCONCLUSIVE if status.outside else Verdict.FAILED, error)

    def _check_load(self) -> None:
        now = time.monotonic()
        if now - self._load_looked_at < _LOOK_S:
            return
        self._load_looked_at = now
        status = self.load.status()
        if status.state in ("dead", "stopped"):
            raise _Interrupted(Verdict.INCONCLUSIVE, status.error or "the load does not run")

    def _seconds(self) -> float:
        seconds = self._settings.tuning.step_interval_sec
        return max(seconds, self._settings.live.window_sec) if isinstance(self.load, Watched) else seconds

    def _measure(
        self, seconds: float, interrupted: Callable[[], bool], floor: float | None, early: Early | None
    ) -> tuple[Window, Usage, str]:
        """The window, what the broker used in it, and why it was cut short (empty: it was not)."""
        try:
            self.load.open_window()
            gauge = open_gauge(self.broker)
            cut = ""
            if isinstance(self.load, Watched):
                cut = self._watch(self.load, seconds, interrupted, gauge, floor, early)
            else:
                cut = self._wait_in_parts(seconds, interrupted, gauge, early)
            usage = gauge.close()
            window = self.load.close_window()
            self._check_broker()
            if window.reconnects and isinstance(self.broker, Linked):
                self._wait(_HEARTBEAT_S, _never)  # its agent may have restarted it, which the next heartbeat tells
        except LoadError as error:
            self._check_broker()
            raise _Interrupted(Verdict.INCONCLUSIVE, str(error)) from error
        return window, usage, cut

    def _watch(
        self,
        load: Watched,
        seconds: float,
        interrupted: Callable[[], bool],
        gauge: UsageGauge,
        floor: float | None,
        early: Early | None,
    ) -> str:
        """Waits until live traffic was watched for long enough, or suffers; in the latter case, says how."""
        began, due = time.perf_counter(), 0
        while (
            (left := seconds - (time.perf_counter() - began)) > 0
            or not load.whole()
            # A probe that keeps small beside little traffic needs longer until there is enough to judge by.
            or (due < FEWEST_JUDGED and left > -_PROBE_PATIENCE_S)
        ):
            self._wait(min(max(left, _POLL_S), _LOOK_S), interrupted, gauge)
            if cut := self._ended_early(early, began, seconds):
                return cut
            due, on_time = load.so_far()
            if floor is not None and due >= FEWEST_JUDGED and on_time < floor * due:
                took = time.perf_counter() - began
                share = f"{on_time / due:.0%} of the probe's messages came in time"
                return f"ended after {took:.1f} s: {share}, and fewer than {floor:.0%} are too few for live traffic"
        return ""

    def _wait_in_parts(self, seconds: float, interrupted: Callable[[], bool], gauge: UsageGauge, early: Early | None) -> str:
        """Waits for the whole window, or until there is a reason to end it; gives that."""
        began = time.perf_counter()
        while early is not None and (left := seconds - (time.perf_counter() - began)) > _LOOK_S:
            self._wait(min(left, _LOOK_S), interrupted, gauge)
            if cut := self._ended_early(early, began, seconds):
                return cut
        self._wait(seconds - (time.perf_counter() - began), interrupted, gauge)
        return ""

    def _ended_early(self, early: Early | None, began: float, seconds: float) -> str:
        took = time.perf_counter() - began
        reason = early(self.sampler.latest(), took / seconds) if early is not None else ""
        return f"ended after {took:.1f} s: {reason}" if reason else ""


def _make_load(settings: Settings, folder: Path, broker: Broker, workload: Workload, read_sys: Callable[[], SysRates]) -> Load:
    if workload.name == live.NAME:
        from brokertuner_tui.workload.live.load import LiveLoad

        if settings.load.side == "agent":
            raise UsageError("load.side = 'agent': live traffic is watched from here (load.side = 'here')")
        every_s = POLICIES[settings.broker.connection].heartbeat_s
        # An agent has a heartbeat of its own.
        heartbeats_s = (every_s, every_s) if isinstance(broker, Linked) else (every_s,)
        return LiveLoad(folder / "load", settings.live, read_sys, heartbeats_s=heartbeats_s)
    if settings.load.side == "agent":
        from brokertuner_tui.broker.remote.broker import RemoteBroker
        from brokertuner_tui.workload.remote import RemoteLoad

        if not isinstance(broker, RemoteBroker):
            raise UsageError("load.side = 'agent': is for a broker on another host (broker.kind = 'remote')")
        if settings.load.generator != "builtin":
            raise UsageError("load.side = 'agent': the agent's load is the built-in one (load.generator = 'builtin')")
        return RemoteLoad(broker.link)
    if settings.load.generator == "emqtt_bench":
        return EmqttBenchLoad(folder / "load")
    return BuiltinLoad(folder / "load")


def _timed(outcome: Outcome, **seconds: float) -> Outcome:
    return replace(outcome, timings=replace(outcome.timings, **seconds))
