"""One attempt to change a broker that is not ours, from writing the file to the last check, and the way back."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from brokertuner_tui.broker.external_known import BrokerKnown
from brokertuner_tui.broker.intent import LastGood
from brokertuner_tui.broker.interface import Applied, ApplyFailed
from brokertuner_tui.broker.log import errors
from brokertuner_tui.broker.ports import holder
from brokertuner_tui.broker.prepare import NotPrepared, Prepared, name_of, prepare
from brokertuner_tui.broker.probe import Probe, ProbeError
from brokertuner_tui.broker.service import ServiceFailed
from brokertuner_tui.broker.verify import NotInForce, Verifier
from brokertuner_tui.knobs.catalogue import KnobValues, Value, changed, needs_restart
from brokertuner_tui.mqtt.tls import TlsFileError
from brokertuner_tui.process.identity import Identity

How = Literal["start", "restart", "reload", "none"]


class NotUp(Exception):
    """The broker did not come up, or not with the wanted knobs: one line, and the log since the attempt."""

    def __init__(self, why: str, log: str, *, touched: bool = True) -> None:
        self.why, self.log, self.touched = why, log, touched
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Mark:
    """From where on the broker's words count: in its log, and on its keeper's clock (microseconds)."""

    log: int
    at_us: int


class BrokerChange(BrokerKnown):
    """How a change is made, and what leads back."""

    def _means(self, before: KnobValues, knobs: KnobValues) -> How:
        """The least that brings `knobs` into force and can be seen to have done so."""
        if not changed(before, knobs):
            return "none"
        return "reload" if self._sees_reloads() and not needs_restart(before, knobs) else "restart"

    def _sees_reloads(self) -> bool:
        """Whether it can be told to read its config again, and says that it does."""
        return self._log is not None and self.facts.conf.tells_of_reloads() and self.service.can_reload()

    def _change(self, how: How, knobs: dict[str, Value], names: tuple[str, ...]) -> Applied:
        """Intent and pre-test, `_bring`, and back to the last known good if that fails."""
        before, last_good = self._started(), self._started_last_good()
        try:
            prepared = Prepared()
            if names:
                try:
                    prepared = prepare(last_good, self._pretest, before, knobs)
                except NotPrepared as error:
                    raise NotUp(error.why, error.log, touched=False) from None
            applied = self._bring(how, knobs, names, prepared=prepared)
        except NotUp as failure:
            restored, then = self._put_back(before, touched=failure.touched)
            raise ApplyFailed(
                f"the broker did not take the change: {failure.why}; {then}", log=failure.log, restored=restored
            ) from None
        last_good.reached(knobs)
        return applied

    def _put_back(self, before: dict[str, Value], *, touched: bool) -> tuple[Applied | None, str]:
        """Sees to it that the last known good is in force; says how it went.

        If nothing was touched, it is only verified that `before` still is in force.
        """
        last_good = self._started_last_good()
        if not touched and self._lives():
            how: How = "none"
            wanted, content, said = before, self._content, "the knobs before are still in force"
        else:
            how, wanted, content = "restart", last_good.knobs or before, last_good.file
            said = f"{name_of(wanted, before)} are back in force"
        try:
            restored = self._bring(how, wanted, changed(before, wanted), write=lambda: self._put_snapshot(content))
        except NotUp as failure:
            self._failed(failure.why)
            return None, f"{name_of(wanted, before)} could not be put back: {failure.why}"
        last_good.reached(wanted)
        return restored, said

    def _write(self, knobs: KnobValues) -> None:
        watched = self._watch.config.knob_file if self._watch else None

        def announce(content: bytes) -> None:
            self._content = content
            if watched:
                watched.writing(content)

        self.knob_file.write(knobs, announce)
        if watched:
            watched.wrote()

    def _put_snapshot(self, content: bytes | None) -> None:
        watched = self._watch.config.knob_file if self._watch else None
        if watched:
            watched.writing(content)
        self.knob_file.put_snapshot(content)
        self._content = content
        if watched:
            watched.wrote()

    def _started_last_good(self) -> LastGood:
        assert self._last_good is not None, "made by start()"
        return self._last_good

    def _bring(
        self,
        how: How,
        knobs: dict[str, Value],
        names: tuple[str, ...],
        *,
        write: Callable[[], None] | None = None,
        prepared: Prepared = Prepared(),  # noqa: B008 (it cannot be changed)
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
            applied = self._prove(how, knobs, names, old, mark, (began, written, stopped))
            return self._verified(prepared.added_to(applied))
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
        return Applied(
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

    def _verified(self, applied: Applied) -> Applied:
        self._good = dict(applied.knobs)
        self._gone = ""
        if self._pretest is not None:
            self._pretest.proven(applied.knobs)
        if self._watch:
            self._watch.verified(applied.how)
        self._set(
            state="listening",
            knobs=applied.knobs,
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
