"""The connection to one agent: a thread that keeps it up, its heartbeat, and requests over it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from brokertuner_tui import __version__
from brokertuner_tui.connection.http import AgentHttp, Answer, Lost, Untrusted
from brokertuner_tui.connection.identity import TunerIdentity
from brokertuner_tui.connection.policy import ReconnectPolicy
from brokertuner_tui.connection.target import AgentTarget
from brokertuner_tui.connection.tracker import ConnectionState, ConnectionStatus, ConnectionTracker
from brokertuner_tui.errors import ConnectionFailed

_CLOSE_S = 2.0
"""For the thread to end; one that is in the middle of an attempt ends with it."""
_VERSION_HEADER = "x-brokertuner-version"


class Refused(ConnectionFailed):
    """The agent answers, and will not have us (wrong token, another version): trying again would not help."""

    passes = False


@dataclass(frozen=True, slots=True)
class Reading:
    """The agent's telemetry as one heartbeat brought it."""

    beat: int
    """Counts the heartbeats: asked for as the `beat`th."""
    data: Mapping[str, Any]
    """A sample as JSON."""


class AgentLink:
    """May be used by several threads; `open` it once, `close` it at the end.

    Raises:
        UsageError: the certificates to believe cannot be read.
    """

    def __init__(self, target: AgentTarget, policy: ReconnectPolicy) -> None:
        self.target = target
        self.tracker = ConnectionTracker(policy, str(target))
        self._policy = policy
        self._http = AgentHttp(target, policy.connect_timeout_s)
        self._http.standing = TunerIdentity(policy).headers
        self._changed = threading.Condition()
        self._state: dict[str, Any] = {}
        self._beats = 0
        self._reading: Reading | None = None
        self._closed = False
        self._nudged = False
        self._error: ConnectionFailed | None = None
        self._thread: threading.Thread | None = None
        self.tracker.watch(self._notify)

    @property
    def connection(self) -> ConnectionStatus:
        """A snapshot."""
        return self.tracker.status()

    def open(self) -> Mapping[str, Any]:
        """Connects, if it has not yet; gives the agent's `GET /state`.

        Raises:
            ConnectionFailed: the first attempt failed; nothing goes on trying.
        """
        if self._thread is None or self._closed:
            if self._thread is not None:
                # Of an earlier close, in an attempt that cannot be cut short.
                self._thread.join(self._policy.connect_timeout_s + self._policy.heartbeat_timeout_s + _CLOSE_S)
                if self._thread.is_alive():
                    raise ConnectionFailed(f"the agent at {self.target}: an earlier attempt has not ended yet")
            self._closed = False
            self.tracker.retry()
            before = self.connection.attempts_total
            self._thread = threading.Thread(target=self._run, name="agent-link", daemon=True)
            self._thread.start()
            with self._changed:
                self._changed.wait_for(lambda: self._decided(before))
            if not self.connection.state.usable:
                error = self._error or ConnectionFailed(self.connection.last_error)
                self.close()
                raise error
        return self.state

    @property
    def state(self) -> Mapping[str, Any]:
        """What `GET /state` said when the connection was made last; empty before."""
        return self._state

    @property
    def reading(self) -> Reading | None:
        """The last heartbeat's telemetry; None before the first."""
        return self._reading

    @property
    def beats(self) -> int:
        """Heartbeats that were asked for so far: one with a higher number knows all that has happened until now."""
        return self._beats

    def await_usable(self, within_s: float) -> bool:
        """Waits until requests can be sent; whether they can. Ends early when it is given up."""

        def over() -> bool:
            state = self.tracker.status().state
            return state.usable or state is ConnectionState.GIVEN_UP or self._closed

        with self._changed:
            self._changed.wait_for(over, within_s)
        return self.connection.state.usable

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        timeout_s: float,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Sends one request and waits for its answer; nothing is sent twice.

        Raises:
            Lost: there is no connection, or it broke before the answer came (and is being made anew).
            Refused: the agent will not have us any more.
        """
        if self._closed or not self.connection.state.usable:
            raise Lost(f"the agent at {self.target} cannot be reached: {self.connection.last_error or 'not connected'}")
        attempt = self.connection.attempts_total
        try:
            answer = self._http.request(method, path, body, timeout_s=timeout_s, headers=headers)
        except Lost as error:
            self._suspect(attempt, str(error))
            raise
        _check(answer, self.target)
        return answer

    def retry(self) -> None:
        """Begins anew after it was given up."""
        self.tracker.retry()

    def close(self) -> None:
        """Ends the thread and every connection. May be called again."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._http.drop_all()
        if self._thread is not None:
            self._thread.join(_CLOSE_S)
        self._http.drop_all()
        self.tracker.release()

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closed:
            wait_s = self.tracker.due_in()
            if wait_s > 0:
                self._sleep(min(wait_s, 3600.0))
                continue
            self.tracker.attempting()
            self._http.drop_all()  # of the connection before nothing is left when a new one is tried
            try:
                self._hello()
            except Lost as error:
                self._fail(error, for_good=False)
            except (Refused, Untrusted) as error:
                self._fail(error, for_good=True)
            else:
                self._keep()

    def _hello(self) -> None:
        answer = self._http.request("GET", "/state", timeout_s=self._policy.connect_timeout_s)
        _check(answer, self.target)
        if not answer.ok:
            raise Lost(f"the agent at {self.target} is not well: {answer.message}")
        self._state = answer.data
        # Whoever hears that the connection stands finds telemetry of the agent that is there now, which may be another process.
        self._beats += 1
        told = self._http.request("GET", "/telemetry", timeout_s=self._policy.connect_timeout_s)
        self._reading = Reading(self._beats, told.data) if told.ok else None
        self._nudged = False
        self.tracker.connected()

    def _keep(self) -> None:
        """Heartbeats until the connection is dead; the telemetry comes with them."""
        while not self._closed and self.connection.state.usable:
            self._beats += 1
            beat = self._beats
            try:
                answer = self._http.request("GET", "/telemetry", timeout_s=max(0.05, self.tracker.silence_left_s()))
                _check(answer, self.target)
            except Lost as error:
                return self._fail(error, for_good=False)
            except (Refused, Untrusted) as error:
                return self._fail(error, for_good=True)
            if answer.ok:
                self._reading = Reading(beat, answer.data)
                self.tracker.beat()
            else:
                self.tracker.beat(unwell=answer.message)
            self._sleep(self._policy.heartbeat_s)
        return None

    def _fail(self, error: ConnectionFailed, *, for_good: bool) -> None:
        self._error = error
        self._http.drop_all()
        if for_good:
            self.tracker.give_up(str(error))
        else:
            self.tracker.lost(str(error))

    def _sleep(self, seconds: float) -> None:
        """Until something has happened, at the longest."""
        with self._changed:
            if not self._closed and not self._nudged:
                self._changed.wait_for(lambda: self._closed or self._nudged, seconds)
            self._nudged = False

    def _suspect(self, attempt: int, why: str) -> None:
        """A request got no answer: unless the connection has been made anew since, it is dead."""
        status = self.connection
        if status.attempts_total != attempt or not status.state.usable:
            return
        self._http.drop_all()  # the heartbeat that may be under way fails at once
        self.tracker.lost(why)

    def _decided(self, before: int) -> bool:
        """Whether the first attempt after `before` others has come to something."""
        status = self.connection
        return self._closed or (status.attempts_total > before and status.state is not ConnectionState.CONNECTING)

    def _notify(self, _status: ConnectionStatus) -> None:
        with self._changed:
            self._nudged = True
            self._changed.notify_all()


def _check(answer: Answer, target: AgentTarget) -> None:
    """Whether we and the agent understand each other.

    Raises:
        Refused: another version, or our token is not the agent's.
    """
    theirs = answer.headers.get(_VERSION_HEADER, "")
    if not theirs:
        raise Refused(f"{target} is no brokertuner-tui agent (HTTP status {answer.status})")
    if theirs.split(".")[:2] != __version__.split(".")[:2]:
        raise Refused(f"the agent at {target} is version {theirs}, this is version {__version__}: install the same on both")
    if answer.status == 401:
        raise Refused(f"the agent at {target} does not know the token in broker.token_file")
    if answer.status == 400 and "host" in answer.message.lower():
        raise Refused(f"the agent at {target} refuses the address: {answer.message}")
