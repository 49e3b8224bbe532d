"""What the tuner asks of a broker, wherever it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from brokertuner_tui.errors import ConnectionFailed, ExitCode, TunerError
from brokertuner_tui.knobs.catalogue import KnobValues, Value, Version
from brokertuner_tui.mqtt.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class Applied:
    """A change of the broker that was verified to be in force."""

    how: Literal["start", "restart", "reload", "none"]
    knobs: Mapping[str, Value]
    changed: tuple[str, ...]
    pid: int
    old_pid: int | None
    write_s: float
    """Writing the config durably."""
    stop_s: float
    start_s: float
    """From the new process, or the reload signal, to the first accepted connection."""
    verify_s: float
    total_s: float
    checks: tuple[str, ...]
    """What was verified, in the operator's words: `pre-test`, `process`, `port owner`, `CONNACK`, `round trip`, `log`, ..."""
    pretest_s: float = 0.0
    """Waiting for the pre-test, beyond what writing took."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which the broker is not as it was left."""

    what: Literal["knob", "file", "process", "reload"]
    name: str
    """The knob, the file's path; empty where there is but one."""
    ours: str
    theirs: str

    def __str__(self) -> str:
        if self.what == "reload":
            return self.theirs
        return f"{self.name}{': ' if self.name else ''}{self.ours} -> {self.theirs}"


@dataclass(frozen=True, slots=True)
class BrokerStatus:
    """How the broker is at this moment."""

    state: Literal["stopped", "starting", "listening", "reloading", "stopping", "failed"]
    host: str
    port: int
    pid: int | None
    started_at: float | None
    """When the process was created, seconds since the epoch."""
    version: Version | None
    restarts: int
    """Restarts since `start`, wanted ones and others."""
    knobs: Mapping[str, Value] | None
    """Verified to be in force; None while nothing is."""
    last_applied: Applied | None
    error: str = ""
    outside: bool = False
    """With `failed`: somebody ended or restarted it; that says nothing about the knobs."""
    drift: tuple[Difference, ...] = ()
    """What `Broker.drift` found when it was asked last."""


class ApplyFailed(TunerError):
    """The broker did not come up with the wanted knobs.

    `log` holds the broker's own words; `restored` says what was put back and verified, None if that failed as well.
    """

    def __init__(self, message: str, *, log: str = "", restored: Applied | None = None) -> None:
        self.log, self.restored = log, restored
        super().__init__(message)


class BrokerUnavailable(ConnectionFailed):
    """Nothing could be asked of the broker, or nobody knows what came of it: that says nothing about the knobs.

    Only a broker that somebody else looks after (an agent on another host, an init system) raises it. What was in force may
    still be, or not; `status` says so once it can be asked again.
    """

    def __init__(self, message: str, *, passes: bool | None = None) -> None:
        super().__init__(message)
        if passes is not None:
            self.passes = passes


class BrokerStopped(BrokerUnavailable):
    """Somebody stopped the broker on purpose: it is not started against their will."""

    passes = False


class BrokerDrifted(BrokerUnavailable):
    """Its config was changed behind our back, so nothing was written: `accept` or `reclaim` comes first."""

    passes = False
    exit_code = ExitCode.FAILED

    def __init__(self, differences: tuple[Difference, ...]) -> None:
        self.differences = differences
        super().__init__(f"{told(differences)}; nothing was written")


def told(differences: tuple[Difference, ...]) -> str:
    """One sentence on a drift, for the operator; at most five differences are named."""
    named = "; ".join(str(one) for one in differences[:5])
    more = f"; and {len(differences) - 5} more" if len(differences) > 5 else ""
    return f"the broker's config was changed behind our back (ours -> theirs): {named}{more}"


class Broker(Protocol):
    """A broker that can be changed. Methods are called by one thread, `status` by any."""

    @property
    def host(self) -> str:
        """Where clients connect to."""

    @property
    def port(self) -> int:
        """Where clients connect to; known once it was started."""

    @property
    def endpoint(self) -> Endpoint:
        """`host` and `port`, and how a client gets in there; once it was started."""

    @property
    def version(self) -> Version:
        """Mosquitto's version."""

    @property
    def baseline(self) -> dict[str, Value]:
        """What a run is compared with and goes back to: Mosquitto's defaults for a broker of our own, what the operator's
        config says for one that was there before us."""

    @property
    def program(self) -> str:
        """What runs, for the record: the path of the program, the unit, the agent's URL."""

    @property
    def log_path(self) -> Path | None:
        """The broker's log, if it is a file here."""

    @property
    def last_good(self) -> dict[str, Value] | None:
        """What was confirmed last (at first, what was found or started with): a failed change goes back to it, and so does the
        next start after a crash. None before the start."""

    @property
    def recovered(self) -> str:
        """What the start repaired of an earlier tuner's unconfirmed change, in a sentence; empty where there was nothing."""

    def confirm(self) -> None:
        """What is in force has proven itself: it is the last known good from now on. Durable when this returns.

        Raises:
            TunerError: nothing was started, or that could not be noted: the next start goes back to what was good before.
        """

    def start(self, knobs: KnobValues) -> Applied:
        """Starts with `knobs` in force.

        An unconfirmed change of a tuner that has gone is rolled back instead: `recovered` says so, and `Applied.knobs` are
        the last known good.

        Raises:
            ApplyFailed: it did not come up.
            TunerError: there is no Mosquitto, the port is taken, or the folder cannot be written.
        """

    def apply(self, knobs: KnobValues) -> Applied:
        """Brings `knobs` into force by reload or restart, whatever the change needs, and verifies it.

        Before anything is touched an intent is on the disk, and the knobs have passed a pre-test where one can be made. Until
        `confirm` the change counts as unconfirmed (not on the way back to `last_good`, which needs no confirmation).

        Raises:
            ApplyFailed: it did not come up; the last known good was put back (see `restored`).
            UsageError: a value is not legal; nothing was touched.
            BrokerDrifted: its config is not as it was left; nothing was touched.
        """

    def restart(self) -> Applied:
        """Restarts with the knobs in force, and verifies (also brings back one that has died).

        Raises:
            BrokerDrifted: its config is not as it was left; nothing was touched.
        """

    def drift(self, *, ask: bool = False) -> tuple[Difference, ...]:
        """How it differs from what was brought into force last; empty: it is as we left it.

        Cheap enough for every second: files are looked at, and read where they are not as they were.

        Args:
            ask: make a connection, too, and compare the limits that MQTT 5 names (not while a window is measured).
        """

    def accept(self, *, untouched: bool = False) -> Applied:
        """Goes on with the config that is there now: nothing is written; it is in force, and verified, when this returns.

        A broker that has not read it yet reloads it (one of our own is restarted where that needs it).

        Args:
            untouched: only where it has been read by now, for certain.

        Raises:
            ApplyFailed: it does not run with that.
            TunerError: what is in force cannot be told, or would take a restart that is the operator's to make.
        """

    def reclaim(self) -> Applied:
        """Brings what we had in force back: the knob file is replaced, whatever it holds now, and verified.

        The operator's own files are never written.

        Raises:
            ApplyFailed: it did not come into force.
            TunerError: another file of the operator's wins over ours now; nothing was touched.
        """

    def alive(self) -> bool:
        """Whether the process that was started last still runs (cheap: no connection is made)."""

    def status(self) -> BrokerStatus:
        """A snapshot."""

    def stop(self) -> None:
        """Ends a broker of our own (TERM, a deadline, KILL); lets go of another, which goes on. May be called again."""


@runtime_checkable
class TakenOver(Protocol):
    """A broker that was there before us."""

    def take_over(self) -> Applied:
        """As `Broker.start`, with the knobs that are in force: nothing is written and nothing restarted.

        Raises:
            TunerError: what is in force cannot be told, or cannot be reached.
        """


@runtime_checkable
class Tended(Protocol):
    """A broker that somebody else looks after, too: who sees it gone must not start it at once."""

    def revive(self, *, may_restart: bool = True) -> Applied:
        """Brings it back by as little as possible: takes over the new process where somebody has restarted it, waits for one
        that is about to come back, else restarts it once, if that is allowed.

        Raises:
            BrokerUnavailable: it is down, and may not be restarted.
            BrokerStopped: somebody stopped it on purpose.
            ApplyFailed: it did not come up.
        """


@runtime_checkable
class Patient(Protocol):
    """A broker whose changes wait for a connection that is lost."""

    def stop_waiting(self) -> None:
        """From now on they do not: the end was asked for. Any thread."""
