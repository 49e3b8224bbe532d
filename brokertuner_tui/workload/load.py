"""What the tuner asks of a load, whoever makes it: the built-in generator, emqtt_bench, or live traffic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from brokertuner_tui.errors import TunerError
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.window import SoFar, Window


class LoadError(TunerError):
    """The load's process did not start, died, hung, or could not connect in time; the message says which."""

    passes = True


class LoadImpossible(LoadError):
    """This load cannot be made here: its program is missing, or cannot do what the profile asks for."""

    passes = False


@dataclass(frozen=True, slots=True)
class LoadStatus:
    """How the load is at this moment."""

    state: str
    """`stopped`, `starting`, `running`, `reconnecting`, `dead`."""
    pid: int | None
    profile: Profile | None
    connected: int
    wanted: int
    """Connections that the profile asks for."""
    reconnects: int
    """Connections lost since the start."""
    sent_total: int
    received_total: int
    on_time_total: int
    generator_cpu: float
    """CPU seconds a second over the last report."""
    error: str = ""
    latency_ms: tuple[float, float, float] | None = None
    """p50, p95 and p99 of the window that is open, so far; None without one, or before anything has come."""
    outside: bool = False
    """With `dead`: somebody ended it; that says nothing about the load."""
    window: SoFar | None = None
    """Of the window that is open, as the last report said; None without one, or from a load that cannot tell."""


class Load(Protocol):
    """A load on one broker. Methods are called by one thread, `status` by any."""

    def start(self, profile: Profile, endpoint: Endpoint) -> None:
        """Starts the process and asks it to connect; does not wait for the connections.

        Raises:
            LoadError: the process did not come up.
        """

    def restart(self) -> None:
        """Ends the process, however it is, and starts it again with what `start` and `change` were given last.

        Raises:
            LoadError: the process did not come up, or there was no `start`.
        """

    def change(self, profile: Profile) -> None:
        """Goes over to another profile in the running process. Connections are made anew; of the built-in load they stay
        where only rates differ, and so does a window that is open.

        Raises:
            LoadError: the process died or did not answer; `restart` would begin with `profile`.
        """

    def wait_ready(self, deadline_s: float, cancelled: Callable[[], bool] = lambda: False) -> float:
        """Waits until every client is connected and subscribed; gives the seconds that took.

        Raises:
            LoadError: not within `deadline_s`, or the process died.
        """

    def expect_restart(self) -> None:
        """The broker is about to be restarted on purpose: reconnect at once, without back-off, as soon as it listens.

        Does nothing when no process runs.
        """

    def open_window(self) -> None:
        """Starts a measurement.

        Raises:
            LoadError: the process died or did not answer.
        """

    def close_window(self, drain_s: float = 0.0) -> Window:
        """Ends the measurement; with `drain_s`, publishers stop and stragglers are awaited for up to that long first.

        Raises:
            LoadError: the process died or did not answer within 2 s beyond `drain_s`.
        """

    def status(self) -> LoadStatus:
        """A snapshot, at most half a second old."""

    def stop(self) -> None:
        """Ends the process: asked, then TERM, then KILL. May be called again."""


@runtime_checkable
class Watched(Protocol):
    """What a load that watches live traffic can do beside: a trial looks at it while it measures."""

    def whole(self) -> bool:
        """Whether the window that is open holds whole publications of `$SYS`, or none are to be waited for."""

    def so_far(self) -> tuple[int, int]:
        """Of the window that is open: probe messages that should have arrived, and those that did in time."""
