"""The broker of a tuning session that this process runs: looked at directly, changed through the session's commands alone."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from brokertuner_tui.broker.interface import Applied, ApplyFailed, BrokerStatus, Difference
from brokertuner_tui.config.settings import Settings
from brokertuner_tui.env.testbed import Testbed
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import KnobValues, Value
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.service.errors import ApiError
from brokertuner_tui.service.hosted import OnSample, SessionStatus
from brokertuner_tui.service.hosted_load import HostedLoad
from brokertuner_tui.telemetry.sample import Sample
from brokertuner_tui.tuning import events
from brokertuner_tui.tuning.commands import Command, Reconcile, Reply, RestartBroker, RestartLoad, SetKnobs, Stop
from brokertuner_tui.tuning.session import TuningSession
from brokertuner_tui.workload.load import LoadStatus
from brokertuner_tui.workload.profile import Workload

_POLL_S = 0.05
_END_S = 90.0
"""A session that is asked to end brings into force what is to be left."""


class TunedHost:
    """See `Hosted`. `open` comes first, `close` last; both are called by the thread that made it."""

    def __init__(self, settings: Settings, workload: Workload, save_dir: Path) -> None:
        self._kind = settings.broker.kind
        self._session = TuningSession(settings, workload, save_dir, keep_open=True)
        self._subscription = self._session.events.subscribe(self._fold)
        self._lock = threading.Lock()
        self._opened = threading.Event()
        tuning = settings.tuning
        self._status = SessionStatus(
            "",
            str(events.State.STARTING),
            0,
            workload.name,
            tuning.preset,
            {},
            None,
            mode=tuning.mode,
            read_only=tuning.read_only,
        )

    def open(self, stopped: Callable[[], bool]) -> None:
        """Starts the session; returns when its broker runs.

        Raises:
            TunerError: it does not, or the end was asked for.
        """
        self._session.start()
        while not self._opened.wait(_POLL_S):
            if self._session.join(0.0):
                raise self._session.error or TunerError("the session ended before it began")
            if stopped():
                raise TunerError("ended before the session began")

    def close(self) -> None:
        """Ends the session in good order."""
        self._session.send(Stop())
        self._session.join(_END_S)
        self._session.events.unsubscribe(self._subscription)

    @property
    def _testbed(self) -> Testbed:
        testbed = self._session.testbed
        assert testbed is not None, "open() comes first"
        return testbed

    @property
    def kind(self) -> str:
        """See `Hosted`."""
        return self._kind

    @property
    def program(self) -> str:
        """See `Hosted`."""
        return self._testbed.broker.program

    @property
    def endpoint(self) -> Endpoint:
        """See `Hosted`."""
        return self._testbed.broker.endpoint

    @property
    def baseline(self) -> Mapping[str, Value]:
        """See `Hosted`."""
        return self._testbed.defaults

    @property
    def good(self) -> Mapping[str, Value]:
        """See `Hosted`."""
        status = self.status()
        if status.knobs is not None:
            return status.knobs
        return status.last_applied.knobs if status.last_applied is not None else self.baseline

    @property
    def last_good(self) -> Mapping[str, Value] | None:
        """None: the session judges what is in force."""
        return None

    @property
    def recovered(self) -> str:
        """The session tells it."""
        return ""

    def confirm(self) -> None:
        """The session does, after a good window."""

    @property
    def load(self) -> HostedLoad | None:
        """The session has its own."""
        return None

    def status(self) -> BrokerStatus:
        """See `Hosted`."""
        return self._testbed.broker.status()

    def load_status(self) -> LoadStatus | None:
        """See `Hosted`."""
        return self._testbed.load.status()

    def session_status(self) -> SessionStatus | None:
        """See `Hosted`."""
        return self._status

    def command(self, command: Command) -> None:
        """See `Hosted`."""
        if self._session.join(0.0):
            raise ApiError(409, "no_session", f"the session has ended: {self._status.state}")
        self._session.send(command)

    def latest(self) -> Sample | None:
        """See `Hosted`."""
        return self._testbed.sampler.latest()

    def subscribe(self, callback: OnSample) -> Callable[[], None]:
        """See `Hosted`."""
        return self._testbed.sampler.subscribe(callback)

    def apply(self, knobs: KnobValues) -> Applied:
        """By the session: ends its trial, and is measured in the next one."""
        return self._answer(lambda reply: SetKnobs(dict(knobs), reply))

    def restart(self) -> Applied:
        """By the session."""
        return self._answer(RestartBroker)

    def reconcile(self, keep: Literal["ours", "theirs"]) -> Applied:
        """By the session."""
        return self._answer(lambda reply: Reconcile(keep, reply))

    def drift(self) -> tuple[Difference, ...]:
        """The session looks."""
        return self.status().drift

    def restart_load(self) -> None:
        """By the session, soon."""
        self.command(RestartLoad())

    def _answer(self, command: Callable[[Reply], Command]) -> Applied:
        answers: queue.SimpleQueue[Applied | TunerError] = queue.SimpleQueue()
        if self._session.join(0.0):
            raise ApplyFailed("the tuning session has ended, and its broker with it; nothing was changed")
        self._session.send(command(answers.put))
        while True:
            ended = self._session.join(0.0)  # before the look into the queue: what was answered is there then
            try:
                answer = answers.get(timeout=_POLL_S)
            except queue.Empty:
                if ended:
                    raise ApplyFailed("the tuning session ended first; nothing was changed") from None
                continue
            if isinstance(answer, TunerError):
                raise answer
            return answer

    def _fold(self) -> None:
        """In the thread of whoever told something: keeps what `/state` shows."""
        with self._lock:
            for event in self._subscription.drain():
                self._take(event)

    def _take(self, event: events.Event) -> None:
        match event:
            case events.RunStarted():
                self._status = replace(self._status, run=event.run, pinned=dict(event.pinned), limits=event.limits)
                self._opened.set()
            case events.StateChanged():
                self._status = replace(self._status, state=str(event.state), reason=event.reason)
            case events.TrialFinished():
                best = dict(event.outcome.knobs) if event.is_best else self._status.best_knobs
                self._status = replace(self._status, trial=event.trial, best_knobs=best)
                if (waits := self._status.proposal) is not None and waits.trial <= event.trial:
                    self._status = replace(self._status, proposal=None)
            case events.PinsChanged():
                self._status = replace(self._status, pinned=dict(event.pinned))
            case events.Proposed():
                self._status = replace(self._status, proposal=event)
            case events.Judged():
                self._status = replace(self._status, slo=event)
            case events.RestartsLeft():
                self._status = replace(self._status, restarts=event)
            case events.Drifted():
                self._status = replace(self._status, drift=event.differences)
            case events.Confirmed() if event.better:
                self._status = replace(self._status, best_knobs=dict(event.best_knobs))
