"""Takes a reading of everything several times a second, in a thread of its own, whatever else happens."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from brokertuner_tui.broker.interface import Broker, BrokerStatus
from brokertuner_tui.connection.policy import POLICIES, ReconnectPolicy
from brokertuner_tui.connection.tracker import ConnectionStatus, Linked
from brokertuner_tui.telemetry.heartbeat import Heartbeat
from brokertuner_tui.telemetry.process_usage import UsageMeter
from brokertuner_tui.telemetry.sample import ProcessUsage, Sample, SysRates
from brokertuner_tui.telemetry.source import TellsUsage, Told
from brokertuner_tui.telemetry.sys_topics import NAME, SysTopics
from brokertuner_tui.workload.load import Load, LoadStatus

_log = logging.getLogger(__name__)
_STOP_S = 10.0
"""How long its thread may take to end; it ends with the process all the same."""
_NO_BROKER = BrokerStatus("stopped", "", 0, None, None, None, 0, None, None)
_NO_LOAD = LoadStatus("stopped", None, None, 0, 0, 0, 0, 0, 0, 0.0)


class Sampler:
    """`start` it once; `latest` and `subscribe` may be called from any thread, before and after.

    Args:
        load: None where there is none to read.
        policy: of the connection to `$SYS`.
        heartbeat: whose connection is shown as well; None: there is none.
        watcher: told every change of state of the connection to `$SYS`, in another thread: it must be quick.
        period_s: between two samples.
    """

    def __init__(
        self,
        broker: Broker,
        load: Load | None,
        policy: ReconnectPolicy = POLICIES["default"],
        heartbeat: Heartbeat | None = None,
        *,
        watcher: Callable[[ConnectionStatus], None] | None = None,
        period_s: float = 0.33,
    ) -> None:
        self._broker, self._load, self._period_s = broker, load, period_s
        self._policy, self._heartbeat, self._watcher = policy, heartbeat, watcher
        self._sys_pid: int | None = None
        self._meter = UsageMeter()
        self._sys: SysTopics | None = None
        self._latest: Sample | None = None
        self._callbacks: tuple[Callable[[Sample], None], ...] = ()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the thread; the first sample is there within a few milliseconds."""
        if self._thread is None:
            self._stopped.clear()
            self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ends the thread and the `$SYS` client. May be called again."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(_STOP_S)
            self._thread = None

    def latest(self) -> Sample | None:
        """The last sample; None before the first."""
        return self._latest

    def read_sys(self) -> SysRates:
        """What `$SYS` says at this moment, for those who cannot wait for the next sample."""
        sys, latest = self._sys, self._latest
        if sys is not None:
            return sys.read()
        if latest is None:
            return SysRates()
        return replace(latest.sys, age_s=latest.sys.age_s + time.monotonic() - latest.at_s)

    def subscribe(self, callback: Callable[[Sample], None]) -> Callable[[], None]:
        """Calls `callback` with every sample, in the sampler's thread: it must be quick. Gives what ends that."""
        with self._lock:
            self._callbacks = (*self._callbacks, callback)

        def unsubscribe() -> None:
            with self._lock:
                self._callbacks = tuple(other for other in self._callbacks if other is not callback)

        return unsubscribe

    def _run(self) -> None:
        due = time.monotonic()
        try:
            while not self._stopped.wait(max(0.0, due - time.monotonic())):
                # A sampler that was held up goes on from now; it does not catch up in a burst.
                due = max(due, time.monotonic() - self._period_s) + self._period_s
                try:
                    self._latest = sample = self._sample(self._latest)
                except Exception:
                    _log.exception("no sample")
                    continue
                for callback in self._callbacks:
                    try:
                        callback(sample)
                    except Exception:
                        _log.exception("a subscriber to samples failed")
        finally:
            self._drop_sys()

    def _sample(self, before: Sample | None) -> Sample:
        broker, load = self._broker_status(), self._load_status()
        now = time.monotonic()
        # The counters begin again at zero with a new process of the load.
        seconds = now - before.at_s if before is not None and before.load.pid == load.pid else 0.0
        last = before.load if before is not None else load

        told = self._told(now)
        sys = told.sys if told is not None else self._sys_rates(broker)

        def rate(total: int, earlier: int) -> float:
            return max(0, total - earlier) / seconds if seconds > 0 else 0.0

        return Sample(
            at_s=now,
            wall_s=time.time(),
            broker=broker,
            load=load,
            sys=sys,
            process=told.process if told is not None else self._meter.read(broker.pid),
            sent_per_s=rate(load.sent_total, last.sent_total),
            received_per_s=rate(load.received_total, last.received_total),
            on_time_per_s=rate(load.on_time_total, last.on_time_total),
            connection=self._broker.connection if isinstance(self._broker, Linked) else None,
            connections=self.connections(),
        )

    def connections(self) -> dict[str, ConnectionStatus]:
        """Every connection that is kept up now, by name (`Sample.connections`)."""
        found = {}
        if isinstance(self._broker, Linked):
            found["agent"] = self._broker.connection
        if self._heartbeat is not None and self._heartbeat.running:
            found["heartbeat"] = self._heartbeat.status()
        if (sys := self._sys) is not None:
            found[NAME] = sys.status()
        return found

    def _told(self, now: float) -> Told | None:
        """What the broker's own host tells; None where process and `$SYS` are for us to read."""
        if not isinstance(self._broker, TellsUsage):
            return None
        return self._broker.told() or Told(now, SysRates(), ProcessUsage())

    def _broker_status(self) -> BrokerStatus:
        try:
            return self._broker.status()
        except Exception:
            _log.exception("the broker's status cannot be read")
            return _NO_BROKER

    def _load_status(self) -> LoadStatus:
        try:
            return self._load.status() if self._load is not None else _NO_LOAD
        except Exception:
            _log.exception("the load's status cannot be read")
            return _NO_LOAD

    def _sys_rates(self, broker: BrokerStatus) -> SysRates:
        if not broker.port:
            return SysRates()
        endpoint = self._broker.endpoint
        if self._sys is None or self._sys.endpoint != endpoint:
            self._drop_sys()
            self._sys = SysTopics(endpoint, self._policy)
            if self._watcher is not None:
                self._sys.watch(self._watcher)
            self._sys.start()
        if broker.pid is not None and broker.pid != self._sys_pid:
            self._sys_pid = broker.pid
            self._sys.hurry()
        return self._sys.read()

    def _drop_sys(self) -> None:
        if self._sys is not None:
            with contextlib.suppress(Exception):
                self._sys.stop()
            self._sys = None
