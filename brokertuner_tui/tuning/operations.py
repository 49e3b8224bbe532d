"""What a session does to broker and load outside a trial; whatever it does, it tells."""

from __future__ import annotations

import time
from collections.abc import Callable

from brokertuner_tui.broker.interface import Applied, ApplyFailed, BrokerStopped, BrokerUnavailable
from brokertuner_tui.env.testbed import Testbed
from brokertuner_tui.knobs.catalogue import KnobValues
from brokertuner_tui.tuning import events
from brokertuner_tui.tuning.events import Level
from brokertuner_tui.workload.load import LoadError
from brokertuner_tui.workload.supervisor import LoadSupervisor

Tell = Callable[[events.Event], None]


class Operations:
    """The hands of a session. Used by its thread alone."""

    def __init__(self, testbed: Testbed, check_freq: int, tell: Tell) -> None:
        self.testbed = testbed
        self._supervisor = LoadSupervisor(testbed.load, check_freq=check_freq)
        self._tell = tell
        self._connections = testbed.connection.attempts_total if testbed.connection is not None else 0

    @property
    def in_force(self) -> KnobValues | None:
        """The knobs that were verified last; None while the broker is down."""
        return self.testbed.broker.status().knobs

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

    def restart_broker(self, why: str) -> Applied:
        """Restarts the broker with the knobs in force.

        Raises:
            ApplyFailed: it does not come up any more.
        """
        applied = self.testbed.restart_broker()
        self._changed(applied, why)
        return applied

    def revive_broker(self, reason: str = "") -> bool:
        """Brings a dead broker back with the knobs that were in force; nothing happens while it lives.

        False: somebody stopped it on purpose, so that is left to them.

        Raises:
            ApplyFailed: it does not come up any more.
        """
        if self.testbed.broker.alive():
            return True
        reason = reason or self.testbed.broker.status().error or "the broker is gone"
        try:
            applied = self.testbed.revive_broker()
        except BrokerStopped:
            return False
        except BrokerUnavailable:
            return True  # the connection says so itself; it is tried again
        except ApplyFailed as error:
            self._tell(events.BrokerTrouble(time.time(), reason, error.log, False))
            raise
        self._tell(events.BrokerTrouble(time.time(), reason, "", True))
        self._changed(applied, "brought back" if applied.how != "none" else "somebody else's new process, taken over")
        return True

    def agent_is_away(self) -> bool:
        """Whether whoever has the broker cannot be reached: nothing can be asked, and nothing is known."""
        connection = self.testbed.connection
        return connection is not None and not connection.state.usable

    def start_load(self) -> None:
        """Starts the load; one that does not start is told, and tried again by `check_load`."""
        try:
            self.testbed.start_load()
        except LoadError as error:
            self._load_changed(f"the load does not start, and is tried again: {error}", "warning")
        else:
            self._load_changed("the load was started")

    def restart_load(self) -> None:
        """Ends the load's process and starts it again with its last configuration."""
        self._load_changed(self._supervisor.restart().message)

    def check_load(self, step: int) -> None:
        """Lets the supervisor look after the load before trial `step`."""
        if self._agent_was_away() and self.testbed.load.status().state in ("dead", "stopped"):
            return self.restart_load()  # it has ended with the agent: no need to wait until a check is due
        report = self._supervisor.check(step)
        if report is not None and report.message:
            self._load_changed(report.message, "info" if report.healthy else "warning")
        return None

    def _agent_was_away(self) -> bool:
        """Whether the connection was made anew since this was asked last."""
        connection = self.testbed.connection
        before, self._connections = self._connections, connection.attempts_total if connection is not None else 0
        return before != self._connections

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
