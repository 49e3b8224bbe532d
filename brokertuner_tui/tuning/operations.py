"""What a session does to broker and load outside a trial; whatever it does, it tells."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from brokertuner_tui.broker.interface import Applied, ApplyFailed, BrokerUnavailable
from brokertuner_tui.broker.keeper import BrokerKeeper, Hands
from brokertuner_tui.env.testbed import Testbed
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import KnobValues
from brokertuner_tui.process.backoff import Care
from brokertuner_tui.tuning import events
from brokertuner_tui.tuning.attempts import Patience
from brokertuner_tui.tuning.events import Level
from brokertuner_tui.workload.load import LoadError
from brokertuner_tui.workload.supervisor import Checked, LoadSupervisor

Tell = Callable[[events.Event], None]


class Operations:
    """The hands of a session. Used by its thread alone."""

    def __init__(self, testbed: Testbed, check_freq: int, tell: Tell, patience: Patience | None = None) -> None:
        self.testbed = testbed
        self.patience = patience or Patience()
        hands = Hands(testbed.revive_broker, testbed.mend, testbed.fall_back)
        self._keeper = BrokerKeeper(testbed.broker, hands, testbed.hung, self.patience.backoff)
        self._supervisor = LoadSupervisor(testbed.load, check_freq, self.patience.backoff)
        self._tell = tell
        self.trouble = ""
        """What `look_after` found wrong last."""

    @property
    def in_force(self) -> KnobValues | None:
        """The knobs that were verified last; None while the broker is down."""
        return self.testbed.broker.status().knobs

    @property
    def last_in_force(self) -> KnobValues | None:
        """The knobs that were verified last, also while the broker is down; None before the first time."""
        status = self.testbed.broker.status()
        return status.last_applied.knobs if status.knobs is None and status.last_applied else status.knobs

    @property
    def broker_restarts(self) -> int:
        """Restarts of the broker since the run began, wanted ones too."""
        return self.testbed.broker.status().restarts

    @property
    def load_restarts(self) -> int:
        """Restarts of the load's process since the run began."""
        return self._supervisor.restarts

    def apply(self, knobs: KnobValues, why: str) -> bool:
        """Brings `knobs` into force; whether they are."""
        try:
            self.change(knobs, why)
        except (ApplyFailed, BrokerUnavailable):
            return False
        return True

    def change(self, knobs: KnobValues, why: str) -> Applied:
        """Brings `knobs` into force.

        Raises:
            ApplyFailed: they did not come into force; that was told.
            BrokerUnavailable: nobody could be asked, or knows; that was told, too.
        """
        try:
            applied = self.testbed.apply(knobs)
        except ApplyFailed as error:
            self._tell(events.BrokerTrouble(time.time(), str(error), error.log, error.restored is not None))
            raise
        except BrokerUnavailable as error:
            self._tell(events.Notice(time.time(), f"{why}: {error}", "warning"))
            raise
        self._changed(applied, why)
        return applied

    def settle_drift(self, keep: Literal["ours", "theirs"]) -> Applied:
        """After somebody else has changed the config: brings ours back, or goes on with what is there now.

        Raises:
            ApplyFailed: the broker does not run with it; that was told.
            TunerError: see `Broker.accept` and `Broker.reclaim`.
        """
        try:
            applied = self.testbed.settle_drift(keep)
        except ApplyFailed as error:
            self._tell(events.BrokerTrouble(time.time(), str(error), error.log, False))
            raise
        why = "ours again" if keep == "ours" else "what somebody else has set, accepted"
        self._changed(applied, f"{why}, by the operator's word")
        return applied

    def confirm(self) -> None:
        """What is in force has proven itself.

        Raises:
            TunerError: that could not be noted.
        """
        self.testbed.broker.confirm()

    def accept_proposal(self) -> bool:
        """A person has applied by hand what was proposed: whether it is in force by now, and verified; touches nothing."""
        try:
            applied = self.testbed.accept_as_read()
        except TunerError:
            return False
        self._changed(applied, "the proposal, applied by hand")
        return True

    def restart_broker(self, why: str) -> Applied:
        """Restarts the broker with the knobs in force; one that was given up gets its chance again.

        Raises:
            ApplyFailed: it does not come up.
        """
        self._keeper.begin_anew()
        applied = self.testbed.restart_broker()
        self._changed(applied, why)
        return applied

    def look_after(self) -> Care:
        """Brings back broker and load, if one of them is gone or hangs and an attempt is due; never waits for the next one.

        What is up, or about to be tried again, or left to somebody else. `trouble` says what is wrong.
        """
        care = self.revive_broker()
        if not care.up or self.agent_is_away():
            return care
        checked = self._supervisor.look()
        self._tell_load(checked)
        if checked.healthy or checked.care.up:
            return Care.UP
        self.trouble = checked.message or self.trouble
        return checked.care

    def begin_anew(self) -> None:
        """What was given up is tried again: the operator wants it."""
        self._keeper.begin_anew()
        self._supervisor.begin_anew()

    def revive_broker(self, reason: str = "") -> Care:
        """Brings a broker back that is dead or hangs, if an attempt is due; nothing happens while it is well.

        Args:
            reason: what it died of, where that is known better.
        """
        report = self._keeper.look(reason)
        if not report.care.up:
            self.trouble = report.reason
        if not report.news:
            return report.care
        waits = report.care is Care.WAITING
        self._tell(
            events.BrokerTrouble(
                time.time(),
                report.reason,
                report.log,
                report.care is Care.BACK,
                next_attempt_s=self._keeper.next_attempt_s() if waits else None,
                given_up=report.care is Care.GIVEN_UP,
            )
        )
        if report.applied is not None:
            self._changed(report.applied, _how_back(report.applied))
        return report.care

    def agent_is_away(self) -> bool:
        """Whether whoever has the broker cannot be reached: nothing can be asked, and nothing is known."""
        connection = self.testbed.connection
        return connection is not None and not connection.state.usable

    def start_load(self) -> None:
        """Starts the load.

        Raises:
            LoadError: it does not start.
        """
        self.testbed.start_load()
        self._load_changed("the load was started")

    def restart_load(self) -> None:
        """Ends the load's process and starts it again with its last configuration."""
        self._tell_load(self._supervisor.restart())

    def check_load(self, step: int) -> None:
        """Lets the supervisor look after the load before trial `step`."""
        report = self._supervisor.check(step)
        if report is not None:
            self._tell_load(report)

    def follow_schedule(self) -> None:
        """Goes over to the profile that is due."""
        try:
            if self.testbed.follow_schedule():
                self._load_changed(f"the load went over to {self.testbed.profile.name}")
        except LoadError as error:
            self._load_changed(str(error), "warning")

    def _changed(self, applied: Applied, why: str) -> None:
        self._tell(events.BrokerChanged(time.time(), applied, why))

    def _load_changed(self, message: str, level: Level = "info") -> None:
        self._tell(events.LoadChanged(time.time(), message, self.testbed.profile, self.load_restarts, level))

    def _tell_load(self, checked: Checked) -> None:
        if checked.message:
            levels: dict[str, Level] = {"healthy": "info", "given up": "error"}
            self._load_changed(checked.message, levels.get(checked.what, "warning"))


def _how_back(applied: Applied) -> str:
    return "brought back" if applied.how != "none" else "somebody else's new process, taken over"
