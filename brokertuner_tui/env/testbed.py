"""The real thing that is tuned: a broker, a load on it, and the telemetry of both."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from brokertuner_tui.broker.interface import Applied, Broker, BrokerStopped, BrokerUnavailable, TakenOver, Tended
from brokertuner_tui.broker.kinds import make_broker
from brokertuner_tui.config.settings import Settings
from brokertuner_tui.connection.policy import POLICIES
from brokertuner_tui.connection.tracker import ConnectionStatus, Linked
from brokertuner_tui.env.deciding import Best
from brokertuner_tui.env.outcome import Outcome
from brokertuner_tui.env.trial import Early, OnPhase, Trial, never, quiet
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import KnobValues, Value, Version, needs_restart
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.telemetry.heartbeat import Heartbeat
from brokertuner_tui.telemetry.sampler import Sampler
from brokertuner_tui.workload import live
from brokertuner_tui.workload.kinds import make_load
from brokertuner_tui.workload.load import Load
from brokertuner_tui.workload.profile import Profile, Workload


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
        self.load: Load = make_load(settings, folder / "load", self.broker, workload, lambda: self.sampler.read_sys())
        self._watch_sys: Callable[[ConnectionStatus], None] | None = None
        self.arriving: set[str] = set()
        """Profiles whose messages have arrived here before: if none does then, it is the knobs' doing."""
        self._load_at: Endpoint | None = None
        """Where the load was sent."""
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

    def learn_profile(self) -> Profile:
        """Takes over what live traffic looked like in the window that was closed last."""
        self._profile = self.load.status().profile or self._profile
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

    def follow_broker(self) -> None:
        """A broker that came back elsewhere (an agent's own one, on another port) takes the load along.

        Raises:
            LoadError: the load does not start there.
        """
        endpoint = self.broker.endpoint
        if self._load_at is not None and endpoint != self._load_at:
            self._load_at = endpoint
            self.load.start(self._profile, endpoint)

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
        on_phase: OnPhase = quiet,
        interrupted: Callable[[], bool] = never,
        floor: float | None = None,
        early: Early | None = None,
        best: Best | None = None,
    ) -> Outcome:
        """Apply, verify, settle, measure. A fault of the broker or the load is a verdict, not an exception.

        Args:
            seconds: of measuring, at least (whole periods of a bursty load); None: `step_interval_sec`, and `live.window_sec`
                at least under live traffic.
            interrupted: asked every few milliseconds; True ends the trial as inconclusive.
            floor: under live traffic, the share of the probe's messages in time below which the window ends early.
            early: asked a few times a second in the window; a reason that it gives ends the window.
            best: what the best setting so far has shown under this load: of a load of our own making, the window is then
                shorter or longer, as `env/deciding.py` says. None: it is as long as `seconds` say.
        """
        trial = Trial(self, self._settings, on_phase=on_phase, interrupted=interrupted, floor=floor, early=early, best=best)
        return trial.run(knobs, seconds)

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
