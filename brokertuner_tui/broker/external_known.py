"""What is known of a broker that is not ours: its config, its process, its log, and what was proven of it last."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from brokertuner_tui.broker.drift import DriftWatch
from brokertuner_tui.broker.external_checks import Facts, find_facts
from brokertuner_tui.broker.intent import LastGood
from brokertuner_tui.broker.interface import BrokerStatus, BrokerStopped, BrokerUnavailable
from brokertuner_tui.broker.knob_file import KnobFile
from brokertuner_tui.broker.log import FileLog
from brokertuner_tui.broker.operator_conf import read_operator_conf
from brokertuner_tui.broker.pretest import PreTest
from brokertuner_tui.broker.service import Log, Look, Service, ServiceFailed
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import Value, Version
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.process.identity import Identity


@dataclass(slots=True)
class WatchedProcess:
    """The broker's process, as far as it can be seen from here."""

    identity: Identity | None
    look: Callable[[], Look]

    @property
    def pid(self) -> int | None:
        return self.identity.pid if self.identity else None

    def ended(self) -> str | None:
        if self.identity is None or self.identity.alive():
            return None
        with contextlib.suppress(ServiceFailed):
            look = self.look()
            if not (look.active and look.pid != self.identity.pid):
                return look.ended
        return ""


class NotKnown(TunerError):
    """What the running broker has read cannot be told without restarting it."""


class BrokerKnown:
    """What is known of the broker, and how it is looked at; `ExternalBroker` is what others use.

    Args:
        service: how it is reloaded, restarted and asked about.
        originals: folder for what is kept.
        endpoint_for: the endpoint, from a host and a port (None: the settings').
        knob_file: None: `conf.d/broker_tuner.conf` beside the main config.
        host, port: None: what the operator's config says of its listeners.
        program: the broker's, to learn its version from; None: the service's.
        restart_stable_s: how long a restart may take until it is verified.
        reload_stable_s: the same for a reload.
    """

    def __init__(
        self,
        service: Service,
        originals: Path,
        endpoint_for: Callable[[str | None, int | None], Endpoint],
        *,
        knob_file: Path | None = None,
        host: str | None = None,
        port: int | None = None,
        program: Path | None = None,
        restart_stable_s: float = 20.0,
        reload_stable_s: float = 3.0,
    ) -> None:
        self.service = service
        self._originals = originals
        self._endpoint_for = endpoint_for
        self._knob_path = knob_file
        self._wanted_host, self._wanted_port, self._program = host, port, program
        self._restart_stable_s, self._reload_stable_s = restart_stable_s, reload_stable_s
        self._facts: Facts | None = None
        self._log: Log | None = None
        self._process: WatchedProcess | None = None
        self._good: dict[str, Value] | None = None
        """Verified last."""
        self._content: bytes | None = None
        """What the knob file held then."""
        self._last_good: LastGood | None = None
        """There once it was begun with."""
        self._pretest: PreTest | None = None
        self._recovered = ""
        self._watch: DriftWatch | None = None
        self._looked_at = 0.0
        self._gone = ""
        self._status = BrokerStatus("stopped", "", 0, None, None, None, 0, None, None)

    @property
    def facts(self) -> Facts:
        """What the operator's config says; read once before `start`, and again there.

        Raises:
            TunerError: it cannot be read.
        """
        if self._facts is None:
            self._facts = find_facts(
                self.service,
                self._originals,
                self._endpoint_for,
                self._knob_path,
                self._wanted_host,
                self._wanted_port,
                self._program,
            )
        return self._facts

    @property
    def host(self) -> str:
        """Where clients connect to."""
        return self.endpoint.host

    @property
    def port(self) -> int:
        """Where clients connect to."""
        return self.endpoint.port

    @property
    def endpoint(self) -> Endpoint:
        """What the settings say, with what they leave open from the operator's listeners."""
        return self.facts.endpoint

    @property
    def version(self) -> Version:
        """Mosquitto's: of its program where that is here, else what it says under `$SYS`."""
        return self.facts.version

    @property
    def baseline(self) -> dict[str, Value]:
        """What the operator's config says, with our file left out."""
        return self.facts.conf.baseline(self.version)

    @property
    def program(self) -> str:
        """The unit, or the restart command."""
        return self.service.name

    @property
    def log_path(self) -> Path | None:
        """The broker's log, if it is a file that can be read here."""
        log = self._log or (self.service.log(self._facts.conf) if self._facts else None)
        return log.path if isinstance(log, FileLog) else None

    @property
    def last_good(self) -> dict[str, Value] | None:
        """See `Broker`."""
        return self._last_good.knobs if self._last_good is not None else None

    @property
    def recovered(self) -> str:
        """See `Broker`."""
        return self._recovered

    @property
    def knob_file(self) -> KnobFile:
        """The one file that is written."""
        return self.facts.knob_file

    @property
    def _pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def _created_at(self) -> float | None:
        return self._process.identity.created_at if self._process and self._process.identity else None

    def _started(self) -> dict[str, Value]:
        if self._good is None:
            raise TunerError("the broker is not started")
        return self._good

    def _lives(self) -> bool:
        return self._process is not None and self._process.identity is not None and self._process.identity.alive()

    def _look(self) -> Look:
        look = self.service.look()
        if look.pid is None and look.active:
            look = replace(look, pid=self.facts.pid_from_file())
        return look

    def _adopt(self, look: Look) -> None:
        identity = None
        if look.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                identity = Identity.of(look.pid)
        self._process = WatchedProcess(identity, self._look)
        self._gone = ""

    def _not_on_purpose(self) -> Look:
        try:
            look = self._look()
        except ServiceFailed as error:
            raise BrokerUnavailable(f"nobody can say how the broker is: {error}") from None
        if look.stopped_on_purpose:
            why = f"{self.service.name} was stopped by somebody"
            self._gone = why
            raise BrokerStopped(f"{why}: it is not started against their will (restart the broker to start it)")
        return look

    def _how_it_went(self) -> str:
        """Why the broker is not what it was; empty while it is."""
        try:
            look = self._look()
        except ServiceFailed as error:
            return str(error)
        if look.active and self._process is not None and self._process.identity is None:
            return ""
        if look.active and look.pid != self._pid:
            return f"the broker was restarted from outside (PID {look.pid})"
        if look.stopped_on_purpose:
            return f"{self.service.name} was stopped by somebody"
        return f"the broker ended {look.ended}".rstrip()

    def _in_force(self) -> dict[str, Value] | None:
        """What the running process has read; None where the config is younger than the process, or that is not known."""
        conf = read_operator_conf(self.facts.conf.main, here=self.service.path_here)
        created = self._created_at
        try:
            changed_at = max(path.stat().st_mtime for path in (*conf.files, *conf.include_folders))
        except OSError:
            return None
        if created is None or changed_at >= created - 1.0:  # /proc knows it to the hundredth, the boot's time is rounded
            return None
        return conf.baseline(self.version)

    def _set(self, **values: object) -> None:
        self._status = replace(self._status, **values)  # type: ignore[arg-type]

    def _failed(self, why: str) -> None:
        lives = self._lives()
        self._set(
            state="failed",
            pid=self._pid if lives else None,
            started_at=self._created_at if lives else None,
            knobs=None,
            error=why,
        )
