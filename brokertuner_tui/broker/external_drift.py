"""What somebody else did to a broker that is not ours: noticed, accepted, or taken back when the operator says so."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from brokertuner_tui.broker.drift import ConfigWatch, DriftWatch
from brokertuner_tui.broker.external_change import BrokerChange, How, NotUp
from brokertuner_tui.broker.interface import Applied, ApplyFailed, BrokerDrifted, Difference
from brokertuner_tui.broker.operator_conf import read_operator_conf
from brokertuner_tui.broker.service import ServiceFailed
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import KnobValues, changed, needs_restart
from brokertuner_tui.process.identity import Identity

_TICK_S = 0.02
"""/proc tells the start of a process to the hundredth of a second."""


class BrokerDrift(BrokerChange):
    """A change of ours needs the broker to be as we left it; see `Broker` for the three methods."""

    def drift(self, *, ask: bool = False) -> tuple[Difference, ...]:
        """See `Broker`. Somebody's restart alone is none: `revive` takes the new process over and verifies it."""
        if self._watch is None or self._good is None:
            return ()
        if ask and (self._process is None or self._process.identity is None or self._lives()):
            self._watch.ask(self.endpoint, self._good)
        found = self._watch.differences(self._good, self.version)
        if found and (process := self._other_process()) is not None:
            found += (process,)
        if found != self._status.drift:
            self._set(drift=found)
        return found

    def accept(self, *, untouched: bool = False) -> Applied:
        """See `Broker`: it is reloaded where that is all that its config takes to come into force; never restarted.

        Raises:
            BrokerStopped: somebody stopped it on purpose.
            ApplyFailed: it does not run with that.
            TunerError: the config cannot be read, what is in force cannot be told, or the broker was never started.
        """
        before, watch = self._started(), self._started_watch()
        config = watch.config.renewed()
        theirs = config.on_disk(self.version)
        look = self._not_on_purpose()
        if not look.active:
            raise TunerError(f"{self.program} does not run: start it, or keep ours")
        old = self._process.identity if self._process else None
        self._adopt(look)
        new = self._process.identity if self._process else None
        how: How = "none"
        if new is None or not _is_younger(new, config.paths()):
            how = self._how_to_read(before, theirs, watch)
        if untouched and how != "none":
            raise TunerError(f"{self.program} has not read its config again yet")
        applied = self._settle_drift(how, theirs, changed(before, theirs), config, write=False)
        return replace(applied, old_pid=old.pid if old else None)

    def reclaim(self) -> Applied:
        """See `Broker`.

        Raises:
            BrokerStopped: somebody stopped it on purpose.
            ApplyFailed: what was in force does not come back.
            TunerError: the operator's other files do not let ours count any more, or the broker was never started.
        """
        good, watch = self._started(), self._started_watch()
        self._not_on_purpose()
        path, main = self.knob_file.path, self.facts.conf.main
        conf = read_operator_conf(main, path, original=self.knob_file.operators_own(), here=self.service.path_here)
        if not conf.includes(path):
            raise TunerError(f"{main} does not include {path.parent} any more: nothing that is written there would count")
        for name, place in conf.after_ours.items():
            raise TunerError(f"{place} sets {name}, is read after {path} and wins over it: take that line away first")
        config = watch.config.renewed(conf)
        how: How = "restart"
        if self._lives() and self._status.knobs is not None and not watch.asked and self._sees_reloads():
            with contextlib.suppress(TunerError):
                how = "restart" if needs_restart(good, config.on_disk(self.version)) else "reload"
        try:
            watch.config.knob_file.make_way()
        except OSError as error:
            raise TunerError(f"{path} cannot be replaced: {error.strerror}") from None
        return self._settle_drift(how, good, (), config, write=True)

    def _settle_drift(
        self, how: How, knobs: KnobValues, names: tuple[str, ...], config: ConfigWatch, *, write: bool
    ) -> Applied:
        watch = self._started_watch()
        try:
            applied = self._bring(how, dict(knobs), names, write=None if write else _nothing)
        except NotUp as failure:
            self._failed(failure.why)
            whose = "what we had" if write else "what is there now"
            raise ApplyFailed(f"the broker does not run with {whose}: {failure.why}", log=failure.log) from None
        if write:
            config.knob_file = watch.config.knob_file
        else:  # somebody decided so
            self._content = self.knob_file.snapshot()
            self._started_last_good().confirm(knobs, self._content)
        watch.settle(config)
        self._set(drift=())
        return applied

    def _how_to_read(self, before: KnobValues, theirs: KnobValues, watch: DriftWatch) -> How:
        """What it takes until the running process has `theirs`, of which it may have read some.

        Raises:
            TunerError: a restart, which is not ours to make, or nobody could see it.
        """
        names = changed(before, theirs)
        if not names or not watch.config.files():
            return "none"
        if needs_restart(before, theirs):
            which = ", ".join(name for name in names if needs_restart(before, {**before, name: theirs[name]}))
            raise TunerError(
                f"{which}: what the config says now takes a restart to come into force, and what is in force until then cannot "
                f"be told: restart {self.program}, or keep ours"
            )
        if not self._sees_reloads():
            raise TunerError(
                f"whether the broker has read its config again cannot be told: restart {self.program}, or keep ours"
            )
        return "none" if watch.has_read() else "reload"

    def _other_process(self) -> Difference | None:
        """Somebody's restart, or end, of the process that was verified last."""
        old = self._process.identity if self._process else None
        if old is None or old.alive():
            return None
        with contextlib.suppress(ServiceFailed):
            pid = self._look().pid
            return Difference("process", "", f"process {old.pid}", f"process {pid}" if pid is not None else "none")
        return None

    def _started_watch(self) -> DriftWatch:
        assert self._watch is not None, "made by start()"
        return self._watch

    def _refuse_drift(self) -> None:
        """Raises BrokerDrifted where the broker's config is not as we left it."""
        if found := (self.drift() or self._started_watch().may_write()):
            raise BrokerDrifted(found)

    def _refuse_limits(self) -> None:
        """Raises BrokerDrifted where the broker itself says that other values are in force, whatever the files say."""
        if self._lives() and self._watch is not None and self._watch.ask(self.endpoint, self._started()):
            raise BrokerDrifted(self.drift())


def _nothing() -> None:
    """Nothing is written."""


def _is_younger(process: Identity, paths: Iterable[Path]) -> bool:
    """Whether a process was started after all of these were changed last; False where that cannot be told.

    By ages and not by moments: the boot's time, to which /proc refers, is known to the second only.
    """
    try:
        ticks = int(Path(f"/proc/{process.pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
        now = time.time()
        return all(now - path.stat().st_mtime > age_s + _TICK_S for path in paths)
    except (OSError, ValueError, IndexError):
        return False
