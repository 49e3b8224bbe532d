"""A broker that an agent on its host owns: what is asked of it goes over HTTP, and is done once, whatever the network does."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from brokertuner_tui.broker.drift import ask_limits, knob_differences
from brokertuner_tui.broker.interface import Applied, ApplyFailed, BrokerDrifted, BrokerStatus, BrokerUnavailable, Difference
from brokertuner_tui.broker.remote import wire
from brokertuner_tui.broker.remote.freshness import Freshness
from brokertuner_tui.connection.http import Answer, Lost
from brokertuner_tui.connection.link import AgentLink
from brokertuner_tui.connection.target import is_loopback
from brokertuner_tui.connection.tracker import ConnectionState, ConnectionStatus
from brokertuner_tui.errors import ConnectionFailed, UsageError
from brokertuner_tui.knobs.catalogue import KnobValues, Value, Version
from brokertuner_tui.knobs.validation import check_all
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.telemetry.source import Told

_PATIENCE_S = 10.0
"""How long a change waits for a connection that was lost under it; after that the tuner goes on waiting, not the change."""
_POLL_S = 0.05
_ASK_S = 5.0
_BEYOND_S = 10.0
"""For a change, on top of what the agent's own deadlines come to."""


_Path = Literal["/apply_knobs", "/restart_broker", "/reconcile"]


@dataclass(frozen=True, slots=True)
class _Change:
    """Something that is to be done once, however often it has to be said."""

    path: _Path
    body: Mapping[str, Value | str]
    key: str


class RemoteBroker:
    """See `Broker`. The broker was there before us and goes on after us; `stop` only closes the connection.

    While the agent cannot be reached, `status` and `alive` say what was known last, and changes raise `BrokerUnavailable`.

    Args:
        endpoint: how clients get in, given what the agent says of its listener (`host`, `port`, `transport`, `path`, `tls`,
            `protocol`; host and port as seen from here).
        host, port: of the broker as clients here reach it; None: as the agent says, seen from here.
        restart_stable_s: how long the agent may take for a start (twice, if it has to put something back).
    """

    def __init__(
        self,
        link: AgentLink,
        endpoint: Callable[[Mapping[str, Any]], Endpoint],
        *,
        host: str | None = None,
        port: int | None = None,
        restart_stable_s: float = 20.0,
    ) -> None:
        self.link = link
        self._make_endpoint = endpoint
        self.only_reads = False
        """Nothing will be changed: an agent that allows no changes will do."""
        self._host, self._port = host, port
        self._change_s = 2 * restart_stable_s + _BEYOND_S
        self._lock = threading.Lock()
        self._fresh = Freshness()
        self._endpoint: tuple[Mapping[str, Any], Endpoint] | None = None
        self._status: BrokerStatus | None = None
        self._seen_beat = 0
        self._hurried = False
        self._pending: _Change | None = None
        """Asked for, outcome not known: found out before anything else is asked."""
        self._ours: tuple[str, Mapping[str, Value]] | None = None
        """What this side brought into force last, and by which life of the agent."""
        self._asked: tuple[Difference, ...] = ()

    # -- what it is ----------------------------------------------------------------------------------------------------

    @property
    def endpoint(self) -> Endpoint:
        """As the agent says; where that is its loopback, its own host."""
        said = wire.section(self._broker(), "endpoint")
        host = str(said.get("host", ""))
        if is_loopback(host) and not is_loopback(self.link.target.host):
            host = self.link.target.host
        said = {**said, "host": self._host or host, "port": self._port or int(said.get("port") or 0)}
        if self._endpoint is None or self._endpoint[0] != said:
            self._endpoint = said, self._make_endpoint(said)
        return self._endpoint[1]

    @property
    def host(self) -> str:
        """See `Broker`."""
        return self.endpoint.host

    @property
    def port(self) -> int:
        """See `Broker`."""
        return self.endpoint.port

    @property
    def version(self) -> Version:
        """Mosquitto's version; connects if need be.

        Raises:
            ConnectionFailed: the agent cannot be reached, or will not have us.
            UsageError: it allows no changes.
        """
        self._connect()
        match self._broker().get("version"):
            case [int(major), int(minor), int(patch)]:
                return (major, minor, patch)
        raise ConnectionFailed(f"the agent at {self.link.target} does not know its broker's version")

    @property
    def baseline(self) -> dict[str, Value]:
        """See `Broker`; the agent's."""
        self._connect()
        return dict(wire.section(self._broker(), "baseline"))

    @property
    def program(self) -> str:
        """The agent's URL."""
        return str(self.link.target)

    @property
    def log_path(self) -> Path | None:
        """It is on the other host."""
        return None

    @property
    def connection(self) -> ConnectionStatus:
        """How the connection to the agent is."""
        return self.link.connection

    def watch_connection(self, callback: Callable[[ConnectionStatus], None]) -> None:
        """See `Linked`."""
        self.link.tracker.watch(callback)

    def retry_connection(self) -> None:
        """See `Linked`."""
        self.link.tracker.retry()

    def stop_waiting(self) -> None:
        """See `Patient`."""
        self._hurried = True

    # -- changes -------------------------------------------------------------------------------------------------------

    def start(self, knobs: KnobValues) -> Applied:
        """Connects, and brings `knobs` into force; the broker runs already.

        Raises:
            ConnectionFailed: the agent cannot be reached, or will not have us.
            UsageError: it allows no changes; or a value is not legal.
            ApplyFailed: they did not come into force.
        """
        check_all(knobs)
        self._connect()
        return self.apply(knobs)

    def take_over(self) -> Applied:
        """See `TakenOver`; the agent's word counts.

        Raises:
            ConnectionFailed: the agent cannot be reached, or will not have us, or does not know what is in force.
        """
        began = time.monotonic()
        self._connect()
        status = self.status()
        if status.knobs is None or status.pid is None:
            raise ConnectionFailed(f"the agent at {self.link.target} does not know what its broker has in force")
        took = time.monotonic() - began
        return Applied("none", dict(status.knobs), (), status.pid, None, 0, 0, 0, took, took, ("the agent's word",))

    def apply(self, knobs: KnobValues) -> Applied:
        """See `Broker`.

        Raises:
            BrokerUnavailable: the agent cannot be reached, or another change is under way; nothing is known of the knobs.
        """
        return self._ask("/apply_knobs", check_all(knobs))

    def restart(self) -> Applied:
        """See `Broker`.

        Raises:
            BrokerUnavailable: the agent cannot be reached, or another change is under way.
        """
        return self._ask("/restart_broker", {})

    def drift(self, *, ask: bool = False) -> tuple[Difference, ...]:
        """See `Broker`: what the agent's heartbeat tells, and whether anybody else had it apply knobs."""
        status, ours = self.status(), self._ours
        if ours is None or not self.connection.state.usable:
            return ()
        if ask and status.state == "listening" and not status.drift:
            found = ask_limits(self.endpoint, ours[1])
            self._asked = self._asked if found is None else found
        # An agent that was started again reads back what is in force, or puts it right: that is its doing.
        by_others = knob_differences(ours[1], status.knobs) if status.knobs and ours[0] == self._boot_id() else ()
        known = {one.name for one in status.drift}
        more = {one.name: one for one in (*self._asked, *by_others) if one.name not in known}
        return (*status.drift, *more.values())

    def accept(self) -> Applied:
        """See `Broker`; the agent's word counts.

        Raises:
            BrokerUnavailable: see `apply`.
        """
        return self._ask("/reconcile", {"keep": "theirs"})

    def reclaim(self) -> Applied:
        """See `Broker`.

        Raises:
            BrokerUnavailable: see `apply`.
        """
        ours, status = self._ours, self.status()
        if ours is not None and not status.drift and status.knobs is not None and knob_differences(ours[1], status.knobs):
            return self._ask("/apply_knobs", dict(ours[1]))  # somebody else had the agent apply others
        return self._ask("/reconcile", {"keep": "ours"})

    def stop(self) -> None:
        """Closes the connection."""
        self.link.close()

    # -- how it is -----------------------------------------------------------------------------------------------------

    def alive(self) -> bool:
        """Whether the agent's broker runs, as far as is known: an agent that is away says nothing against it."""
        return self.status().state not in ("failed", "stopped")

    def status(self) -> BrokerStatus:
        """The last that the agent said; never waits."""
        with self._lock:
            self._take_in()
            status = self._status
        endpoint = self.endpoint
        if status is None:
            return BrokerStatus("starting", endpoint.host, endpoint.port, None, None, None, 0, None, None)
        return replace(status, host=endpoint.host, port=endpoint.port)

    def told(self) -> Told | None:
        """See `TellsUsage`."""
        reading = self.link.reading
        if reading is None or not self.connection.state.usable:
            return None
        data = reading.data
        try:
            at_s = float(data.get("at_s") or 0.0)
            return Told(at_s, wire.sys_rates(wire.section(data, "sys")), wire.process_usage(wire.section(data, "process")))
        except (ConnectionFailed, TypeError, ValueError):
            return None

    # -- inside --------------------------------------------------------------------------------------------------------

    def _broker(self) -> Mapping[str, Any]:
        return wire.section(self.link.state, "broker")

    def _connect(self) -> None:
        state = self.link.open()
        if not state.get("allow_changes") and not self.only_reads:
            raise UsageError(f"the agent at {self.link.target} allows no changes: start it with --allow-changes")
        with self._lock:
            if self._status is None:
                self._status = wire.broker_status(self._broker())

    def _take_in(self) -> None:
        """Takes over what a heartbeat brought, unless it may be older than our last change."""
        reading = self.link.reading
        if reading is None or reading.beat == self._seen_beat or not self._fresh.fits(reading):
            return
        self._seen_beat = reading.beat
        with contextlib.suppress(ConnectionFailed):  # what was known before still is
            self._status = wire.broker_status(wire.section(reading.data, "broker"))

    def _boot_id(self) -> str:
        return str(wire.section(self.link.state, "agent").get("boot_id", ""))

    def _ask(self, path: _Path, body: Mapping[str, Value | str]) -> Applied:
        deadline = time.monotonic() + _PATIENCE_S
        if self._pending is not None:  # of an outage before: it is brought to its end, so that it cannot come late
            try:
                self._bring_about(self._pending, deadline)
            except ApplyFailed:
                pass  # nobody waits for it any more
            except BrokerUnavailable:
                if self._pending is not None:
                    raise
        return self._bring_about(_Change(path, body, uuid.uuid4().hex), deadline)

    def _bring_about(self, change: _Change, deadline: float) -> Applied:
        """Says `change` until its outcome is known; the key sees to it that it is done once.

        Raises:
            ApplyFailed: it was not done, the agent says why.
            BrokerUnavailable: not known by `deadline`; the change stays pending if it may have arrived.
        """
        known = self._pending is change
        while True:
            if not self._await_link(deadline):
                raise self._away(change)
            try:
                answer = self._outcome(change) if known else None
                if answer is None:
                    self._pending, known = change, True
                    headers = {"Idempotency-Key": change.key}
                    answer = self.link.request("POST", change.path, change.body, timeout_s=self._change_s, headers=headers)
            except Lost:
                continue
            except ConnectionFailed as error:
                raise BrokerUnavailable(str(error)) from error
            if answer.status in (409, 429) and answer.code != "key_reused":
                self._wait_for_turn(answer, deadline)
                known = False
                continue
            if answer.status == 504 or answer.data.get("state") == "under_way":  # it goes on there
                if time.monotonic() < deadline:
                    continue
                raise BrokerUnavailable(f"the agent at {self.link.target}: a change has not ended yet")
            self._pending = None
            return self._result(change, answer)

    def _await_link(self, deadline: float) -> bool:
        """Waits until the agent can be asked; whether it can."""
        while not self.link.await_usable(min(_POLL_S, max(0.0, deadline - time.monotonic()))):
            given_up = self.connection.state is ConnectionState.GIVEN_UP
            if given_up or self._hurried or time.monotonic() >= deadline:
                return False
        return True

    def _outcome(self, change: _Change) -> Answer | None:
        """What became of a change that was asked for before; None: it never arrived.

        Raises:
            Lost: the connection broke.
        """
        deadline = time.monotonic() + self._change_s
        while True:
            answer = self.link.request("GET", f"/changes/{change.key}", timeout_s=_ASK_S)
            if answer.status == 404:
                return None
            if answer.data.get("state") != "under_way" or time.monotonic() > deadline:
                return answer
            time.sleep(_POLL_S)

    def _wait_for_turn(self, answer: Answer, deadline: float) -> None:
        """Another change is under way, or ours comes too soon after the one before."""
        self._pending = None  # this one was not taken
        try:
            wait_s = float(answer.error.get("retry_after_s") or answer.headers.get("retry-after") or 0.1)
        except ValueError:
            wait_s = 1.0
        if time.monotonic() + wait_s > deadline:
            raise BrokerUnavailable(f"the agent at {self.link.target}: {answer.message}")
        time.sleep(wait_s)

    def _result(self, change: _Change, answer: Answer) -> Applied:
        """An answer to the change itself, or what `/changes` says of it."""
        state, error = answer.data.get("state"), answer.error
        if answer.ok and state in (None, "applied"):
            told = wire.section(answer.data, "applied")
            done = wire.applied(told) if told else self._read_back(wire.section(answer.data, "knobs"))
            self._in_force(done, done.knobs)
            return done
        if state == "unknown_after_crash_resolved":
            in_force = wire.section(answer.data, "knobs")
            if change.body and all(in_force.get(name) == value for name, value in change.body.items()):
                done = self._read_back(in_force)
                self._in_force(done, done.knobs)
                return done
            self._in_force(None, in_force)
            raise BrokerUnavailable(f"the agent at {self.link.target} was ended in the middle of a change; it was read back")
        if error.get("code") == "drifted":
            raise self._drifted(answer)
        if answer.status == 503 or state == "failed":
            restored = wire.applied(wire.section(error, "restored")) if error.get("restored") else None
            self._in_force(restored, restored.knobs if restored else None)
            raise ApplyFailed(answer.message, log=str(error.get("log") or ""), restored=restored)
        if answer.status in (403, 422):
            raise UsageError(f"the agent at {self.link.target}: {answer.message}")
        raise BrokerUnavailable(f"the agent at {self.link.target}: {answer.message}")

    def _drifted(self, answer: Answer) -> BrokerUnavailable:
        try:
            found = wire.differences(answer.error.get("differences"))
        except (KeyError, TypeError, ValueError):
            found = ()
        if not found:
            return BrokerUnavailable(f"the agent at {self.link.target}: {answer.message}")
        with self._lock:
            if self._status is not None:
                self._status = replace(self._status, drift=found)
        return BrokerDrifted(found)

    def _in_force(self, done: Applied | None, knobs: Mapping[str, Value] | None) -> None:
        """After a change we know better than any telemetry that was asked for before."""
        if knobs:
            self._ours, self._asked = (self._boot_id(), dict(knobs)), ()
        with self._lock:
            self._take_in()
            self._fresh.changed(self.link.beats)
            status = self._status
            if status is not None and knobs:
                restarts = status.restarts + (done is not None and done.how == "restart")
                pid = done.pid if done is not None else status.pid
                last = done or status.last_applied
                self._status = replace(
                    status,
                    state="listening",
                    pid=pid,
                    knobs=dict(knobs),
                    restarts=restarts,
                    last_applied=last,
                    error="",
                    drift=(),
                )

    def _read_back(self, knobs: Mapping[str, Value]) -> Applied:
        """A change that was made while nobody listened: what is in force, without how it went."""
        pid = self._status.pid if self._status is not None else None
        return Applied("none", dict(knobs), (), pid or 0, None, 0.0, 0.0, 0.0, 0.0, 0.0, ("read back",))

    def _away(self, change: _Change) -> BrokerUnavailable:
        connection = self.connection
        asked = "; whether the change was made is found out as soon as it is back" if self._pending is change else ""
        return BrokerUnavailable((connection.last_error or f"the agent at {self.link.target} cannot be reached") + asked)
