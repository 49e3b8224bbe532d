"""What is known of one connection. Pure logic: no socket, no thread, the clock comes from outside."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from brokertuner_tui.connection.policy import ReconnectPolicy


class ConnectionState(StrEnum):
    """Where a connection stands."""

    DISCONNECTED = "disconnected"
    """Away; the next attempt comes when it is due."""
    CONNECTING = "connecting"
    CONNECTED = "connected"
    DEGRADED = "degraded"
    """There, but its heartbeat is late or its health check says no."""
    GIVEN_UP = "given up"
    """Nothing more is tried by itself."""

    @property
    def usable(self) -> bool:
        """Whether requests may be sent."""
        return self in (ConnectionState.CONNECTED, ConnectionState.DEGRADED)


@dataclass(frozen=True, slots=True)
class ConnectionStatus:
    """A snapshot. Times are of the wall clock, seconds since the epoch."""

    name: str
    """What is at the other end, for the operator."""
    state: ConnectionState
    since: float
    """When it came into this state."""
    attempts: int
    """Of the outage that is going on, the one under way too; 0 while connected."""
    attempts_total: int
    last_heartbeat: float | None
    last_error: str
    next_attempt_s: float | None
    """Until the next attempt; None while none is planned."""


@runtime_checkable
class Linked(Protocol):
    """Something that is reached over a connection which may be away for a while."""

    @property
    def connection(self) -> ConnectionStatus:
        """A snapshot."""

    def watch_connection(self, callback: Callable[[ConnectionStatus], None]) -> None:
        """Calls `callback` at every change of state, from any thread: it must be quick."""

    def retry_connection(self) -> None:
        """Begins anew after it was given up."""


class ConnectionTracker:
    """Keeps count for whoever owns the connection: it asks `due_in`, and reports `attempting` and what came of it.

    May be used by several threads. Two attempts are never closer than the policy's shortest interval, however short-lived the
    connections between them are; the interval grows with the failures in a row and is back at its base after a success.

    Args:
        clock: seconds, monotonic; `wall`: seconds since the epoch; `chance`: a number from 0 to 1.
    """

    def __init__(
        self,
        policy: ReconnectPolicy,
        name: str = "",
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.policy = policy
        self.name = name
        self._clock, self._wall, self._chance = clock, wall, chance
        self._lock = threading.Lock()
        self._watchers: tuple[Callable[[ConnectionStatus], None], ...] = ()
        self._state = ConnectionState.DISCONNECTED
        self._since = wall()
        self._failures = self._attempts = self._total = 0
        self._due_at = clock()
        self._earliest = clock()
        """When the next attempt may begin at the earliest: of a success, too, so that a connection that breaks as soon as it
        stands is not made anew without end."""
        self._begun_at = clock()
        self._beat_at: float | None = None
        self._beat_wall: float | None = None
        self._error = ""
        self._unwell = ""

    def watch(self, callback: Callable[[ConnectionStatus], None]) -> None:
        """Calls `callback` at every change of state, in the thread that reports it."""
        with self._lock:
            self._watchers = (*self._watchers, callback)

    def due_in(self) -> float:
        """Seconds until the next attempt may begin; 0: now; infinite: none is wanted (connected, or given up)."""
        with self._lock:
            if self._state is not ConnectionState.DISCONNECTED:
                return float("inf")
            return max(0.0, self._due_at - self._clock())

    def attempting(self) -> None:
        """An attempt begins.

        Raises:
            RuntimeError: none is due (a mistake of the caller's).
        """
        with self._lock:
            if self._state is not ConnectionState.DISCONNECTED or self._clock() < self._due_at:
                raise RuntimeError(f"no attempt is due: {self._state}")
            self._attempts += 1
            self._total += 1
            self._begun_at = self._clock()
            self._earliest = self._begun_at + self._wait_s(self._failures + 1)
            told = self._enter(ConnectionState.CONNECTING)
        told()

    def connected(self) -> None:
        """The attempt has succeeded."""
        with self._lock:
            if self._state is not ConnectionState.CONNECTING:
                return
            self._failures = self._attempts = 0
            self._error = ""
            self._earliest = self._begun_at + self._wait_s(1)
            told = self._heard("")
        told()

    def beat(self, unwell: str = "") -> None:
        """The other end has answered a health check: it is well, or says why not. Does nothing once the connection is lost."""
        with self._lock:
            if not self._state.usable:
                return
            told = self._heard(unwell)
        told()

    def silence_left_s(self) -> float:
        """Seconds that the other end may still be silent before the connection counts as dead; at least 0."""
        with self._lock:
            beat_at = self._clock() if self._beat_at is None else self._beat_at
            return max(0.0, beat_at + self.policy.heartbeat_timeout_s - self._clock())

    def lost(self, why: str) -> None:
        """The attempt has failed, or the connection is dead: the next one is planned, or it is given up."""
        with self._lock:
            self._error = why
            if self._state in (ConnectionState.GIVEN_UP, ConnectionState.DISCONNECTED):
                return
            if self._state is ConnectionState.CONNECTING:
                self._failures += 1
            self._due_at = max(self._clock(), self._earliest)
            limit = self.policy.max_attempts
            over = limit is not None and self._failures >= limit
            told = self._enter(ConnectionState.GIVEN_UP if over else ConnectionState.DISCONNECTED)
        told()

    def give_up(self, why: str) -> None:
        """Trying again would not help."""
        with self._lock:
            self._error = why
            told = self._enter(ConnectionState.GIVEN_UP)
        told()

    def release(self) -> None:
        """We closed it ourselves: nobody is told, and the next attempt is as after a loss."""
        with self._lock:
            self._state, self._since, self._error = ConnectionState.DISCONNECTED, self._wall(), "closed"
            self._due_at = max(self._clock(), self._earliest)

    def retry(self) -> None:
        """The operator wants it tried again: forgets the failures, keeps the distance between attempts."""
        with self._lock:
            if self._state is not ConnectionState.GIVEN_UP:
                return
            self._failures = self._attempts = 0
            self._due_at = max(self._clock(), self._earliest)
            told = self._enter(ConnectionState.DISCONNECTED)
        told()

    def hurry(self) -> None:
        """There is reason to believe that the other end is back: as after the first failure, or after it was given up."""
        self.retry()
        with self._lock:
            if self._state is ConnectionState.DISCONNECTED:
                self._failures = 0
                self._earliest = min(self._earliest, self._begun_at + self._wait_s(1))
                self._due_at = max(self._clock(), self._earliest)

    def status(self) -> ConnectionStatus:
        """A snapshot."""
        with self._lock:
            return self._snapshot()

    def _snapshot(self) -> ConnectionStatus:
        waits = self._state is ConnectionState.DISCONNECTED
        beat_at = self._clock() if self._beat_at is None else self._beat_at
        late = self._clock() - beat_at > self.policy.heartbeat_timeout_s / 2
        state, unwell = self._state, self._unwell
        if state is ConnectionState.CONNECTED and late:
            state, unwell = ConnectionState.DEGRADED, "its heartbeat is late"
        return ConnectionStatus(
            name=self.name,
            state=state,
            since=self._since,
            attempts=self._attempts,
            attempts_total=self._total,
            last_heartbeat=self._beat_wall,
            last_error=self._error or unwell,
            next_attempt_s=max(0.0, self._due_at - self._clock()) if waits else None,
        )

    def _wait_s(self, failures: int) -> float:
        return self.policy.interval_s(failures) * (1 - self.policy.jitter * self._chance())

    def _heard(self, unwell: str) -> Callable[[], None]:
        self._beat_at, self._beat_wall, self._unwell = self._clock(), self._wall(), unwell
        return self._enter(ConnectionState.DEGRADED if unwell else ConnectionState.CONNECTED)

    def _enter(self, state: ConnectionState) -> Callable[[], None]:
        """Changes the state, under the lock; gives what tells the watchers, without it."""
        if state is self._state:
            return lambda: None
        self._state, self._since = state, self._wall()
        watchers, status = self._watchers, self._snapshot()

        def tell() -> None:
            for watcher in watchers:
                watcher(status)

        return tell
