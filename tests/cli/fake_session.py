"""A session that tells what it is given to tell, in a thread of its own."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence

from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs import catalogue
from brokertuner_tui.tuning import events
from brokertuner_tui.tuning.commands import Command, Stop
from brokertuner_tui.tuning.events import Event
from brokertuner_tui.tuning.stream import EventStream
from tests.store import made


class FakeSession:
    """Tells `told` at once; ends then, or (`until_stopped`) when Stop comes."""

    def __init__(
        self,
        told: Sequence[Event],
        *,
        until_stopped: bool = False,
        error: TunerError | None = None,
        when_told: Callable[[], None] = lambda: None,
    ) -> None:
        self.events = EventStream()
        self.error = error
        self.commands: list[Command] = []
        self._told, self._until_stopped, self._when_told = told, until_stopped, when_told
        self._inbox: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._main, daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def send(self, command: Command) -> None:
        """Notes the command."""
        self.commands.append(command)
        self._inbox.put(command)

    def join(self, timeout_s: float | None = None) -> bool:
        """Whether it has ended."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _main(self) -> None:
        *before, last = self._told
        for event in before:
            self.events.put(event)
        self._when_told()
        while self._until_stopped and not isinstance(self._inbox.get(timeout=30), Stop):
            time.sleep(0)
        self.events.put(last)


def started() -> events.RunStarted:
    """The first event of a run."""
    return events.RunStarted(
        1_795_222_800.5,
        run="20261121-010000-abc",
        preset="slo",
        workload="fanout",
        profile=made.PROFILE,
        version=made.VERSION,
        broker_kind="managed",
        host="127.0.0.1",
        port=18830,
        total_timesteps=3,
        defaults=catalogue.defaults(made.VERSION),
        pinned={"persistence": False},
        save_dir="/data",
    )


def whole_run() -> list[Event]:
    """A short run that went well, with a trial that did not."""
    from brokertuner_tui.env.outcome import Verdict

    at = 1_795_222_801.0
    applied = made.trial(1).outcome.applied
    assert applied is not None
    return [
        started(),
        events.BrokerChanged(at, applied, "started"),
        events.StateChanged(at, events.State.TUNING, ""),
        events.LoadChanged(at, "101 of 101 clients connected", made.PROFILE, 0),
        made.trial(1),
        events.BrokerTrouble(at, "the broker exited with 3", "Error: Invalid value", recovered=True),
        made.trial(2, verdict=Verdict.FAILED, best_trial=1),
        events.PinsChanged(at, {"memory_limit": 0}),
        events.Notice(at, "something to know", "warning"),
        made.trial(3),
        events.StateChanged(at, events.State.CONFIRMING, ""),
        events.ConfirmStep(at, 1, 10),
        made.confirmed(),
        events.StateChanged(at, events.State.COMPLETED, "all trials are done"),
        made.finished("20261121-010000-abc"),
    ]
