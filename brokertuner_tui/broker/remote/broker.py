"""A broker that an agent on its host owns: what is asked of it goes over HTTP, and is done once, whatever the network does."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from brokertuner_tui.broker.drift import ask_limits, knob_differences
from brokertuner_tui.broker.interface import Applied, ApplyFailed, BrokerDrifted, BrokerStatus, BrokerUnavailable, Difference
from brokertuner_tui.broker.remote import wire
from brokertuner_tui.broker.remote.asking import Asking, Change
from brokertuner_tui.broker.remote.asking import Path as AgentPath
from brokertuner_tui.broker.remote.freshness import Freshness
from brokertuner_tui.connection.http import Answer
from brokertuner_tui.connection.link import AgentLink
from brokertuner_tui.connection.target import is_loopback
from brokertuner_tui.connection.tracker import ConnectionStatus
from brokertuner_tui.errors import ConnectionFailed, TunerError, UsageError
from brokertuner_tui.knobs.catalogue import KnobValues, Value, Version, changed
from brokertuner_tui.knobs.validation import check_all
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.telemetry.source import Told

_PATIENCE_S = 10.0
"""How long a change waits for a connection that was lost under it; after that the tuner goes on waiting, not the change."""
_POLL_S = 0.05
_ASK_S = 5.0
_BEYOND_S = 10.0
"""For a change, on top of what the agent's own deadlines come to."""


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
        self._asking = Asking(link, 2 * restart_stable_s + _BEYOND_S)
        self._lock = threading.Lock()
        self._fresh = Freshness()
        self._endpoint: tuple[Mapping[str, Any], Endpoint] | None = None
        self._status: BrokerStatus | None = None
        self._seen_beat = 0
        self._applied: str | None = None
        """The key of what was brought into force last."""
        self._last_good: dict[str, Value] | None = None
        self._recovered = ""
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
        self._asking.hurry()

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
        self._asking.claim()
        state = self.link.state
        self._last_good = dict(wire.section(self._broker(), "last_good")) or None
        self._recovered = str(wire.section(state, "rolled_back").get("reason", ""))
        if wire.section(state, "unconfirmed") and self._last_good is not None:
            before = wire.section(self._broker(), "knobs") or self._last_good  # telemetry may be older than that change
            done = self.apply(self._last_good)
            names = ", ".join(changed(self._last_good, before)) or "no knob"
            self._recovered = f"the change of {names} that an earlier tuner never confirmed was rolled back, and verified"
            return done
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
        return self._ask("/apply_knobs?confirm=later", check_all(knobs))

    @property
    def last_good(self) -> dict[str, Value] | None:
        """See `Broker`; as the agent said when it was connected to, or as was confirmed since."""
        return self._last_good

    @property
    def recovered(self) -> str:
        """See `Broker`: what the agent, or the start here, has taken back of a change that was not confirmed."""
        return self._recovered

    def confirm(self) -> None:
        """See `Broker`.

        Raises:
            BrokerUnavailable: the agent cannot be reached.
            TunerError: it has rolled the change back, or could not note that.
        """
        if self._applied is None or self._ours is None:
            raise TunerError("nothing was brought into force yet")
        answer = self._asking.confirm(self._applied)
        if not answer.ok:
            raise TunerError(f"the agent at {self.link.target}: {answer.message}")
        self._last_good = dict(self._ours[1])

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

    def accept(self, *, untouched: bool = False) -> Applied:
        """See `Broker`; the agent's word counts.

        Raises:
            BrokerUnavailable: see `apply`.
            TunerError: `untouched`, which an agent is not asked for.
        """
        if untouched:
            raise TunerError(f"the agent at {self.link.target}: whether its broker has read its config is not known here")
        return self._ask("/reconcile", {"keep": "theirs"})

    def reclaim(self) -> Applied:
        """See `Broker`.

        Raises:
            BrokerUnavailable: see `apply`.
        """
        ours, status = self._ours, self.status()
        if ours is not None and not status.drift and status.knobs is not None and knob_differences(ours[1], status.knobs):
            return self._ask("/apply_knobs?confirm=later", dict(ours[1]))  # somebody else had the agent apply others
        return self._ask("/reconcile", {"keep": "ours"})

    def stop(self) -> None:
        """Says goodbye, so that another tuner can have the broker at once, and closes the connection."""
        self._asking.leave()
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

    def _ask(self, path: AgentPath, body: Mapping[str, Value | str]) -> Applied:
        change, answer = self._asking.ask(path, body)
        done = self._result(change, answer)
        if path == "/apply_knobs?confirm=later" or body == {"keep": "theirs"}:
            self._applied = change.key
        if body == {"keep": "theirs"}:  # somebody decided so
            self._last_good = dict(done.knobs)
        return done

    def _result(self, change: Change, answer: Answer) -> Applied:
        """An answer to the change itself, or what `/changes` says of it."""
        state, error = answer.data.get("state"), answer.error
        if answer.ok and state in (None, "applied"):
            told = wire.section(answer.data, "applied")
            done = wire.applied(told) if told else self._read_back(wire.section(answer.data, "knobs"))
            self._in_force(done, done.knobs)
            return done
        if state == "rolled_back":
            self._in_force(None, wire.section(answer.data, "knobs"))
            raise BrokerUnavailable(f"the agent at {self.link.target} has rolled the change back: {answer.message}")
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
        if error.get("code") == "trap":  # legal, and refused before anything was touched
            knobs = self.status().knobs
            raise ApplyFailed(answer.message, restored=self._read_back(knobs) if knobs else None)
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
