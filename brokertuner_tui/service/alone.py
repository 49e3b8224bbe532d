"""The agent of one broker: owns it, its telemetry, and a load on demand."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from brokertuner_tui.broker.external import ExternalBroker
from brokertuner_tui.broker.external_known import NotKnown
from brokertuner_tui.broker.interface import Applied, ApplyFailed, BrokerStatus, BrokerUnavailable, Difference, Tended
from brokertuner_tui.broker.keeper import BrokerKeeper, Hands
from brokertuner_tui.broker.kinds import make_broker
from brokertuner_tui.config.settings import BrokerSettings
from brokertuner_tui.connection.policy import POLICIES
from brokertuner_tui.errors import TunerError, UsageError
from brokertuner_tui.knobs.catalogue import KnobValues, Value, needs_restart
from brokertuner_tui.knobs.validation import check_all
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.paths import private_folder
from brokertuner_tui.process.backoff import BackoffPolicy
from brokertuner_tui.service.errors import ApiError
from brokertuner_tui.service.hosted import OnSample, SessionStatus
from brokertuner_tui.service.hosted_load import HostedLoad
from brokertuner_tui.telemetry.heartbeat import Heartbeat
from brokertuner_tui.telemetry.sample import Sample
from brokertuner_tui.telemetry.sampler import Sampler
from brokertuner_tui.tuning.commands import Command
from brokertuner_tui.workload.load import LoadStatus

_log = logging.getLogger(__name__)


class AloneHost:
    """See `Hosted`. `open` comes first, `close` last; both are called by the thread that made it.

    Args:
        folder: for the broker's private config and for logs; made if missing.
        backoff: at what pace a broker that does not stay up is brought back.
    """

    def __init__(self, settings: BrokerSettings, folder: Path, backoff: BackoffPolicy | None = None) -> None:
        self._kind = settings.kind
        self.broker = make_broker(settings, private_folder(folder) / "broker")
        self._load = HostedLoad(folder / "load", lambda: self.broker.endpoint)
        policy = POLICIES[settings.connection]
        self._heartbeat = Heartbeat(
            lambda: self.broker.endpoint,
            policy,
            evidence=lambda: self._load.status().received_total,
            publishes=False,  # what a tuner elsewhere measures may be what is really there
        )
        self._sampler = Sampler(self.broker, self._load.load, policy, self._heartbeat)
        self._good: dict[str, Value] = {}
        self._may_restart = True
        self._keeper = BrokerKeeper(self.broker, Hands(self._revive, self._restart, self.apply), self._heartbeat.hung, backoff)

    def open(self, last_good: Mapping[str, Value] | None, *, may_change: bool) -> Applied:
        """Starts a broker of our own with the knobs that were applied last, or its baseline; takes over another as it is.

        Args:
            may_change: whether another broker may be restarted where what it has in force cannot be told otherwise.

        Raises:
            TunerError: there is no such broker, or it did not come up.
        """
        applied = None
        if isinstance(self.broker, ExternalBroker):
            try:
                applied = self.broker.take_over(repair=may_change)
            except NotKnown as error:
                if not may_change:
                    raise TunerError(f"{error} (or allow changes: --allow-changes)") from None
        if applied is None:
            applied = self._start(last_good)
        if self.broker.recovered:
            _log.warning("%s", self.broker.recovered)
        self._good = dict(applied.knobs)
        self._may_restart = may_change or not isinstance(self.broker, ExternalBroker)
        self._sampler.start()
        self._heartbeat.start()
        return applied

    def _start(self, last_good: Mapping[str, Value] | None) -> Applied:
        baseline = self.broker.baseline
        if last_good is not None and last_good != baseline:
            try:
                return self.broker.start(check_all(last_good))
            except (ApplyFailed, UsageError) as error:
                _log.warning("the knobs that were applied last do not come into force: %s; the baseline is used", error)
                self.broker.stop()
        return self.broker.start(baseline)

    def close(self) -> None:
        """Ends load and telemetry; ends a broker of our own, lets go of another."""
        self._load.close()
        self._heartbeat.stop()
        self._sampler.stop()
        self.broker.stop()

    @property
    def kind(self) -> str:
        """See `Hosted`."""
        return self._kind

    @property
    def program(self) -> str:
        """See `Hosted`."""
        return self.broker.program

    @property
    def endpoint(self) -> Endpoint:
        """See `Hosted`."""
        return self.broker.endpoint

    @property
    def baseline(self) -> Mapping[str, Value]:
        """See `Hosted`."""
        return self.broker.baseline

    @property
    def good(self) -> Mapping[str, Value]:
        """See `Hosted`."""
        return self._good

    @property
    def last_good(self) -> Mapping[str, Value] | None:
        """See `Hosted`."""
        return self.broker.last_good

    @property
    def recovered(self) -> str:
        """See `Hosted`."""
        return self.broker.recovered

    def confirm(self) -> None:
        """See `Hosted`."""
        self.broker.confirm()

    @property
    def load(self) -> HostedLoad | None:
        """See `Hosted`."""
        return self._load

    def status(self) -> BrokerStatus:
        """See `Hosted`."""
        return self.broker.status()

    def load_status(self) -> LoadStatus | None:
        """See `Hosted`."""
        return self._load.status() if self._load.wanted else None

    def session_status(self) -> SessionStatus | None:
        """There is none."""
        return None

    def command(self, command: Command) -> None:
        """There is no session."""
        raise ApiError(409, "no_session", "no tuning session runs here: start the service with --tune")

    def latest(self) -> Sample | None:
        """See `Hosted`."""
        return self._sampler.latest()

    def subscribe(self, callback: OnSample) -> Callable[[], None]:
        """See `Hosted`."""
        return self._sampler.subscribe(callback)

    def apply(self, knobs: KnobValues) -> Applied:
        """See `Hosted`."""
        if not self.broker.alive() or needs_restart(self._good, knobs):
            self._load.expect_restart()
        try:
            with self._heartbeat.expect_restart():
                return self._in_force(self.broker.apply(knobs))
        except ApplyFailed as error:
            if error.restored is not None:
                self._in_force(error.restored)
            raise

    def restart(self) -> Applied:
        """See `Hosted`; one that was given up gets its chance again."""
        self._keeper.begin_anew()
        if isinstance(self.broker, Tended) and not self.broker.alive():
            return self._revive()  # somebody else may have brought it back by now
        return self._restart()

    def trouble(self) -> str:
        """Why the broker counts as down at this moment; empty while it is well. Cheap; any thread."""
        return self._keeper.trouble()

    def look_after(self) -> None:
        """Brings back a broker that is down, if an attempt is due; by the thread that applies."""
        report = self._keeper.look()
        if report.news:
            level = logging.INFO if report.care.up else logging.ERROR
            _log.log(level, "the broker is %s: %s", report.care, report.reason)

    def _revive(self) -> Applied:
        self._load.expect_restart()
        with self._heartbeat.expect_restart():
            if isinstance(self.broker, ExternalBroker):
                return self._in_force(self.broker.revive(may_restart=self._may_restart))
            return self._in_force(self.broker.restart())

    def _restart(self) -> Applied:
        if not self._may_restart:
            raise BrokerUnavailable("the broker does not answer, and this service may change nothing")
        self._load.expect_restart()
        with self._heartbeat.expect_restart():
            return self._in_force(self.broker.restart())

    def reconcile(self, keep: Literal["ours", "theirs"]) -> Applied:
        """See `Hosted`."""
        self._load.expect_restart()
        with self._heartbeat.expect_restart():
            return self._in_force(self.broker.reclaim() if keep == "ours" else self.broker.accept())

    def drift(self) -> tuple[Difference, ...]:
        """See `Hosted`."""
        return self.broker.drift()

    def restart_load(self) -> None:
        """See `Hosted`."""
        with contextlib.suppress(TimeoutError):
            self._load.restart().result(30)

    def _in_force(self, applied: Applied) -> Applied:
        self._good = dict(applied.knobs)
        return applied
