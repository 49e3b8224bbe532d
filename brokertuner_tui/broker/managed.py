"""Our own Mosquitto: a child process on a loopback port, with a private config folder."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import replace
from pathlib import Path

from brokertuner_tui.broker.drift import ConfigWatch, DriftWatch
from brokertuner_tui.broker.folder import BrokerFolder
from brokertuner_tui.broker.intent import LastGood
from brokertuner_tui.broker.interface import Applied, ApplyFailed, BrokerDrifted, BrokerStatus, Difference
from brokertuner_tui.broker.managed_change import HOST, How, ManagedChange, NotUp
from brokertuner_tui.broker.operator_conf import read_operator_conf
from brokertuner_tui.broker.ports import PortTaken, free_port, holder, is_free
from brokertuner_tui.broker.pretest import PreTest
from brokertuner_tui.errors import TunerError
from brokertuner_tui.files import remove_leftovers
from brokertuner_tui.knobs.catalogue import KnobValues, Value, changed, defaults, needs_restart
from brokertuner_tui.knobs.validation import check_all


class ManagedBroker(ManagedChange):
    """Starts, changes, verifies and ends one Mosquitto. Methods are called by one thread, `status` by any."""

    @property
    def host(self) -> str:
        """Always loopback."""
        return HOST

    @property
    def port(self) -> int:
        """Where clients connect to; 0 before the first `start` if none was given."""
        return self._port

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
    def last_good(self) -> dict[str, Value] | None:
        """See `Broker`: what it was started with, until something is confirmed."""
        return self._last_good.knobs

    @property
    def recovered(self) -> str:
        """See `Broker`."""
        return self._recovered

    @property
    def folder(self) -> Path:
        """The private folder."""
        return self._folder.path

    def move_to(self, folder: Path) -> None:
        """Goes to another folder, which has a name only now; before `start`."""
        if self._good is not None or self._child is not None:
            raise TunerError("the broker was started before: stop it first")
        self._folder = BrokerFolder(folder)
        self._last_good = LastGood(self._folder.intent)

    def start(self, knobs: KnobValues) -> Applied:
        """Starts with `knobs` in force; with the last known good, if an earlier tuner left a change unconfirmed (`recovered`).

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
        self._folder.open(HOST, self._port, self._extra_conf)
        self._status = BrokerStatus("stopped", HOST, self._port, None, None, version, 0, None, None)
        try:
            folder = self._folder
            self._watch = DriftWatch(lambda: read_operator_conf(folder.main_conf), folder.knob_conf, folder.log)
            self._pretest = PreTest(self._mosquitto, version, folder.path / "pretest", folder.for_a_test)
            remove_leftovers(self._folder.knob_conf)
            unfinished, self._recovered = self._last_good.unfinished()
            if unfinished is not None:
                legal = dict(unfinished.last_good)
            applied = self._bring("start", legal, ())
            self._last_good.confirm(legal)
            if unfinished is not None:
                self._recovered = f"{unfinished.told()} was rolled back: the last known good is in force, and verified"
            return applied
        except NotUp as failure:
            with contextlib.suppress(OSError):  # nothing runs, and what does not come up is not good
                self._last_good.forget()
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
        how: How = "none"
        if not self.alive() or self._status.knobs is None or needs_restart(before, legal):
            how = "restart"
        elif names:
            how = "reload"
        return self._change(how, legal, names)

    def confirm(self) -> None:
        """See `Broker`.

        Raises:
            TunerError: it was never started, or the disk did not take it.
        """
        self._last_good.confirm(self._started())

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
        except NotUp as failure:
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

    def accept(self, *, untouched: bool = False) -> Applied:
        """See `Broker`: it reloads, or is restarted, where that is what its config takes to come into force.

        Raises:
            ApplyFailed: it does not run with that.
            TunerError: the config cannot be read, or the broker was never started.
        """
        before, watch = self._started(), self._started_watch()
        config = watch.config.renewed()
        theirs = config.on_disk(self.version)
        how: How = "reload" if watch.config.files() else "none"  # a reload also for what the files hold beside the knobs
        if not self.alive() or self._status.knobs is None or watch.asked or needs_restart(before, theirs):
            how = "restart"
        elif how == "reload" and watch.has_read():
            how = "none"
        if untouched and how != "none":
            raise TunerError("the broker has not read its config again yet")
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
        self, how: How, knobs: dict[str, Value], names: tuple[str, ...], config: ConfigWatch, *, write: bool
    ) -> Applied:
        watch = self._started_watch()
        try:
            applied = self._bring(how, knobs, names, write=write)
        except NotUp as failure:
            self._failed(failure.why)
            whose = "what we had" if write else "what is there now"
            raise ApplyFailed(f"the broker does not run with {whose}: {failure.why}", log=failure.log) from None
        if write:
            config.knob_file = watch.config.knob_file
        else:  # somebody decided so
            self._last_good.confirm(knobs)
        watch.settle(config)
        self._status = replace(self._status, drift=())
        return applied

    def _refuse_drift(self) -> None:
        if found := (self.drift() or self._started_watch().may_write()):
            raise BrokerDrifted(found)

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

    def _free_port(self) -> int:
        """The port that was asked for, or the one that was chosen before, or a new choice."""
        if self._port and is_free(HOST, self._port):
            return self._port
        if self._wanted_port:
            held = holder(self._port)
            raise PortTaken(f"the broker cannot listen: {held or f'port {self._port} cannot be had'}")
        try:
            return free_port(HOST)
        except OSError as error:
            raise TunerError(f"the broker cannot listen: {error}") from None
