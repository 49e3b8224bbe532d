"""One attempt to change a broker that is not ours, from writing the file to the last check, and the way back."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from brokertuner_tui.broker.drift import DriftWatch
from brokertuner_tui.broker.external_checks import Facts, find_facts
from brokertuner_tui.broker.interface import Applied, ApplyFailed, BrokerStatus, BrokerStopped, BrokerUnavailable
from brokertuner_tui.broker.knob_file import KnobFile
from brokertuner_tui.broker.log import FileLog, errors
from brokertuner_tui.broker.operator_conf import read_operator_conf
from brokertuner_tui.broker.ports import holder
from brokertuner_tui.broker.probe import Probe, ProbeError
from brokertuner_tui.broker.service import Log, Look, Service, ServiceFailed
from brokertuner_tui.broker.verify import NotInForce, Verifier
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import KnobValues, Value, Version, changed, needs_restart
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.mqtt.tls import TlsFileError
from brokertuner_tui.process.identity import Identity

How = Literal["start", "restart", "reload", "none"]


class NotUp(Exception):
    """The broker did not come up, or not with the wanted knobs: one line, and the log since the attempt."""

    def __init__(self, why: str, log: str, *, touched: bool = True) -> None:
        self.why, self.log, self.touched = why, log, touched
        super().__init__(why)


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


@dataclass(frozen=True, slots=True)
class Mark:
    """From where on the broker's words count: in its log, and on its keeper's clock (microseconds)."""

    log: int
    at_us: int


class NotKnown(TunerError):
    """What the running broker has read cannot be told without restarting it."""


class BrokerChange:
    """What is known of the broker, and how a change is made; `ExternalBroker` is what others use.

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
        """Verified last; what a failed change goes back to."""
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

    def _means(self, before: KnobValues, knobs: KnobValues) -> How:
        """The least that brings `knobs` into force and can be seen to have done so."""
        if not changed(before, knobs):
            return "none"
        return "reload" if self._sees_reloads() and not needs_restart(before, knobs) else "restart"

    def _sees_reloads(self) -> bool:
        """Whether it can be told to read its config again, and says that it does."""
        return self._log is not None and self.facts.conf.tells_of_reloads() and self.service.can_reload()

    def _change(self, how: How, knobs: dict[str, Value], names: tuple[str, ...]) -> Applied:
        """`_bring`, and back to what was there if that fails."""
        before = self._started()
        snapshot = self.knob_file.snapshot()
        try:
            return self._bring(how, knobs, names)
        except NotUp as failure:
            restored, then = self._put_back(before, snapshot, touched=failure.touched)
            raise ApplyFailed(
                f"the broker did not take the change: {failure.why}; {then}", log=failure.log, restored=restored
            ) from None

    def _put_back(self, good: dict[str, Value], snapshot: bytes | None, *, touched: bool) -> tuple[Applied | None, str]:
        untouched = not touched and self._lives()
        try:
            how: How = "none" if untouched else "restart"
            restored = self._bring(how, good, (), write=lambda: self._put_snapshot(snapshot))
        except NotUp as failure:
            self._failed(failure.why)
            return None, f"what was in force before could not be put back: {failure.why}"
        return restored, "the knobs before are still in force" if untouched else "the knobs before are back in force"

    def _write(self, knobs: KnobValues) -> None:
        watched = self._watch.config.knob_file if self._watch else None
        self.knob_file.write(knobs, watched.writing if watched else lambda _: None)
        if watched:
            watched.wrote()

    def _put_snapshot(self, content: bytes | None) -> None:
        watched = self._watch.config.knob_file if self._watch else None
        if watched:
            watched.writing(content)
        self.knob_file.put_snapshot(content)
        if watched:
            watched.wrote()

    def _bring(
        self, how: How, knobs: dict[str, Value], names: tuple[str, ...], *, write: Callable[[], None] | None = None
    ) -> Applied:
        """One attempt, from writing the file to the last check.

        Raises:
            NotUp: it failed.
        """
        began = time.perf_counter()
        old = self._process.identity if self._process else None
        if how != "none":
            try:
                (write or (lambda: self._write(knobs)))()
            except OSError as error:
                raise NotUp(f"{self.knob_file.path} cannot be written: {error.strerror}", "", touched=False) from None
        written = time.perf_counter()
        mark = Mark(self._log.end() if self._log else 0, time.time_ns() // 1000)
        try:
            stopped = self._tell_service(how)
            return self._prove(how, knobs, names, old, mark, (began, written, stopped))
        except (NotInForce, ServiceFailed) as error:
            log = self._words(mark)
            raise NotUp(self._explain(str(error), log), log.strip(), touched=how != "none") from None

    def _tell_service(self, how: How) -> float:
        """Reloads or restarts; gives when the new process may be looked for."""
        if how in ("start", "restart"):
            self._set(state="stopping", knobs=None)
            witness = self._witness()
            try:
                self.service.restart(self._restart_stable_s, lambda why: self._set(error=why))
            finally:
                self._set(error="", restarts=self._status.restarts + 1)
            self._take_new_process(witness)
        elif how == "reload":
            self._set(state="reloading")
            if self._watch:
                self._watch.reloads.reloading()
            self.service.reload(self._reload_stable_s)
        return time.perf_counter()

    def _witness(self) -> Probe | None:
        """A client that a restart must disconnect: the proof where the process cannot be seen."""
        if self._pid is not None:
            return None
        try:
            probe = Probe(self.endpoint, time.monotonic() + self._restart_stable_s)
            probe.hello()
        except (ProbeError, TlsFileError):
            return None
        return probe

    def _take_new_process(self, witness: Probe | None) -> None:
        """The process that the restart has made.

        Raises:
            NotInForce: the old one is still there.
        """
        old = self._process.identity if self._process else None
        if witness is not None:
            with witness:
                if not witness.is_cut():
                    raise NotInForce("the restart command did not restart it: a client from before is still connected")
        deadline = time.monotonic() + self._restart_stable_s
        while True:
            look = self._look()
            self._adopt(look)
            new = self._process.identity if self._process else None
            if old is None or (new is not None and new != old and not old.alive()):
                break
            if new is None and not look.coming_back and not look.active:
                raise NotInForce(f"it ended {look.ended}".rstrip())
            if time.monotonic() >= deadline:
                raise NotInForce(f"the restart command did not restart it: process {old.pid} still runs")
            time.sleep(0.01)
        self._set(state="starting", pid=self._pid, started_at=self._created_at)

    def _prove(
        self,
        how: How,
        knobs: dict[str, Value],
        names: tuple[str, ...],
        old: Identity | None,
        mark: Mark,
        times: tuple[float, float, float],
    ) -> Applied:
        began, written, told = times
        assert self._process is not None
        within_s = self._restart_stable_s if how in ("start", "restart") else self._reload_stable_s
        verifier = Verifier(self._process, self.endpoint, self._log, mark.log, time.monotonic() + within_s)
        if how == "reload":
            verifier.await_reload()
        verified = verifier.verify(knobs, self._good)
        if how == "reload" and old is not None and self._look().pid != old.pid:
            raise NotInForce("it was restarted by somebody else in the middle of the change")
        ended = time.perf_counter()
        applied = Applied(
            how=how,
            knobs=knobs,
            changed=names,
            pid=self._pid or 0,
            old_pid=old.pid if old else None,
            write_s=written - began,
            stop_s=told - written,
            start_s=max(0.0, verified.accepted_at - told),
            verify_s=ended - verified.accepted_at,
            total_s=ended - began,
            checks=verified.checks,
        )
        self._good = knobs
        self._gone = ""
        if self._watch:
            self._watch.verified(how)
        self._set(
            state="listening",
            knobs=knobs,
            last_applied=applied,
            error="",
            outside=False,
            pid=self._pid,
            started_at=self._created_at,
        )
        return applied

    def _words(self, mark: Mark) -> str:
        """What the broker has said since: in its log, and to its keeper before it had read where to log to."""
        words = self._log.since(mark.log) if self._log else ""
        if not errors(words):
            with contextlib.suppress(ServiceFailed):
                words += self.service.last_words(mark.at_us)
        return words

    def _explain(self, why: str, log: str) -> str:
        words = errors(log)
        line = " ".join(words) if words else why
        if words and not why.startswith("its log says"):
            line = f"{line} ({why})"
        if "Address already in use" in line and (held := holder(self.port)):
            line += f"; {held}"
        return line

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
