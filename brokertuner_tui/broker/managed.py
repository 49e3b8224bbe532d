"""Our own Mosquitto: a child process on a loopback port, with a private config folder."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from brokertuner_tui.broker.drift import ConfigWatch, DriftWatch
from brokertuner_tui.broker.find import probe_version
from brokertuner_tui.broker.folder import BrokerFolder
from brokertuner_tui.broker.interface import Applied, ApplyFailed, BrokerDrifted, BrokerStatus, Difference
from brokertuner_tui.broker.log import errors
from brokertuner_tui.broker.operator_conf import read_operator_conf
from brokertuner_tui.broker.ports import PortTaken, free_port, holder, is_free
from brokertuner_tui.broker.verify import NotInForce, Verifier
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import KnobValues, Value, Version, changed, defaults, needs_restart
from brokertuner_tui.knobs.validation import check_all
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.process.child import Child

_HOST = "127.0.0.1"
_How = Literal["start", "restart", "reload", "none"]


class _NotUp(Exception):
    """The broker did not come up, or not with the wanted knobs: one line, and the log since the attempt."""

    def __init__(self, why: str, log: str) -> None:
        self.why, self.log = why, log
        super().__init__(why)


class _NotWritten(_NotUp):
    """The config could not be written: nothing was changed."""


@dataclass(frozen=True, slots=True)
class _Stages:
    """When the parts of an attempt began, time.perf_counter()."""

    began: float
    written: float
    stopped: float


class ManagedBroker:
    """Starts, changes, verifies and ends one Mosquitto. Methods are called by one thread, `status` by any.

    Args:
        mosquitto: the program (see `find_mosquitto`).
        folder: for its config, log and data; made if missing, kept at the end (0700; one tuner at a time). What an earlier
            broker saved there is deleted at `start`.
        port: on 127.0.0.1; 0: a free one, which stays the same through every restart.
        extra_conf: a config file of the operator's that is included, too (copied at `start`; the knobs win over it). It must
            leave the log where it is and let anonymous clients in.
        restart_stable_s: how long a start may take until it is verified.
        reload_stable_s: the same for a reload.
        stop_s: how long TERM may take before KILL.
    """

    def __init__(
        self,
        mosquitto: Path,
        folder: Path,
        *,
        port: int = 0,
        extra_conf: Path | None = None,
        restart_stable_s: float = 20.0,
        reload_stable_s: float = 3.0,
        stop_s: float = 10.0,
    ) -> None:
        self._mosquitto = mosquitto
        self._folder = BrokerFolder(folder)
        self._wanted_port = self._port = port
        self._extra_conf = extra_conf
        self._restart_stable_s, self._reload_stable_s, self._stop_s = restart_stable_s, reload_stable_s, stop_s
        self._version: Version | None = None
        self._child: Child | None = None
        self._good: dict[str, Value] | None = None
        """Verified last; what a failed change goes back to."""
        self._watch: DriftWatch | None = None
        self._status = BrokerStatus("stopped", _HOST, port, None, None, None, 0, None, None)

    @property
    def host(self) -> str:
        """Always loopback."""
        return _HOST

    @property
    def port(self) -> int:
        """Where clients connect to; 0 before the first `start` if none was given."""
        return self._port

    @property
    def version(self) -> Version:
        """Mosquitto's version, asked for once.

        Raises:
            TunerError: the program is not Mosquitto, or too old.
        """
        if self._version is None:
            self._version = probe_version(self._mosquitto)
        return self._version

    @property
    def endpoint(self) -> Endpoint:
        """Plain TCP on loopback; anonymous clients are let in."""
        return Endpoint(_HOST, self._port)

    @property
    def baseline(self) -> dict[str, Value]:
        """The defaults of this version."""
        return defaults(self.version)

    @property
    def program(self) -> str:
        """The path of the program."""
        return str(self._mosquitto)

    @property
    def log_path(self) -> Path | None:
        """The broker's log."""
        return self._folder.log.path

    @property
    def folder(self) -> Path:
        """The private folder."""
        return self._folder.path

    def start(self, knobs: KnobValues) -> Applied:
        """Starts with `knobs` in force.

        Raises:
            UsageError: a value is not legal, or `extra_conf` cannot be read.
            ApplyFailed: it did not come up.
            TunerError: the program is not Mosquitto, the port is taken, or the folder cannot be written or is in use.
        """
        legal = check_all(knobs)
        if self._good is not None or self._child is not None:
            raise TunerError("the broker was started before: stop it first")
        version = self.version
        self._port = self._free_port()
        self._folder.open(_HOST, self._port, self._extra_conf)
        self._status = BrokerStatus("stopped", _HOST, self._port, None, None, version, 0, None, None)
        try:
            folder = self._folder
            self._watch = DriftWatch(lambda: read_operator_conf(folder.main_conf), folder.knob_conf, folder.log)
            return self._bring("start", legal, ())
        except _NotUp as failure:
            self.stop()
            self._failed(failure.why)
            raise ApplyFailed(f"the broker did not start: {failure.why}", log=failure.log) from None
        except BaseException:
            self.stop()
            raise

    def apply(self, knobs: KnobValues) -> Applied:
        """Brings `knobs` into force by reload or restart, whatever the change needs, and verifies it.

        Raises:
            UsageError: a value is not legal; nothing was touched.
            BrokerDrifted: its config is not as it was left; nothing was touched.
            ApplyFailed: they did not come into force; the last good knobs were put back (see `restored`).
            TunerError: the broker was never started.
        """
        legal = check_all(knobs)
        before = self._started()
        self._refuse_drift()
        names = changed(before, legal)
        how: _How = "none"
        if not self.alive() or self._status.knobs is None or needs_restart(before, legal):
            how = "restart"
        elif names:
            how = "reload"
        try:
            return self._bring(how, legal, names)
        except _NotUp as failure:
            restored, then = self._put_back(before, touched=not isinstance(failure, _NotWritten))
            raise ApplyFailed(
                f"the broker did not take the change: {failure.why}; {then}", log=failure.log, restored=restored
            ) from None

    def restart(self) -> Applied:
        """Restarts with the knobs in force, and verifies (also brings back one that has died).

        Raises:
            BrokerDrifted: its config is not as it was left; nothing was touched.
            ApplyFailed: it did not come up.
            TunerError: it was never started.
        """
        good = self._started()
        self._refuse_drift()
        try:
            return self._bring("restart", good, ())
        except _NotUp as failure:
            self._failed(failure.why)
            raise ApplyFailed(f"the broker did not come back: {failure.why}", log=failure.log) from None

    def drift(self, *, ask: bool = False) -> tuple[Difference, ...]:
        """See `Broker`. One that died on its own, or is brought back by us, is as it was left."""
        if self._watch is None or self._good is None:
            return ()
        if ask and self.alive():
            self._watch.ask(self.endpoint, self._good)
        found = self._watch.differences(self._good, self.version)
        if found != self._status.drift:
            self._status = replace(self._status, drift=found)
        return found

    def accept(self) -> Applied:
        """See `Broker`: it reloads, or is restarted, where that is what its config takes to come into force.

        Raises:
            ApplyFailed: it does not run with that.
            TunerError: the config cannot be read, or the broker was never started.
        """
        before, watch = self._started(), self._started_watch()
        config = watch.config.renewed()
        theirs = config.on_disk(self.version)
        how: _How = "reload" if watch.config.files() else "none"  # a reload also for what the files hold beside the knobs
        if not self.alive() or self._status.knobs is None or watch.asked or needs_restart(before, theirs):
            how = "restart"
        return self._settle_drift(how, theirs, changed(before, theirs), config, write=False)

    def reclaim(self) -> Applied:
        """See `Broker`.

        Raises:
            ApplyFailed: what was in force does not come back.
            TunerError: the broker was never started.
        """
        good, watch = self._started(), self._started_watch()
        conf = read_operator_conf(self._folder.main_conf, self._folder.knob_conf)
        for name, place in conf.after_ours.items():
            raise TunerError(f"{place} sets {name}, is read after ours and wins over it: take that line away first")
        config = watch.config.renewed()
        try:
            watch.config.knob_file.make_way()
        except OSError as error:
            raise TunerError(f"{self._folder.knob_conf} cannot be replaced: {error.strerror}") from None
        return self._settle_drift("restart", good, (), config, write=True)

    def _settle_drift(
        self, how: _How, knobs: dict[str, Value], names: tuple[str, ...], config: ConfigWatch, *, write: bool
    ) -> Applied:
        watch = self._started_watch()
        try:
            applied = self._bring(how, knobs, names, write=write)
        except _NotUp as failure:
            self._failed(failure.why)
            whose = "what we had" if write else "what is there now"
            raise ApplyFailed(f"the broker does not run with {whose}: {failure.why}", log=failure.log) from None
        if write:
            config.knob_file = watch.config.knob_file
        watch.settle(config)
        self._status = replace(self._status, drift=())
        return applied

    def _started_watch(self) -> DriftWatch:
        assert self._watch is not None, "made by start()"
        return self._watch

    def _refuse_drift(self) -> None:
        if found := (self.drift() or self._started_watch().may_write()):
            raise BrokerDrifted(found)

    def alive(self) -> bool:
        """Whether the process that was started last still runs (cheap: no connection is made)."""
        child = self._child
        return child is not None and child.exit_code() is None

    def status(self) -> BrokerStatus:
        """A snapshot; a broker that has died on its own shows as `failed`."""
        status, child = self._status, self._child
        if status.state == "listening" and child is not None and (code := child.exit_code()) is not None:
            how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
            # A kill from outside says nothing about the knobs; whatever else ended it may well be their doing.
            outside = code in (-signal.SIGKILL, -signal.SIGTERM)
            error = f"the broker ended {how}"
            return replace(status, state="failed", pid=None, started_at=None, knobs=None, error=error, outside=outside)
        return status

    def stop(self) -> None:
        """Ends the broker: TERM, a deadline, KILL. May be called again."""
        self._end_child()
        self._folder.close()
        self._good = self._watch = None
        self._status = replace(self._status, state="stopped", pid=None, started_at=None, knobs=None, error="", drift=())

    def _started(self) -> dict[str, Value]:
        if self._good is None:
            raise TunerError("the broker is not started")
        return self._good

    def _free_port(self) -> int:
        """The port that was asked for, or the one that was chosen before, or a new choice."""
        if self._port and is_free(_HOST, self._port):
            return self._port
        if self._wanted_port:
            held = holder(self._port)
            raise PortTaken(f"the broker cannot listen: {held or f'port {self._port} cannot be had'}")
        try:
            return free_port(_HOST)
        except OSError as error:
            raise TunerError(f"the broker cannot listen: {error}") from None

    def _bring(self, how: _How, knobs: dict[str, Value], names: tuple[str, ...], *, write: bool = True) -> Applied:
        """One attempt, from writing the config to the last check.

        Raises:
            _NotUp: it failed; the process may run or not.
        """
        began = time.perf_counter()
        old_pid = self._status.pid
        if how != "none" and write:
            try:
                watched = self._started_watch().config.knob_file
                self._folder.write_knobs(knobs, watched.writing)
                watched.wrote()
            except OSError as error:
                raise _NotWritten(f"its config {self._folder.knob_conf} cannot be written: {error.strerror}", "") from None
        stages = _Stages(began, time.perf_counter(), 0.0)
        if how in ("start", "restart"):
            self._state("stopping" if how == "restart" else "starting")
            self._end_child()
            with contextlib.suppress(OSError):  # a log that stays large is no reason to stay down
                self._folder.log.rotate()
        stages = replace(stages, stopped=time.perf_counter())
        mark = self._folder.log.end()
        try:
            return self._prove(how, knobs, names, stages, mark, old_pid)
        except NotInForce as error:
            log = self._folder.log.since(mark)
            raise _NotUp(self._explain(str(error), log, knobs), log.strip()) from None

    def _prove(
        self, how: _How, knobs: dict[str, Value], names: tuple[str, ...], stages: _Stages, mark: int, old_pid: int | None
    ) -> Applied:
        if how in ("start", "restart"):
            child = self._spawn(restarts=self._status.restarts + (how == "restart"))
            within_s = self._restart_stable_s
        else:
            assert self._child is not None
            child, within_s = self._child, self._reload_stable_s
        verifier = Verifier(child, self.endpoint, self._folder.log, mark, time.monotonic() + within_s)
        if how == "reload":
            self._state("reloading")
            self._started_watch().reloads.reloading()
            self._signal(child, signal.SIGHUP)
            verifier.await_reload()
        verified = verifier.verify(knobs, self._good)
        if not knobs["persistence"]:
            with contextlib.suppress(OSError):
                self._folder.forget_sessions()
        ended = time.perf_counter()
        applied = Applied(
            how=how,
            knobs=knobs,
            changed=names,
            pid=child.pid,
            old_pid=old_pid,
            write_s=stages.written - stages.began,
            stop_s=stages.stopped - stages.written,
            start_s=verified.accepted_at - stages.stopped,
            verify_s=ended - verified.accepted_at,
            total_s=ended - stages.began,
            checks=verified.checks,
        )
        self._good = knobs
        self._started_watch().verified(how)
        self._status = replace(self._status, state="listening", knobs=knobs, last_applied=applied, error="")
        return applied

    def _spawn(self, *, restarts: int) -> Child:
        try:
            self._child = Child(
                [self._mosquitto, "-c", self._folder.main_conf], log_path=self._folder.log.path, cwd=self._folder.path
            )
        except OSError as error:
            raise NotInForce(f"{self._mosquitto} cannot be run: {error.strerror}") from None
        identity = self._child.identity
        self._status = replace(
            self._status, state="starting", pid=identity.pid, started_at=identity.created_at, restarts=restarts, knobs=None
        )
        return self._child

    def _end_child(self) -> None:
        if self._child is not None:
            self._signal(self._child, signal.SIGTERM)
            self._child.stop(self._stop_s)
            self._child = None

    def _signal(self, child: Child, number: int) -> None:
        """Sends a signal, and a connection to go with it.

        2.0 blocks signals while it waits for clients, and an idle broker waits up to 100 ms.
        """
        child.signal(number)
        with contextlib.suppress(OSError), socket.socket() as nudge:
            nudge.setblocking(False)
            nudge.connect_ex((_HOST, self._port))

    def _put_back(self, good: dict[str, Value], *, touched: bool) -> tuple[Applied | None, str]:
        """Sees to it that the last good knobs are in force; says how it went.

        By restart, because a reload cannot raise a memory_limit again; if nothing was touched, they only are verified.
        """
        untouched = not touched and self.alive() and self._status.knobs is not None
        try:
            restored = self._bring("none" if untouched else "restart", good, ())
        except _NotUp as failure:
            self._failed(failure.why)
            return None, f"the knobs before could not be put back: {failure.why}"
        return restored, "the knobs before are still in force" if untouched else "the knobs before are back in force"

    def _explain(self, why: str, log: str, knobs: KnobValues) -> str:
        """One line: the broker's own words where it has any, else what they would be."""
        words = errors(log)
        line = " ".join(words) if words else why
        if words and not why.startswith("its log says"):
            line = f"{line} ({why})"
        if "Address already in use" in line and (held := holder(self._port)):
            line += f"; {held}"
        # It says nothing, or that it is out of memory, or drops its clients.
        if knobs["memory_limit"] and (not words or "memory" in line):
            line += f"; memory_limit {knobs['memory_limit']} may be less than the broker itself needs"
        return line

    def _state(self, state: Literal["starting", "reloading", "stopping"]) -> None:
        self._status = replace(self._status, state=state)

    def _failed(self, why: str) -> None:
        alive = self.alive()
        self._status = replace(
            self._status,
            state="failed",
            pid=self._status.pid if alive else None,
            started_at=self._status.started_at if alive else None,
            knobs=None,
            error=why,
        )
