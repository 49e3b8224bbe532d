"""A broker that was there before us: one file is written, it is reloaded or restarted, and what comes of it is proven."""

from __future__ import annotations

import time
from dataclasses import replace

from brokertuner_tui.broker.drift import DriftWatch
from brokertuner_tui.broker.external_change import How, NotKnown, NotUp
from brokertuner_tui.broker.external_checks import NotReady
from brokertuner_tui.broker.external_drift import BrokerDrift
from brokertuner_tui.broker.interface import Applied, ApplyFailed, BrokerStatus
from brokertuner_tui.broker.operator_conf import read_operator_conf
from brokertuner_tui.broker.probe import Probe, ProbeError
from brokertuner_tui.broker.service import Problem
from brokertuner_tui.errors import TunerError, UsageError
from brokertuner_tui.knobs.catalogue import KnobValues, Value, changed
from brokertuner_tui.knobs.validation import check_all
from brokertuner_tui.mqtt.tls import TlsFileError

__all__ = ["ExternalBroker", "NotKnown"]

_LOOK_AGAIN_S = 0.3


class ExternalBroker(BrokerDrift):
    """Changes and verifies a broker that somebody else owns. Methods are called by one thread, `status` by any.

    Nothing is touched before `start` has checked everything, and the operator's own knob file is kept before the first write.
    """

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
                found.append(
                    Problem(f"{facts.endpoint}: {error}", "broker.host, port, username, tls: what its clients use", passes=True)
                )
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
            self._watch = DriftWatch(
                lambda: read_operator_conf(facts.conf.main, here=self.service.path_here), facts.knob_file.path, self._log
            )
            self._adopt(self._look())
            self._status = BrokerStatus(
                "listening", self.host, self.port, self._pid, self._created_at, self.version, 0, None, None
            )
            in_force = self._in_force()
            if legal is None and in_force is None:
                raise NotKnown(f"{self.program}: its config was changed after it was started: restart it, so that both agree")
            legal = legal or in_force or self.baseline
            self._good = in_force or self.baseline
            how: How = "restart"
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
            BrokerDrifted: its config is not as it was left; nothing was touched.
            ApplyFailed: they did not come into force; the last good knobs were put back (see `restored`).
            TunerError: the broker was never started.
        """
        legal = check_all(knobs)
        before = self._started()
        self._refuse_drift()
        how: How = "restart"
        if self.alive():
            if self._status.knobs is not None:
                how = self._means(before, legal)
        else:
            self._not_on_purpose()
        return self._change(how, legal, changed(before, legal))

    def restart(self) -> Applied:
        """Restarts with the knobs in force, and verifies (also one that somebody stopped: whoever calls this wants it).

        Raises:
            BrokerDrifted: its config is not as it was left; nothing was touched.
            ApplyFailed: it did not come up.
            TunerError: it was never started.
        """
        good = self._started()
        self._refuse_drift()
        try:
            return self._bring("restart", good, ())
        except NotUp as failure:
            self._failed(failure.why)
            raise ApplyFailed(f"the broker did not come back: {failure.why}", log=failure.log) from None

    def revive(self) -> Applied:
        """Brings back a broker that is gone, by as little as possible.

        Somebody else's new process is taken over and verified; one that is about to come back is waited for; else there is one
        restart.

        Raises:
            BrokerStopped: somebody stopped it on purpose.
            BrokerDrifted: its config is not as it was left; nothing was touched.
            ApplyFailed: it did not come up.
            TunerError: it was never started.
        """
        good = self._started()
        self._refuse_drift()
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
            applied = replace(self._bring("none", good, ()), old_pid=old)
        except NotUp:
            self._refuse_limits()
            return self.restart()
        if is_new:
            self._started_watch().reloads.settle()
        return applied

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
        self._good = self._process = self._watch = None
        self._gone = ""
        self._status = replace(self._status, state="stopped", pid=None, started_at=None, knobs=None, error="", drift=())

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
            how: How = "restart" if in_force is None else self._means(in_force, wanted)
            applied = self._bring(how, wanted, changed(self._good, wanted), write=lambda: facts.knob_file.put_back(original))
            if how == "none":
                facts.knob_file.put_back(original)
            if not facts.knob_file.is_back(original):
                raise ApplyFailed(f"{facts.knob_file.path} is not what was put back: somebody else writes it, too")
            facts.knob_file.forget()
            return applied
        except NotUp as failure:
            raise ApplyFailed(
                f"the original is back, but the broker does not run with it: {failure.why}", log=failure.log
            ) from None
        finally:
            self.stop()


def _from_outside(why: str) -> bool:
    """Whether somebody, and not the knobs, made it go."""
    return "from outside" in why or "by somebody" in why or why.endswith(("signal 9", "signal 15"))
