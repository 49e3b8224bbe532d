"""One attempt to change our own Mosquitto, from the intent on the disk to the last check, and the way back."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from brokertuner_tui.broker.drift import DriftWatch
from brokertuner_tui.broker.find import probe_version
from brokertuner_tui.broker.folder import BrokerFolder
from brokertuner_tui.broker.intent import LastGood
from brokertuner_tui.broker.interface import Applied, ApplyFailed, BrokerStatus
from brokertuner_tui.broker.log import errors
from brokertuner_tui.broker.ports import holder
from brokertuner_tui.broker.prepare import NotPrepared, Prepared, name_of, prepare
from brokertuner_tui.broker.pretest import PreTest
from brokertuner_tui.broker.verify import NotInForce, Verifier
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import KnobValues, Value, Version, changed
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.process.child import Child

HOST = "127.0.0.1"
How = Literal["start", "restart", "reload", "none"]


class NotUp(Exception):
    """The broker did not come up, or not with the wanted knobs: one line, and the log since the attempt."""

    def __init__(self, why: str, log: str) -> None:
        self.why, self.log = why, log
        super().__init__(why)


class NotWritten(NotUp):
    """The config could not be written: nothing was changed."""


@dataclass(frozen=True, slots=True)
class _Stages:
    """When the parts of an attempt began, time.perf_counter()."""

    began: float
    written: float
    stopped: float


class ManagedChange:
    """What is known of the broker, and how a change is made; `ManagedBroker` is what others use.

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
        """Verified last."""
        self._watch: DriftWatch | None = None
        self._last_good = LastGood(self._folder.intent)
        self._pretest: PreTest | None = None
        self._recovered = ""
        self._status = BrokerStatus("stopped", HOST, port, None, None, None, 0, None, None)

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
        return Endpoint(HOST, self._port)

    def alive(self) -> bool:
        """Whether the process that was started last still runs (cheap: no connection is made)."""
        child = self._child
        return child is not None and child.exit_code() is None

    def _started(self) -> dict[str, Value]:
        if self._good is None:
            raise TunerError("the broker is not started")
        return self._good

    def _started_watch(self) -> DriftWatch:
        assert self._watch is not None, "made by start()"
        return self._watch

    def _change(self, how: How, knobs: dict[str, Value], names: tuple[str, ...]) -> Applied:
        """Intent and pre-test, `_bring`, and back to the last known good if that fails."""
        before = self._started()
        try:
            prepared = Prepared()
            if names:
                try:
                    prepared = prepare(self._last_good, self._pretest, before, knobs)
                except NotPrepared as error:
                    raise NotWritten(error.why, error.log) from None
            applied = self._bring(how, knobs, names, prepared=prepared)
        except NotUp as failure:
            restored, then = self._put_back(before, touched=not isinstance(failure, NotWritten))
            raise ApplyFailed(
                f"the broker did not take the change: {failure.why}; {then}", log=failure.log, restored=restored
            ) from None
        self._last_good.reached(knobs)
        return applied

    def _bring(
        self,
        how: How,
        knobs: dict[str, Value],
        names: tuple[str, ...],
        *,
        write: bool = True,
        prepared: Prepared = Prepared(),  # noqa: B008 (it cannot be changed)
    ) -> Applied:
        """One attempt, from writing the config to the last check.

        Raises:
            NotUp: it failed; the process may run or not.
        """
        began = time.perf_counter()
        old_pid = self._status.pid
        if how != "none" and write:
            try:
                watched = self._started_watch().config.knob_file
                self._folder.write_knobs(knobs, watched.writing)
                watched.wrote()
            except OSError as error:
                raise NotWritten(f"its config {self._folder.knob_conf} cannot be written: {error.strerror}", "") from None
        stages = _Stages(began, time.perf_counter(), 0.0)
        if how in ("start", "restart"):
            self._state("stopping" if how == "restart" else "starting")
            self._end_child()
            with contextlib.suppress(OSError):  # a log that stays large is no reason to stay down
                self._folder.log.rotate()
        stages = replace(stages, stopped=time.perf_counter())
        mark = self._folder.log.end()
        try:
            return self._verified(prepared.added_to(self._prove(how, knobs, names, stages, mark, old_pid)))
        except NotInForce as error:
            log = self._folder.log.since(mark)
            raise NotUp(self._explain(str(error), log, knobs), log.strip()) from None

    def _prove(
        self, how: How, knobs: dict[str, Value], names: tuple[str, ...], stages: _Stages, mark: int, old_pid: int | None
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
        return Applied(
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

    def _verified(self, applied: Applied) -> Applied:
        self._good = dict(applied.knobs)
        if self._pretest is not None:
            self._pretest.proven(applied.knobs)
        self._started_watch().verified(applied.how)
        self._status = replace(self._status, state="listening", knobs=applied.knobs, last_applied=applied, error="")
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
            nudge.connect_ex((HOST, self._port))

    def _put_back(self, before: dict[str, Value], *, touched: bool) -> tuple[Applied | None, str]:
        """Sees to it that the last known good is in force; says how it went.

        By restart, because a reload cannot raise a memory_limit again. If nothing was touched, it is only verified that
        `before` still is in force.
        """
        if not touched and self.alive() and self._status.knobs is not None:
            how: How = "none"
            wanted, said = before, "the knobs before are still in force"
        else:
            how, wanted = "restart", self._last_good.knobs or before
            said = f"{name_of(wanted, before)} are back in force"
        try:
            restored = self._bring(how, wanted, changed(before, wanted))
        except NotUp as failure:
            self._failed(failure.why)
            return None, f"{name_of(wanted, before)} could not be put back: {failure.why}"
        self._last_good.reached(wanted)
        return restored, said

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
