"""What the broker says of itself under `$SYS`, read by an ordinary client.

Traps that this minds (checked on 2.0.11, 2.0.21 and 2.1.2): a topic comes only when its value changed, so silence of a
counter means zero, and only silence of `uptime` means staleness; what comes first after subscribing is retained, of unknown
age; 2.0 publishes every second second for `sys_interval 1`; counters begin again at zero with the process. What it shows is
for the operator: `sent` counts what went to sockets, `dropped` misses most kinds of loss, so neither is ever a reward.
"""

from __future__ import annotations

import math
import re
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from brokertuner_tui.connection.kept import KeptUp
from brokertuner_tui.connection.policy import POLICIES, ReconnectPolicy
from brokertuner_tui.connection.tracker import ConnectionStatus, ConnectionTracker
from brokertuner_tui.errors import ConnectionFailed, TunerError
from brokertuner_tui.mqtt.endpoint import MQTT_5, Endpoint
from brokertuner_tui.mqtt.tls import client_context, tls_failure
from brokertuner_tui.telemetry.sample import SysRates

NAME = "$SYS"
_ROOT = "$SYS/broker/"
_NEVER_SUBSCRIBED = "btt/-"
_LOOK_S = 0.1
"""So long at most until an attempt that shall end notices."""
_RECEIVED, _SENT, _DROPPED = "publish/messages/received", "publish/messages/sent", "publish/messages/dropped"
# `uptime` is the first topic of a publication; the others are here this much later.
_PUBLICATION_S = 0.15
_STALE_PERIODS = 3.0
_STALE_AT_LEAST_S = 3.0
# What is retained comes with the subscription, some of it also from a broker that has published nothing new yet.
_RETAINED_WITHIN_S = 3.0


@dataclass(frozen=True, slots=True)
class _Mark:
    """The counters as one publication left them."""

    at: float
    uptime_s: int
    live: bool
    """False: retained; `at` is when it was read, not when it was published."""
    counters: tuple[int, int, int]


class SysTally:
    """Turns `$SYS` messages into rates. No network, no thread of its own; calls are serialised by its user.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Forgets everything: another connection, perhaps to another process."""
        self._raw: dict[str, str] = {}
        self._heartbeat: tuple[float, bool] | None = None
        """When `uptime` last came, and whether it was published then; until the publication has been taken in."""
        self._beat_at: float | None = None
        self._period_s = 2.0
        self._last: _Mark | None = None
        self._rates = (0.0, 0.0, 0.0)

    def message(self, topic: str, payload: str, retained: bool) -> None:
        """Takes in one message; `topic` with its `$SYS/broker/`."""
        name = topic.removeprefix(_ROOT)
        if name == "uptime":
            self._close_publication()
            uptime = _number(payload)
            if self._last is not None and uptime < self._last.uptime_s:
                self.reset()  # another process behind the same connection cannot be, but a wrong rate would be worse
            now = self._clock()
            self._heartbeat = (now, not retained)
            if not retained:
                if self._beat_at is not None:
                    self._period_s = max(0.1, now - self._beat_at)
                self._beat_at = now
        self._raw[name] = payload

    def rates(self) -> SysRates:
        """What is known now."""
        now = self._clock()
        if self._heartbeat is not None and now - self._heartbeat[0] >= _PUBLICATION_S:
            self._close_publication()
        age = now - self._beat_at if self._beat_at is not None else float("inf")
        stale = age > max(_STALE_AT_LEAST_S, _STALE_PERIODS * self._period_s)
        received, sent, dropped = (0.0, 0.0, 0.0) if stale else self._rates
        return SysRates(
            clients_connected=_number(self._raw.get("clients/connected", "0")),
            received_per_s=received,
            sent_per_s=sent,
            dropped_per_s=dropped,
            heap_bytes=_number(self._raw.get("heap/current", "0")),
            uptime_s=_number(self._raw.get("uptime", "0")),
            version=self._raw.get("version", ""),
            age_s=age,
            stale=stale,
            raw=dict(self._raw),
        )

    def _close_publication(self) -> None:
        """All of a publication is here: what changed since the one before, over the time between the two."""
        if self._heartbeat is None:
            return
        at, live = self._heartbeat
        self._heartbeat = None
        counters = tuple(_number(self._raw.get(name, "0")) for name in (_RECEIVED, _SENT, _DROPPED))
        mark = _Mark(at, _number(self._raw.get("uptime", "0")), live, (counters[0], counters[1], counters[2]))
        last, self._last = self._last, mark
        if last is None:
            return
        # When the retained one was published is known to the second only, by the broker's own clock.
        seconds = at - last.at if last.live else float(mark.uptime_s - last.uptime_s)
        if not last.live and seconds < 2:
            return
        if seconds > 0:
            new = [max(0, now - then) / seconds for now, then in zip(mark.counters, last.counters, strict=True)]
            self._rates = (new[0], new[1], new[2])


class SysTopics:
    """A client that stays subscribed to `$SYS/broker/#`, in a thread of its own, through every restart of the broker.

    It is one of the clients that the broker counts. All methods may be called from any thread. paho makes each connection and
    speaks over it; when one is tried, when one is dead and how long to wait is the policy's, not paho's.
    """

    def __init__(self, endpoint: Endpoint, policy: ReconnectPolicy = POLICIES["default"]) -> None:
        self.endpoint = endpoint
        self._policy = policy
        self._lock = threading.Lock()
        self._tally = SysTally()
        self._trouble = ""
        self._subscribed_at: float | None = None
        self._refused = ""
        self._tracker = ConnectionTracker(policy, NAME)
        self._kept = KeptUp(self._tracker, self._attempt, lambda: None)

    def start(self) -> None:
        """Begins to connect; does not wait for it. Without usable certificates it stays silent, and `read` says why."""
        self._kept.start()

    def stop(self) -> None:
        """Ends the client and its thread (up to 2 s when it is just connecting)."""
        self._kept.stop()

    def hurry(self) -> None:
        """The broker was started anew: it is tried again soon, however long it was away."""
        self._kept.hurry()

    def status(self) -> ConnectionStatus:
        """How the connection is."""
        return self._tracker.status()

    def watch(self, callback: Callable[[ConnectionStatus], None]) -> None:
        """Calls `callback` at every change of state, from another thread: it must be quick."""
        self._tracker.watch(callback)

    def read(self) -> SysRates:
        """What is known now; `stale` while there is no connection, or nothing comes, and why."""
        with self._lock:
            rates = self._tally.rates()
            return replace(rates, reason=self._reason(rates)) if rates.stale else rates

    def _reason(self, rates: SysRates) -> str:
        if self._trouble or self._subscribed_at is None:
            return self._trouble
        silent_s = min(rates.age_s, time.monotonic() - self._subscribed_at)
        if not rates.raw and silent_s > _RETAINED_WITHIN_S:
            # An ACL file lets everybody subscribe, and then passes nothing on: from here that looks the same.
            return "nothing comes: $SYS is switched off (sys_interval 0), or the ACL forbids it"
        if rates.raw and silent_s > _STALE_AT_LEAST_S:
            return f"nothing new for {silent_s:.0f} s: sys_interval is long, or 0"
        return ""

    def _attempt(self) -> None:
        """One connection, until it is over. Nothing of it is left then: every attempt has a client of its own."""
        client = self._client()
        try:
            self._connect(client)
            self._listen(client)
        except TunerError as error:
            self._lost(str(error))
            raise
        finally:
            client.disconnect()
            if (sock := client.socket()) is not None:
                sock.close()

    def _client(self) -> mqtt.Client:
        # No client id: the broker makes one up, and without a user name the CONNECT stays below any legal max_packet_size.
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id="",
            protocol=mqtt.MQTTv5 if self.endpoint.protocol == MQTT_5 else mqtt.MQTTv311,
            transport=self.endpoint.transport,
            reconnect_on_failure=False,
        )
        client.suppress_exceptions = True  # of a callback: it would end the connection
        client.connect_timeout = self._policy.connect_timeout_s
        if self.endpoint.transport == "websockets":
            client.ws_set_options(self.endpoint.path)
        if self.endpoint.username is not None or self.endpoint.password is not None:
            client.username_pw_set(self.endpoint.username, self.endpoint.password)
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_unsubscribe = self._answered
        client.on_message = self._message
        return client

    def _connect(self, client: mqtt.Client) -> None:
        """
        Raises:
            ConnectionFailed, TlsFileError: it cannot.
        """
        if self.endpoint.tls is not None:
            client.tls_set_context(client_context(self.endpoint.tls))
        try:
            # paho waits so long in a TLS handshake, too.
            client.connect(self.endpoint.host, self.endpoint.port, max(5, math.ceil(self._policy.connect_timeout_s)))
        except ssl.SSLError as error:
            tls = self.endpoint.tls
            raise ConnectionFailed(tls_failure(error, (tls.server_name if tls else None) or self.endpoint.host)) from None
        except (OSError, ValueError) as error:  # ValueError: what paho makes of a host name that is none
            raise ConnectionFailed(f"no connection: {getattr(error, 'strerror', None) or error or 'it failed'}") from None

    def _listen(self, client: mqtt.Client) -> None:
        """
        Raises:
            ConnectionFailed: the connection is over, or dead.
        """
        began = asked_at = time.monotonic()
        self._refused = ""
        while not self._kept.stopped:
            if client.loop(_LOOK_S) != mqtt.MQTT_ERR_SUCCESS:
                raise ConnectionFailed(self._refused or "no connection: the broker closed it")
            now = time.monotonic()
            if not self._tracker.status().state.usable:
                if now - began > self._policy.connect_timeout_s:
                    raise ConnectionFailed("no connection: no CONNACK came in time")
            elif self._tracker.silence_left_s() <= 0:
                raise ConnectionFailed(f"no connection: no answer for {self._policy.heartbeat_timeout_s:g} s")
            elif now - asked_at >= self._policy.heartbeat_s:
                # paho keeps its PINGREQ to itself; what one never subscribed to is acknowledged as well.
                asked_at = now
                client.unsubscribe(_NEVER_SUBSCRIBED)

    def _connected(self, client: mqtt.Client, _user: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._refused = f"not let in: {reason}"
            return
        with self._lock:
            self._tally.reset()
            self._subscribed_at, self._trouble = None, ""
        self._tracker.connected()
        client.subscribe(f"{_ROOT}#", qos=0)

    def _answered(self, *_: Any) -> None:
        self._tracker.beat()

    def _lost(self, why: str) -> None:
        with self._lock:
            self._tally.reset()  # what a broker said that is gone is stale at once
            self._subscribed_at, self._trouble = None, why

    def _subscribed(self, _client: mqtt.Client, _user: Any, _mid: Any, reasons: Any, _properties: Any) -> None:
        with self._lock:
            self._subscribed_at = time.monotonic()
            if any(reason.is_failure for reason in reasons):
                self._trouble = f"the broker refuses {_ROOT}#: {reasons[0]} (its ACL forbids it)"

    def _message(self, _client: mqtt.Client, _user: Any, message: mqtt.MQTTMessage) -> None:
        self._tracker.beat()
        with self._lock:
            self._tally.message(message.topic, message.payload.decode(errors="replace"), message.retain)


def _number(text: str) -> int:
    """The number that `text` begins with (`12 seconds`), 0 if there is none."""
    found = re.match(r"-?\d{1,18}", text)
    return int(found[0]) if found else 0
