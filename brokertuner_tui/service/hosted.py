"""The broker that a service stands for, whoever owns it: the service alone, or a tuning session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from brokertuner_tui.broker.interface import Applied, BrokerStatus, Difference
from brokertuner_tui.knobs.catalogue import KnobValues, Value
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.service.hosted_load import HostedLoad
from brokertuner_tui.telemetry.sample import Sample
from brokertuner_tui.tuning.commands import Command
from brokertuner_tui.tuning.events import Judged, Mode, Proposed, RestartsLeft
from brokertuner_tui.workload.load import LoadStatus

OnSample = Callable[[Sample], None]


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """How the tuning session stands."""

    run: str
    state: str
    trial: int
    """Trials finished."""
    workload: str
    preset: str
    pinned: Mapping[str, Value]
    best_knobs: Mapping[str, Value] | None
    reason: str = ""
    """Why it is in this state."""
    mode: Mode = "guarded"
    read_only: bool = False
    limits: tuple[str, ...] = ()
    """What the guard minds, in words."""
    proposal: Proposed | None = None
    """Waits for a person's word."""
    slo: Judged | None = None
    """The guard's last word that was worth telling; None: nothing was amiss yet."""
    restarts: RestartsLeft | None = None
    """None: there is no limit."""
    drift: tuple[Difference, ...] = ()
    """The session waits until somebody says what counts (`/reconcile`)."""


class Hosted(Protocol):
    """A broker in our hands. `apply`, `restart`, `reconcile` and `drift` are called by one thread, everything else by any."""

    @property
    def kind(self) -> str:
        """`managed`, `systemd`, ..."""

    @property
    def program(self) -> str:
        """What runs (see `Broker.program`)."""

    @property
    def endpoint(self) -> Endpoint:
        """How clients reach it from here."""

    @property
    def baseline(self) -> Mapping[str, Value]:
        """See `Broker.baseline`."""

    @property
    def good(self) -> Mapping[str, Value]:
        """All eleven knobs that were verified last: in force, or what a restart would bring back."""

    @property
    def last_good(self) -> Mapping[str, Value] | None:
        """See `Broker.last_good`; None: what is in force is somebody else's to judge (a session's)."""

    @property
    def recovered(self) -> str:
        """See `Broker.recovered`."""

    def confirm(self) -> None:
        """See `Broker.confirm`; by the thread that applies. Nothing where `last_good` is None."""

    @property
    def load(self) -> HostedLoad | None:
        """The load on this side; None where a session has its own."""

    def status(self) -> BrokerStatus:
        """A snapshot."""

    def load_status(self) -> LoadStatus | None:
        """The load that runs here, whoever asked for it; None without one."""

    def session_status(self) -> SessionStatus | None:
        """The session, where there is one."""

    def command(self, command: Command) -> None:
        """Asks the session for something.

        Raises:
            ApiError: 409 `no_session`.
        """

    def latest(self) -> Sample | None:
        """The last sample."""

    def subscribe(self, callback: OnSample) -> Callable[[], None]:
        """Calls `callback` with every sample, in another thread, briefly; gives what ends that."""

    def apply(self, knobs: KnobValues) -> Applied:
        """See `Broker.apply`."""

    def restart(self) -> Applied:
        """See `Broker.restart`."""

    def reconcile(self, keep: Literal["ours", "theirs"]) -> Applied:
        """See `Broker.reclaim` and `Broker.accept`; by the thread that applies."""

    def drift(self) -> tuple[Difference, ...]:
        """See `Broker.drift`; by the thread that applies. `status` has what was found last."""

    def restart_load(self) -> None:
        """Starts the load's process again.

        Raises:
            LoadError: it does not start.
            ApiError: 409 `no_load`.
        """
