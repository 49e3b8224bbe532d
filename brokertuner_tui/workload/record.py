"""Records the shape of a broker's traffic with an ordinary client that only subscribes.

How it gets what it cannot ask for:

- It subscribes with QoS 2, so that each message comes with the QoS that it was published with, and, in MQTT 5, with "retain as
  published", without what is retained already, and with room for 65,535 messages in flight: `max_inflight_messages`, which
  Mosquitto applies to clients of 3.1.1, then does not slow it down.
- Fan-out: what the broker sent, less what it sent to the recorder, over the messages. Both are read where a value of
  `publish/messages/sent` stands in the recorder's own stream of messages. It is the mean of all topics; who subscribes to which
  topic cannot be seen from outside.
- Whether the recording is complete: against `publish/messages/received`, which misses QoS 2 and retained messages before
  Mosquitto 2.0.15 and is not used there.
- Clients come and go: `clients/connected`, and `connections/socket/count` from Mosquitto 2.1 on.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from brokertuner_tui.broker.connection import Connection, Dropped, ProbeError, Silent
from brokertuner_tui.errors import ConnectionFailed
from brokertuner_tui.mqtt import packets
from brokertuner_tui.mqtt.endpoint import MQTT_5, Endpoint
from brokertuner_tui.mqtt.reasons import connack_reason
from brokertuner_tui.workload.shape import Shape
from brokertuner_tui.workload.tally import Tally, TrafficScanner

_ROOT = "$SYS/broker/"
_SENT, _RECEIVED = "publish/messages/sent", "publish/messages/received"
_DROPPED, _CONNECTED = "publish/messages/dropped", "clients/connected"
_SOCKETS, _SUBSCRIPTIONS, _VERSION = "connections/socket/count", "subscriptions/count", "version"
_COUNTED = frozenset((_SENT, _RECEIVED, _DROPPED, _CONNECTED, _SOCKETS, _SUBSCRIPTIONS))
_COUNTS_ALL = (2, 0, 15)
"""The first version whose `received` counts QoS 2 and retained messages."""
_GREET_S, _POLL_S, _PING_S = 5.0, 0.1, 20.0
_PROGRESS_S = 0.5
_COMPLETE = 0.98
_RECEIVE_MAXIMUM = 65_535
_QOS_2, _RETAIN_AS_PUBLISHED, _NONE_RETAINED = 0x02, 0x08, 0x20


@dataclass(frozen=True, slots=True)
class Progress:
    """How the recording goes."""

    seconds: float
    messages: int
    messages_per_s: float
    """Since the progress before."""
    payload_bytes: int
    topics: int
    streams: int
    connected: int | None


@dataclass(frozen=True, slots=True)
class _Mark:
    """A counter of the broker, and what the recorder had taken in when it came."""

    value: int
    taken: int
    """PUBLISH packets, those of `$SYS` too."""
    messages: int


class _Counter:
    """One `$SYS` topic: its value, and the first and the last that came live."""

    def __init__(self) -> None:
        self.stored: int | None = None
        """Retained: of unknown age."""
        self.first: _Mark | None = None
        self.last: _Mark | None = None

    @property
    def value(self) -> int | None:
        """The newest."""
        return self.last.value if self.last is not None else self.stored

    @property
    def risen(self) -> int:
        """By how much since the recording began, as far as is known."""
        begin = self.stored if self.stored is not None else self.first.value if self.first is not None else None
        return max(0, self.value - begin) if begin is not None and self.value is not None else 0


class Recorder:
    """One recording: `connect`, `run`, and `shape`, which may be asked for at any time after `connect`.

    Args:
        filters: topic filters to subscribe to; they should not overlap, or the broker may send some messages twice.
        interval_s: resolution in time.
    """

    def __init__(self, endpoint: Endpoint, filters: Sequence[str] = ("#",), interval_s: float = 1.0) -> None:
        self._endpoint, self._filters = endpoint, tuple(filters)
        self._v5 = endpoint.protocol == MQTT_5
        self._tally = Tally(interval_s)
        self._interval_s = interval_s
        self._scanner = TrafficScanner(endpoint.protocol, self._message, self._sys_message, self._other)
        self._connection: _Stream | None = None
        self._counters = {name: _Counter() for name in _COUNTED}
        self._mosquitto = ""
        self._taken = 0
        self._handshake: list[tuple[int, bytes]] = []
        self._clients: list[tuple[float, int | None, int | None]] = []
        """At the end of each interval: when, clients, connections since the broker's start."""
        self._refused = 0
        self.lost = ""
        """Why the connection broke; empty while it has not."""
        self._began_at = 0.0

    # -- the connection --------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Connects and subscribes.

        Raises:
            ConnectionFailed: the broker does not answer, or lets us read nothing.
        """
        try:
            self._greet()
        except (ProbeError, packets.ProtocolError) as error:
            self.close()
            raise ConnectionFailed(f"the broker at {self._endpoint} does not answer: {error}") from error

    def _greet(self) -> None:
        endpoint = self._endpoint
        connection = self._connection = _Stream(endpoint, time.monotonic() + _GREET_S)
        connection.send(
            packets.connect(
                "",
                protocol=endpoint.protocol,
                keepalive_s=60,
                receive_maximum=_RECEIVE_MAXIMUM if self._v5 else None,
                username=endpoint.username,
                password=endpoint.password,
            )
        )
        answer = packets.read_connack(self._answer(packets.CONNACK), protocol=endpoint.protocol)
        if not answer.accepted:
            reason = connack_reason(answer.code, endpoint.protocol)
            raise ConnectionFailed(f"the broker at {endpoint} refuses the recorder: {reason}")
        options = _QOS_2 | (_RETAIN_AS_PUBLISHED | _NONE_RETAINED if self._v5 else 0)
        wanted = [(name, options) for name in self._filters] + [(f"{_ROOT}#", 0)]
        connection.send(packets.subscribe(1, wanted, protocol=endpoint.protocol))
        codes = self._answer(packets.SUBACK)[-len(wanted) :]
        self._refused = sum(code >= 0x80 for code in codes[:-1])
        if self._refused == len(self._filters):
            raise ConnectionFailed(
                f"the broker at {endpoint} does not let the recorder subscribe to {', '.join(self._filters)}"
            )
        self._began_at = time.time()

    def _answer(self, kind: int) -> bytes:
        """The body of the next packet of `kind`; messages that come before it are counted.

        Raises:
            ProbeError: it does not come.
        """
        assert self._connection is not None
        while True:
            for first, body in self._handshake:
                if first >> 4 == kind:
                    self._handshake.clear()
                    return body
            self._connection.send_some(self._scanner.feed(bytes(self._connection.receive("no answer"))))

    def close(self) -> None:
        """Says goodbye. May be called again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close(packets.DISCONNECT_PACKET)

    # -- what comes ------------------------------------------------------------------------------------------------

    def _message(self, topic: bytes, qos: int, size: int, retained: bool) -> None:
        self._taken += 1
        if self._v5 or not retained:  # in 3.1.1, retained is what was there before
            self._tally.message(topic, qos, size, retained)

    def _sys_message(self, topic: str, payload: str, retained: bool) -> None:
        self._taken += 1
        name = topic.removeprefix(_ROOT)
        if name == _VERSION:
            self._mosquitto = payload.removeprefix("mosquitto version ")
        counter, number = self._counters.get(name), re.match(r"\d+", payload)
        if counter is None or number is None:
            return
        if retained:
            counter.stored = int(number[0])
            return
        mark = _Mark(int(number[0]), self._taken, self._tally.messages)
        counter.first = counter.first or mark
        counter.last = mark

    def _other(self, first: int, body: bytes) -> None:
        if first >> 4 in (packets.CONNACK, packets.SUBACK):
            self._handshake.append((first, body))
        elif first >> 4 == packets.DISCONNECT:
            raise Dropped(f"the broker disconnects the recorder (reason {body[0] if body else 0})")

    def run(
        self,
        seconds: float,
        cancelled: Callable[[], bool] = lambda: False,
        on_progress: Callable[[Progress], None] = lambda _progress: None,
    ) -> None:
        """Records for `seconds`, until `cancelled` says so, or until the connection is lost (`shape` says so then)."""
        assert self._connection is not None, "connect() comes first"
        began = last = pinged = time.monotonic()
        interval_ends, seen = began + self._interval_s, self._tally.messages
        while not cancelled():
            try:
                pinged = self._take(pinged)
            except (ProbeError, packets.ProtocolError) as error:
                self.lost = str(error)
            now = time.monotonic()
            while now >= interval_ends:
                interval_ends += self._interval_s
                self._close_interval()
            if now - last >= _PROGRESS_S:
                on_progress(self._progress(now - began, (self._tally.messages - seen) / (now - last)))
                last, seen = now, self._tally.messages
            if self.lost or now >= began + seconds:
                return

    def _take(self, pinged: float) -> float:
        """Takes in what has come, if something comes soon; says when the broker was pinged last."""
        assert self._connection is not None
        self._connection.allow(_POLL_S)
        try:
            data = bytes(self._connection.receive("nothing"))
        except Silent:
            data = b""
        answers = self._scanner.feed(data) if data else b""
        now = time.monotonic()
        if now - pinged >= _PING_S:
            answers, pinged = answers + packets.PINGREQ_PACKET, now
        self._connection.send_some(answers)
        return pinged

    def _close_interval(self) -> None:
        if not self._tally.close_interval():
            return
        self._clients.append((self._tally.interval_s, self._connected(), _live(self._counters[_SOCKETS])))
        if self._tally.full:
            self._tally.halve()
            self._clients = self._clients[1::2]

    def _connected(self) -> int | None:
        """Clients but the recorder; None before the broker has counted it."""
        last = self._counters[_CONNECTED].last
        return max(0, last.value - 1) if last is not None else None

    def _progress(self, seconds: float, rate: float) -> Progress:
        tally = self._tally
        return Progress(seconds, tally.messages, rate, tally.payload_bytes, tally.topics, tally.streams_seen, self._connected())

    # -- what it comes to ------------------------------------------------------------------------------------------

    @property
    def version(self) -> tuple[int, ...]:
        """The broker's; empty if it does not say."""
        found = re.match(r"(\d+)\.(\d+)\.(\d+)", self._mosquitto)
        return tuple(int(part) for part in found.groups()) if found else ()

    @property
    def own_share(self) -> float | None:
        """Of all that the broker sent, what it sent to the recorder: the load that recording is. None: not known."""
        sent = self._counters[_SENT]
        if sent.first is None or sent.last is None or sent.last.value <= sent.first.value:
            return None
        return min(1.0, (sent.last.taken - sent.first.taken) / (sent.last.value - sent.first.value))

    def shape(self) -> Shape:
        """What was recorded, in whole intervals.

        Raises:
            ConnectionFailed: not one interval is over.
        """
        if not self._tally.closed:
            why = f": {self.lost}" if self.lost else ""
            raise ConnectionFailed(f"nothing was recorded: not even {self._interval_s:g} s are over{why}")
        coverage = self._coverage()
        connected, connects, disconnects = self._comings_and_goings()
        subscriptions = self._counters[_SUBSCRIPTIONS]
        ours = len(self._filters) - self._refused + 1 if subscriptions.last is not None else 0
        return Shape(
            interval_s=self._tally.interval_s,
            streams=self._tally.streams(retained_known=self._v5),
            connected=connected,
            connects=connects,
            disconnects=disconnects,
            fan_out=self._fan_out(coverage),
            subscriptions=None if subscriptions.value is None else max(0, subscriptions.value - ours),
            coverage=None if coverage is None else round(coverage, 4),
            mosquitto=self._mosquitto,
            recorded_at=datetime.fromtimestamp(self._began_at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            notes=tuple(self._notes(coverage)),
        )

    def _coverage(self) -> float | None:
        """Messages seen, of those received by the broker between the first and the last time that it said how many."""
        received = self._counters[_RECEIVED]
        if received.first is None or received.last is None or not self.version >= _COUNTS_ALL:
            return None
        total = received.last.value - received.first.value
        return (received.last.messages - received.first.messages) / total if total > 0 else None

    def _fan_out(self, coverage: float | None) -> float | None:
        """Deliveries to others, of a message that was published."""
        sent = self._counters[_SENT]
        if sent.first is None or sent.last is None:
            return None
        messages = (sent.last.messages - sent.first.messages) / (coverage or 1.0)
        others = (sent.last.value - sent.first.value) - (sent.last.taken - sent.first.taken)
        return round(max(0.0, others / messages), 4) if messages > 0 else None

    def _comings_and_goings(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Connected, connects and disconnects, in each interval; empty if the broker does not say."""
        known = [connected for _, connected, _ in self._clients if connected is not None]
        stored = self._counters[_CONNECTED].stored
        if not known and stored is None:
            return (), (), ()
        before = known[0] if known else stored or 0
        sockets_before = next((sockets for _, _, sockets in self._clients if sockets is not None), None)
        result: list[tuple[int, int, int]] = []
        for _, connected, sockets in self._clients:
            connected = before if connected is None else connected
            came = max(0, connected - before)
            if sockets is not None and sockets_before is not None:
                came = max(came, sockets - sockets_before)
                sockets_before = sockets
            result.append((connected, came, came - (connected - before)))
            before = connected
        columns = [tuple(column) for column in zip(*result, strict=True)]
        return columns[0], columns[1], columns[2]

    def _notes(self, coverage: float | None) -> list[str]:
        """What the operator should know."""
        notes = []
        if self.lost:
            notes.append(f"the connection was lost after {self._tally.closed * self._tally.interval_s:g} s: {self.lost}")
        if self._refused:
            notes.append(f"{self._refused} of {len(self._filters)} topic filters were refused")
        if coverage is not None and coverage < _COMPLETE:
            notes.append(
                f"{100 * coverage:.0f} % of what the broker received was seen: the rest is outside of the topics asked for, "
                "forbidden to this client by an ACL, or was lost on the way"
            )
        dropped = self._counters[_DROPPED].risen
        if dropped:
            notes.append(f"the broker dropped {dropped} messages meanwhile; if they were the recorder's, counts are too low")
        if self._counters[_SENT].value is None:
            notes.append("there is no $SYS to read (switched off, or forbidden): fan-out and clients are not known")
        elif self._fan_out(coverage) is None:
            notes.append(
                "fan-out is not known: $SYS has to come twice while messages flow; record for longer (see sys_interval)"
            )
        else:
            notes.append("fan-out is the mean over all topics: which topics have more subscribers cannot be seen from outside")
        if self._counters[_SOCKETS].value is None and self._counters[_CONNECTED].value is not None:
            notes.append("connects and disconnects are net changes: Mosquitto counts connections from 2.1 on only")
        if not self._v5:
            notes.append(
                "MQTT 3.1.1: what asked to be retained cannot be seen, and max_inflight_messages may slow the recorder"
            )
        return notes


def _live(counter: _Counter) -> int | None:
    return counter.last.value if counter.last is not None else None


class _Stream(Connection):
    """A connection whose deadline moves on."""

    def allow(self, seconds: float) -> None:
        """From now on, waiting may take this long."""
        self._deadline = time.monotonic() + seconds

    def send_some(self, data: bytes) -> None:
        """Sends, with time enough for a broker that is busy."""
        if data:
            self.allow(_GREET_S)
            self.send(data)
