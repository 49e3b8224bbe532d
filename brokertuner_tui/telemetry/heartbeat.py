"""Whether the broker still serves: a client of its own that asks a small thing twice a second, and counts how long it waits.

A process that hangs (stopped, or caught in a loop) still has its port: the kernel accepts connections for it, and nothing
else shows that it is gone. A broker that is only busy answers late, and must not be taken for one that hangs; three things see
to that. Silence counts only while an answer is owed, and only as far as this thread was awake to see it, so that a machine
which is short of CPU, or was asleep, does not make the broker look dead. What the load still gets from the broker counts as an
answer. And while we restart the broker ourselves, nothing is said of it.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator

from brokertuner_tui.broker.connection import Connection, NotAccepted, ProbeError, Refused, Silent, mqtt_only
from brokertuner_tui.broker.probe import TOPIC_PREFIX
from brokertuner_tui.connection.kept import KeptUp
from brokertuner_tui.connection.policy import ReconnectPolicy
from brokertuner_tui.connection.tracker import ConnectionStatus, ConnectionTracker
from brokertuner_tui.mqtt import packets
from brokertuner_tui.mqtt.endpoint import MQTT_5, Endpoint
from brokertuner_tui.mqtt.reasons import connack_reason

_LOOK_S = 0.25
"""Between two looks for an answer: a silence is known this exactly."""
_HUNG_AT_LEAST_S = 3.0
"""However short the policy's patience with a connection is: a broker under full load may take a second or two."""
_KEEPALIVE_S = 10
"""The least that `max_keepalive` can allow."""
_PACKET_ID = 1


class Silence:
    """How long an answer has been owed, in time that was watched. No thread, no clock: times (seconds, any origin) come in."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._owed = False
        self._looked_at = 0.0

    def asked(self, now: float) -> None:
        """A question goes out."""
        if not self._owed:
            self._owed, self._looked_at = True, now

    def looked(self, now: float) -> None:
        """There was no answer: since the last look, of which only so much counts as one look takes."""
        if self._owed:
            self.seconds += min(max(0.0, now - self._looked_at), 2 * _LOOK_S)
            self._looked_at = now

    def heard(self) -> None:
        """The other end has answered, or shown in another way that it lives: nothing is owed."""
        self.seconds, self._owed = 0.0, False

    def excuse(self) -> None:
        """The answer is still owed, but what was so far does not count."""
        self.seconds = 0.0


class Heartbeat:
    """Keeps one connection to a broker, over whatever its endpoint says, and asks over it every `policy.heartbeat_s`.

    A question is a PINGREQ and an empty QoS 1 message on a topic that nobody subscribes to; its acknowledgement counts also
    when an ACL refuses the message. All methods may be called from any thread.

    Args:
        endpoint: where the broker is now; asked again and again: when it moves, the connection moves with it.
        evidence: changes whenever the broker does something for somebody else (such as messages delivered so far): a broker
            that delivers does not hang.
        publishes: whether a question is a message, too, and not a PINGREQ alone.
        hung_s: how long a silence has to be, and never shorter than the policy's patience with a connection.
    """

    def __init__(
        self,
        endpoint: Callable[[], Endpoint],
        policy: ReconnectPolicy,
        *,
        name: str = "heartbeat",
        evidence: Callable[[], object] = lambda: None,
        publishes: bool = True,
        hung_s: float = _HUNG_AT_LEAST_S,
    ) -> None:
        self._endpoint, self._policy, self._evidence = endpoint, policy, evidence
        self._hung_s = max(hung_s, policy.heartbeat_timeout_s)
        self._publishes = publishes
        self._tracker = ConnectionTracker(policy, name)
        self._kept = KeptUp(self._tracker, self._attempt, self._wake)
        self._connection: Connection | None = None
        self._topic = TOPIC_PREFIX + secrets.token_hex(4)  # as short as the probe's: passes under every legal max_packet_size
        self._lock = threading.Lock()
        self._silence = Silence()
        """Of the broker, through all attempts; that of one connection is the attempt's own."""
        self._excused = 0
        self._seen: object = None

    def start(self) -> None:
        """Begins to connect; does not wait for it."""
        self._kept.start()

    def stop(self) -> None:
        """Leaves the broker, ends the thread. May be called again."""
        self._kept.stop()

    @property
    def running(self) -> bool:
        """Whether it was started, and not stopped."""
        return self._kept.running

    def status(self) -> ConnectionStatus:
        """How the connection is."""
        return self._tracker.status()

    def watch(self, callback: Callable[[ConnectionStatus], None]) -> None:
        """Calls `callback` at every change of state, in the heartbeat's thread: it must be quick."""
        self._tracker.watch(callback)

    def hung(self) -> str:
        """Empty, unless the broker's host takes connections and the broker has answered nothing for too long; then how long."""
        with self._lock:
            seconds = self._silence.seconds
            if self._excused or seconds < self._hung_s or not self._kept.running:
                return ""
        return f"the broker has not answered for {seconds:.1f} s"

    @contextlib.contextmanager
    def expect_restart(self) -> Iterator[None]:
        """While the body restarts or reloads the broker, silence says nothing; after it, the broker is asked soon."""
        with self._lock:
            self._excused += 1
        try:
            yield
        finally:
            with self._lock:
                self._excused -= 1
                self._silence.excuse()
            self._kept.hurry()

    def retry(self) -> None:
        """Begins anew after it was given up, and does not wait for long otherwise."""
        self._kept.hurry()

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _attempt(self) -> None:
        endpoint = self._endpoint()
        deadline = time.monotonic() + self._policy.connect_timeout_s
        try:
            connection = Connection(endpoint, deadline)
        except NotAccepted:
            raise  # a host that is away, or a broker that hangs and whose queue is full: what was known stays
        except Silent:
            with self._of_broker() as all_silence:
                all_silence.seconds += self._policy.connect_timeout_s
            raise
        except ProbeError:
            self._not_silent()
            raise
        farewell = packets.DISCONNECT_PACKET
        self._connection = connection
        try:
            self._converse(connection, endpoint, deadline)
        except Silent:
            farewell = b""
            raise
        except ProbeError:
            farewell = b""
            self._not_silent()  # refused, closed, reset: that is not what one does who hangs
            raise
        finally:
            self._connection = None
            connection.close(farewell)

    def _converse(self, connection: Connection, endpoint: Endpoint, deadline: float) -> None:
        """From the CONNECT until the connection is over, or is no longer wanted."""
        talk = _Talk(connection, endpoint, self._publishes)
        silence = Silence()
        self._ask(silence, talk.hello)
        asked_at = time.monotonic()
        while not self._kept.stopped and self._endpoint() == endpoint:
            now = time.monotonic()
            if talk.accepted and now - asked_at >= self._policy.heartbeat_s:
                asked_at = now
                self._ask(silence, lambda: talk.question(self._topic))
            if talk.look(min(_LOOK_S, max(0.01, asked_at + self._policy.heartbeat_s - now))):
                silence.heard()
                self._not_silent()
                self._well(talk)
                continue
            now = time.monotonic()
            silence.looked(now)
            with self._of_broker() as all_silence:
                all_silence.looked(now)
            if not talk.accepted and now >= deadline:
                raise Silent("no CONNACK came in time")
            if silence.seconds >= self._policy.heartbeat_timeout_s:
                raise Silent(f"no answer for {silence.seconds:.1f} s")

    def _ask(self, silence: Silence, send: Callable[[], None]) -> None:
        now = time.monotonic()
        silence.asked(now)
        with self._of_broker() as all_silence:
            all_silence.asked(now)
        send()

    def _well(self, talk: _Talk) -> None:
        if not talk.accepted:
            return
        self._tracker.connected()
        late_s = talk.unacknowledged_s()
        unwell = f"a QoS 1 message has not been acknowledged for {late_s:.1f} s"
        self._tracker.beat(unwell if late_s >= self._policy.heartbeat_timeout_s else "")

    @contextlib.contextmanager
    def _of_broker(self) -> Iterator[Silence]:
        """The silence that `hung` goes by, to change."""
        evidence = self._evidence()
        with self._lock:
            yield self._silence
            if evidence != self._seen:
                self._seen = evidence
                self._silence.excuse()

    def _not_silent(self) -> None:
        with self._of_broker() as all_silence:
            all_silence.heard()

    def _wake(self) -> None:
        connection = self._connection
        if connection is not None:
            connection.wake()


class _Talk:
    """What is said over one connection."""

    def __init__(self, connection: Connection, endpoint: Endpoint, publishes: bool) -> None:
        self._connection, self._endpoint = connection, endpoint
        self._buffer = bytearray()
        self.accepted = False
        self._publishes = publishes
        self._published_at: float | None = None
        """When the message went out that is not acknowledged yet."""

    def hello(self) -> None:
        """Asks to become a client, whose name the broker makes up, and of whom nothing stays."""
        where = self._endpoint
        self._connection.send(
            packets.connect(
                "", protocol=where.protocol, keepalive_s=_KEEPALIVE_S, username=where.username, password=where.password
            )
        )

    def question(self, topic: str) -> None:
        """A PINGREQ, and a message unless one is still out."""
        data = packets.PINGREQ_PACKET
        if self._publishes and self._published_at is None:
            data += packets.publish(topic, b"", qos=1, packet_id=_PACKET_ID, protocol=self._endpoint.protocol)
            self._published_at = time.monotonic()
        self._connection.until(time.monotonic() + 2 * _LOOK_S)
        self._connection.send(data)

    def unacknowledged_s(self) -> float:
        """How long a message has been out."""
        return 0.0 if self._published_at is None else time.monotonic() - self._published_at

    def look(self, seconds: float) -> bool:
        """Takes in what has come, waiting for it if need be; whether something came.

        Raises:
            ProbeError: the connection is over.
        """
        self._connection.until(time.monotonic() + seconds)
        try:
            self._buffer += self._connection.receive("")
        except Silent:
            return False
        with mqtt_only():
            while (packet := packets.next_packet(self._buffer)) is not None:
                self._take(*packet)
        return True

    def _take(self, first: int, body: bytes) -> None:
        kind, protocol = first >> 4, self._endpoint.protocol
        if kind == packets.CONNACK:
            connack = packets.read_connack(body, protocol=protocol)
            if not connack.accepted:
                raise Refused(f"the broker refused the connection: {connack_reason(connack.code, protocol)}")
            self.accepted = True
            self._publishes = self._publishes and connack.maximum_qos > 0
        elif kind == packets.PUBACK:
            self._published_at = None
        elif kind == packets.DISCONNECT:
            code = body[0] if protocol == MQTT_5 and body else 0
            raise Refused("the broker disconnected the client" + (f" (reason code 0x{code:02x})" if code else ""))
