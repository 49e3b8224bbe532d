"""A broker that was there before us: one file is written, it is reloaded or restarted, and what comes of it is proven."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from brokertuner_tui.broker.external_checks import Facts, NotReady, find_facts
from brokertuner_tui.broker.interface import Applied, ApplyFailed, BrokerStatus, BrokerStopped, BrokerUnavailable
from brokertuner_tui.broker.knob_file import KnobFile
from brokertuner_tui.broker.log import errors
from brokertuner_tui.broker.operator_conf import read_operator_conf
from brokertuner_tui.broker.ports import holder
from brokertuner_tui.broker.probe import Probe, ProbeError
from brokertuner_tui.broker.service import FileLog, Log, Look, Problem, Service, ServiceFailed
from brokertuner_tui.broker.verify import NotInForce, Verifier
from brokertuner_tui.errors import TunerError, UsageError
from brokertuner_tui.knobs.catalogue import KnobValues, Value, Version, changed, needs_restart
from brokertuner_tui.knobs.validation import check_all
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.mqtt.tls import TlsFileError
from brokertuner_tui.process.identity import Identity

_LOOK_AGAIN_S = 0.3
_How = Literal["start", "restart", "reload", "none"]


class _NotUp(Exception):
    """The broker did not come up, or not with the wanted knobs: one line, and the log since the attempt."""

    def __init__(self, why: str, log: str, *, touched: bool = True) -> None:
        self.why, self.log, self.touched = why, log, touched
        super().__init__(why)


@dataclass(slots=True)
class _Process:
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
class _Mark:
    """From where on the broker's words count: in its log, and on its keeper's clock (microseconds)."""

    log: int
    at_us: int


class NotKnown(TunerError):
    """What the running broker has read cannot be told without restarting it."""


class ExternalBroker:
    """Changes and verifies a broker that somebody else owns. Methods are called by one thread, `status` by any.

    Nothing is touched before `start` has checked everything, and the operator's own knob file is kept before the first write.

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
        self._process: _Process | None = None
        self._good: dict[str, Value] | None = None
        """Verified last; what a failed change goes back to."""
        self._looked_at = 0.0
        self._gone = ""
        self._status = BrokerStatus("stopped", "", 0, None, None, None, 0, None, None)

    # -- what is known -------------------------------------------------------------------------------------------------

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

    def problems(self) -> list[Problem]:
        """Everything that stands in the way, found without touching anything."""
        found = self.service.problems()
        try:
            facts = self.facts
        except NotReady as error:
            return [*found, *error.problems]
        except TunerError as error:
            return [*found, Problem(str(error), "what it names")]
        found += facts.problems(self.service)
        if not found:
            try:
                with Probe(facts.endpoint, time.monotonic() + self._reload_stable_s) as probe:
                    probe.hello()
                    probe.round_trip()
            except (ProbeError, TlsFileError) as error:
                found.append(Problem(f"{facts.endpoint}: {error}", "broker.host, port, username, tls: what its clients use"))
        return found

    # -- changing it ---------------------------------------------------------------------------------------------------

    def start(self, knobs: KnobValues) -> Applied:
        """Checks everything, takes the knob file, keeps the operator's own, and brings `knobs` into force.

        Where the running process already has them, nothing is written and nothing restarted.

        Raises:
            UsageError: a value is not legal.
            NotReady: something stands in the way; nothing was touched. Each line names what, and what mends it.
            ApplyFailed: it did not take the knobs; what was there before was put back.
            TunerError: another tuner is at work.
        """
        return self._begin(check_all(knobs))

    def take_over(self) -> Applied:
        """As `start`, with the knobs that are in force: nothing is written and nothing restarted.

        Raises:
            NotKnown: its config is younger than its process: what that has read cannot be told.
            NotReady, ApplyFailed, TunerError: see `start`.
        """
        return self._begin(None)

    def _begin(self, legal: dict[str, Value] | None) -> Applied:
        if self._good is not None:
            raise TunerError("the broker was started before: stop it first")
        self._facts = None
        if found := self.problems():
            raise NotReady(self.service.name, found)
        facts = self.facts
        facts.knob_file.lock()
        try:
            facts.knob_file.keep_original()
            self._log = self.service.log(facts.conf)
            self._adopt(self._look())
            self._status = BrokerStatus(
                "listening", self.host, self.port, self._pid, self._created_at, self.version, 0, None, None
            )
            in_force = self._in_force()
            if legal is None and in_force is None:
                raise NotKnown(f"{self.program}: its config was changed after it was started: restart it, so that both agree")
            legal = legal or in_force or self.baseline
            self._good = in_force or self.baseline
            how: _How = "restart"
            if in_force is not None:
                how = self._means(in_force, legal)
            applied = self._change("start" if how == "restart" else how, legal, changed(self._good, legal))
        except BaseException:
            self.stop()
            raise
        self._status = replace(self._status, restarts=0)
        return applied

    def apply(self, knobs: KnobValues) -> Applied:
        """Brings `knobs` into force by reload or restart, whatever the change needs, and verifies it.

        Raises:
            UsageError: a value is not legal; nothing was touched.
            BrokerStopped: somebody stopped it on purpose; nothing was touched.
            ApplyFailed: they did not come into force; the last good knobs were put back (see `restored`).
            TunerError: the broker was never started.
        """
        legal = check_all(knobs)
        before = self._started()
        how: _How = "restart"
        if self.alive():
            if self._status.knobs is not None:
                how = self._means(before, legal)
        else:
            self._not_on_purpose()
        return self._change(how, legal, changed(before, legal))

    def restart(self) -> Applied:
        """Restarts with the knobs in force, and verifies (also one that somebody stopped: whoever calls this wants it).

        Raises:
            ApplyFailed: it did not come up.
            TunerError: it was never started.
        """
        good = self._started()
        try:
            return self._bring("restart", good, ())
        except _NotUp as failure:
            self._failed(failure.why)
            raise ApplyFailed(f"the broker did not come back: {failure.why}", log=failure.log) from None

    def revive(self) -> Applied:
        """Brings back a broker that is gone, by as little as possible.

        Somebody else's new process is taken over and verified; one that is about to come back is waited for; else there is one
        restart.

        Raises:
            BrokerStopped: somebody stopped it on purpose.
            ApplyFailed: it did not come up.
            TunerError: it was never started.
        """
        good = self._started()
        old = self._process.pid if self._process else None
        deadline = time.monotonic() + self._restart_stable_s
        while True:
            look = self._not_on_purpose()
            if look.active and (look.pid is None or look.pid != old or self._lives()):
                break
            if not look.coming_back or time.monotonic() >= deadline:
                return self.restart()
            time.sleep(0.1)
        is_new = look.pid != old
        self._adopt(look)
        self._status = replace(self._status, restarts=self._status.restarts + is_new)
        try:
            return replace(self._bring("none", good, ()), old_pid=old)
        except _NotUp:
            return self.restart()

    def alive(self) -> bool:
        """Whether the process that was verified last still runs; somebody else's restart counts as its end (see `revive`)."""
        if self._process is None or self._good is None:
            return False
        if self._process.identity is not None and self._lives():
            return True
        now = time.monotonic()
        if now - self._looked_at < _LOOK_AGAIN_S and (self._gone or self._process.identity is None):
            return not self._gone
        self._looked_at = now
        self._gone = self._how_it_went()
        return not self._gone

    def status(self) -> BrokerStatus:
        """A snapshot; a broker that has gone shows as `failed`."""
        status, process = self._status, self._process
        if status.state != "listening" or process is None:
            return status
        if (process.identity is not None and not process.identity.alive()) or (process.identity is None and self._gone):
            why = self._gone or "the broker is gone"
            return replace(status, state="failed", pid=None, started_at=None, knobs=None, error=why, outside=_from_outside(why))
        return status

    def stop(self) -> None:
        """Lets go: the broker goes on with what is in force. May be called again."""
        if self._facts is not None:
            self._facts.knob_file.unlock()
        self._good = self._process = None
        self._gone = ""
        self._status = replace(self._status, state="stopped", pid=None, started_at=None, knobs=None, error="")

    def restore(self) -> Applied:
        """Puts back what was there before the tuner first wrote, and sees to it that it is in force.

        Raises:
            UsageError: nothing was kept, or somebody else has changed the file since.
            NotReady: something stands in the way; nothing was touched.
            ApplyFailed: the file is back, but the broker does not run with it.
        """
        self._facts = None
        facts = self.facts
        original = facts.knob_file.original()
        if original is None:
            raise UsageError(
                f"nothing was kept of {facts.knob_file.path} (in {facts.knob_file.kept.parent}): nothing to put back"
            )
        if facts.knob_file.path.exists() and not facts.knob_file.is_ours() and not facts.knob_file.is_back(original):
            raise UsageError(
                f"{facts.knob_file.path} was changed by somebody else since: move it away first; the original is in "
                f"{facts.knob_file.kept}"
            )
        blocking = [*facts.knob_file.problems(facts.user(self.service)), *self.service.problems()]
        if blocking:
            raise NotReady(self.service.name, blocking)
        facts.knob_file.lock()
        try:
            self._log = self.service.log(facts.conf)
            self._adopt(self._look())
            self._status = BrokerStatus(
                "listening", self.host, self.port, self._pid, self._created_at, self.version, 0, None, None
            )
            in_force = self._in_force()
            wanted = self.baseline
            self._good = in_force or wanted
            how: _How = "restart" if in_force is None else self._means(in_force, wanted)
            applied = self._bring(how, wanted, changed(self._good, wanted), write=lambda: facts.knob_file.put_back(original))
            if how == "none":
                facts.knob_file.put_back(original)
            if not facts.knob_file.is_back(original):
                raise ApplyFailed(f"{facts.knob_file.path} is not what was put back: somebody else writes it, too")
            facts.knob_file.forget()
            return applied
        except _NotUp as failure:
            raise ApplyFailed(
                f"the original is back, but the broker does not run with it: {failure.why}", log=failure.log
            ) from None
        finally:
            self.stop()

    # -- how -----------------------------------------------------------------------------------------------------------

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
        self._process = _Process(identity, self._look)
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

    def _means(self, before: KnobValues, knobs: KnobValues) -> _How:
        """The least that brings `knobs` into force and can be seen to have done so."""
        if not changed(before, knobs):
            return "none"
        told = self._log is not None and self.facts.conf.tells_of_reloads() and self.service.can_reload()
        return "reload" if told and not needs_restart(before, knobs) else "restart"

    def _change(self, how: _How, knobs: dict[str, Value], names: tuple[str, ...]) -> Applied:
        """`_bring`, and back to what was there if that fails."""
        before = self._started()
        snapshot = self.knob_file.snapshot()
        try:
            return self._bring(how, knobs, names)
        except _NotUp as failure:
            restored, then = self._put_back(before, snapshot, touched=failure.touched)
            raise ApplyFailed(
                f"the broker did not take the change: {failure.why}; {then}", log=failure.log, restored=restored
            ) from None

    def _put_back(self, good: dict[str, Value], snapshot: bytes | None, *, touched: bool) -> tuple[Applied | None, str]:
        untouched = not touched and self._lives()
        try:
            how: _How = "none" if untouched else "restart"
            restored = self._bring(how, good, (), write=lambda: self.knob_file.put_snapshot(snapshot))
        except _NotUp as failure:
            self._failed(failure.why)
            return None, f"what was in force before could not be put back: {failure.why}"
        return restored, "the knobs before are still in force" if untouched else "the knobs before are back in force"

    def _bring(
        self, how: _How, knobs: dict[str, Value], names: tuple[str, ...], *, write: Callable[[], None] | None = None
    ) -> Applied:
        """One attempt, from writing the file to the last check.

        Raises:
            _NotUp: it failed.
        """
        began = time.perf_counter()
        old = self._process.identity if self._process else None
        if how != "none":
            try:
                (write or (lambda: self.knob_file.write(knobs)))()
            except OSError as error:
                raise _NotUp(f"{self.knob_file.path} cannot be written: {error.strerror}", "", touched=False) from None
        written = time.perf_counter()
        mark = _Mark(self._log.end() if self._log else 0, time.time_ns() // 1000)
        try:
            stopped = self._tell_service(how)
            return self._prove(how, knobs, names, old, mark, (began, written, stopped))
        except (NotInForce, ServiceFailed) as error:
            log = self._words(mark)
            raise _NotUp(self._explain(str(error), log), log.strip()) from None

    def _tell_service(self, how: _How) -> float:
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
        how: _How,
        knobs: dict[str, Value],
        names: tuple[str, ...],
        old: Identity | None,
        mark: _Mark,
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

    def _words(self, mark: _Mark) -> str:
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


def _from_outside(why: str) -> bool:
    """Whether somebody, and not the knobs, made it go."""
    return "from outside" in why or "by somebody" in why or why.endswith(("signal 9", "signal 15"))
