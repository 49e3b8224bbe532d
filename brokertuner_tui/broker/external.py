"""A broker that was there before us: one file is written, it is reloaded or restarted, and what comes of it is proven."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from brokertuner_tui.broker.drift import DriftWatch
from brokertuner_tui.broker.external_change import How, NotUp
from brokertuner_tui.broker.external_checks import NotReady
from brokertuner_tui.broker.external_drift import BrokerDrift
from brokertuner_tui.broker.external_known import NotKnown
from brokertuner_tui.broker.find import probe_version
from brokertuner_tui.broker.intent import LastGood
from brokertuner_tui.broker.interface import Applied, ApplyFailed, BrokerStatus, BrokerUnavailable
from brokertuner_tui.broker.operator_conf import read_operator_conf
from brokertuner_tui.broker.pretest import Line, PreTest, as_one_file
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

        A change that an earlier tuner left unconfirmed is rolled back instead, and that is all (`recovered`).

        Where the running process already has them, nothing is written and nothing restarted.

        Raises:
            UsageError: a value is not legal.
            NotReady: something stands in the way; nothing was touched. Each line names what, and what mends it.
            ApplyFailed: it did not take the knobs; what was there before was put back.
            TunerError: another tuner is at work.
        """
        return self._begin(check_all(knobs))

    def take_over(self, *, repair: bool = False) -> Applied:
        """As `start`, with the knobs that are in force: nothing is written and nothing restarted.

        Args:
            repair: as `start`, roll back a change that an earlier tuner left unconfirmed; else it is only told.

        Raises:
            NotKnown: its config is younger than its process: what that has read cannot be told.
            NotReady, ApplyFailed, TunerError: see `start`.
        """
        return self._begin(None, repair=repair)

    def _begin(self, legal: dict[str, Value] | None, *, repair: bool = True) -> Applied:
        if self._good is not None:
            raise TunerError("the broker was started before: stop it first")
        self._facts, self._recovered = None, ""
        try:
            recovered = self._roll_back(repair=repair)
            if found := self.problems():
                raise NotReady(self.service.name, found)
            applied = self._take(legal, recovered)
        except BaseException:
            self.stop()
            raise
        self._status = replace(self._status, restarts=0)
        return recovered or applied

    def _take(self, legal: dict[str, Value] | None, recovered: Applied | None) -> Applied:
        """Takes hold of a broker that nothing stands in the way of."""
        facts = self.facts
        facts.knob_file.lock()
        facts.knob_file.keep_original()
        self._log = self.service.log(facts.conf)
        self._watch = DriftWatch(
            lambda: read_operator_conf(facts.conf.main, here=self.service.path_here), facts.knob_file.path, self._log
        )
        self._adopt(self._look())
        self._status = BrokerStatus("listening", self.host, self.port, self._pid, self._created_at, self.version, 0, None, None)
        self._pretest = self._make_pretest()
        in_force = self._in_force() if recovered is None else dict(recovered.knobs)
        if recovered is not None:
            legal = in_force
        if legal is None and in_force is None:
            raise NotKnown(f"{self.program}: its config was changed after it was started: restart it, so that both agree")
        baseline = self.baseline
        legal = legal or in_force or baseline
        before = self._good = in_force or read_operator_conf(facts.conf.main, here=self.service.path_here).baseline(
            self.version
        )
        self._content = facts.knob_file.snapshot()
        if self._last_good is None:  # what was noted of a change could not be trusted
            self._last_good = LastGood(facts.knob_file.intent)
            self._last_good.starts_with(baseline, facts.knob_file.operators_own())
        elif self._last_good.knobs is None or recovered is not None:
            self._last_good.starts_with(before, self._content)
        how: How = "restart" if in_force is None else self._means(in_force, legal)
        applied = self._change("start" if how == "restart" else how, legal, changed(before, legal))
        if legal == baseline and applied.how != "none":  # what the operator's own config says needs no proof
            self.confirm()
        return applied

    def _roll_back(self, *, repair: bool) -> Applied | None:
        """Puts the last known good back where a tuner that has gone left a change unconfirmed; None: there was nothing to do.

        Nothing else need be well for that: a broker that does not take the change may not run any more.

        Raises:
            ApplyFailed: the file is back, but the broker does not run with it; the next start tries again.
            TunerError: another tuner is at work, or the file cannot be written.
        """
        try:
            facts = self.facts
        except TunerError:
            return None  # `problems` says why
        last_good = self._last_good = LastGood(facts.knob_file.intent)
        if not last_good.path.exists():
            return None
        facts.knob_file.lock()
        intent, self._recovered = last_good.unfinished()
        if intent is None:
            self._last_good = None if self._recovered else last_good
            return None
        content = facts.knob_file.snapshot()
        if content != intent.file and content is not None and not facts.knob_file.is_ours():
            self._recovered = f"{intent.told()} was not rolled back: somebody else has changed {facts.knob_file.path} since"
            last_good.confirm(intent.last_good)
            return None
        good = dict(intent.last_good)
        last_good.starts_with(good, intent.file)
        if not repair:
            self._recovered = f"{intent.told()} is left as it is: nothing is changed here"
            return None
        self._log = self.service.log(facts.conf)
        look = self._look()
        self._adopt(look)
        self._status = BrokerStatus("starting", self.host, self.port, self._pid, self._created_at, None, 0, None, None)
        self._good = dict(intent.in_force)
        how: How = "restart"
        try:
            if content == intent.file and self._lives() and self._in_force() == good:
                how = "none"  # it has read that file, and no other one since
            elif look.stopped_on_purpose:
                self._put_snapshot(intent.file)  # for whoever starts it
                return None
            applied = self._bring(how, good, changed(intent.wanted, good), write=lambda: self._put_snapshot(intent.file))
        except NotUp as failure:
            raise ApplyFailed(
                f"{intent.told()} could not be rolled back: {failure.why} (the next start tries again)", log=failure.log
            ) from None
        except OSError as error:
            raise TunerError(f"{facts.knob_file.path} cannot be written: {error.strerror}") from None
        last_good.confirm(good, intent.file)
        self._recovered = f"{intent.told()} was rolled back: the last known good is in force, and verified"
        return applied

    def _make_pretest(self) -> PreTest | None:
        """None where the broker's program is not on this machine."""
        facts = self.facts
        try:
            if facts.program is None or probe_version(facts.program) != facts.version:
                return None
        except TunerError:
            return None
        here, file = self.service.path_here, facts.knob_file

        def surroundings(knobs: bytes) -> list[Line]:
            conf = read_operator_conf(facts.conf.main, file.path, here=here)
            return as_one_file(conf, file.path, knobs, here)

        return PreTest(facts.program, facts.version, file.intent.with_suffix(".pretest"), surroundings)

    def confirm(self) -> None:
        """See `Broker`.

        Raises:
            TunerError: it was never started, or the disk did not take it.
        """
        self._started_last_good().confirm(self._started(), self._content)

    def apply(self, knobs: KnobValues) -> Applied:
        """Brings `knobs` into force by reload or restart, whatever the change needs, and verifies it.

        Raises:
            UsageError: a value is not legal; nothing was touched.
            BrokerStopped: somebody stopped it on purpose; nothing was touched.
            BrokerDrifted: its config is not as it was left; nothing was touched.
            ApplyFailed: they did not come into force; the last known good was put back (see `restored`).
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

    def revive(self, *, may_restart: bool = True) -> Applied:
        """Brings back a broker that is gone, by as little as possible.

        Somebody else's new process is taken over and verified; one that is about to come back is waited for; else there is one
        restart, if it may be restarted.

        Raises:
            BrokerUnavailable: it is down, and may not be restarted.
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
                if not may_restart:
                    raise BrokerUnavailable(f"{self.program} is down, and is not for us to start")
                return self.restart()
            time.sleep(0.1)
        is_new = look.pid != old
        self._adopt(look)
        self._status = replace(self._status, restarts=self._status.restarts + is_new)
        try:
            applied = replace(self._bring("none", good, ()), old_pid=old)
        except NotUp as failure:
            if not may_restart:
                raise BrokerUnavailable(f"{self.program} is not as it was left: {failure.why}") from None
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
            self._forget_intent(facts.knob_file.intent)
            return applied
        except NotUp as failure:
            raise ApplyFailed(
                f"the original is back, but the broker does not run with it: {failure.why}", log=failure.log
            ) from None
        finally:
            self.stop()

    @staticmethod
    def _forget_intent(path: Path) -> None:
        """What an earlier tuner meant to do does not count any more: the operator's own is back.

        Raises:
            ApplyFailed: it cannot be removed, and would be rolled back at the next start.
        """
        try:
            LastGood(path).forget()
        except OSError as error:
            raise ApplyFailed(f"the original is back, but {path} cannot be removed: {error.strerror}") from None


def _from_outside(why: str) -> bool:
    """Whether somebody, and not the knobs, made it go."""
    return "from outside" in why or "by somebody" in why or why.endswith(("signal 9", "signal 15"))
