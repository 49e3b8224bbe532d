"""Proves that a broker process serves with the wanted knobs in force, or says why not."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from brokertuner_tui.broker.log import errors
from brokertuner_tui.broker.ports import holder, owns
from brokertuner_tui.broker.probe import Dropped, Limits, NotAuthorised, NotListening, Probe, ProbeError, hello_bytes
from brokertuner_tui.knobs.catalogue import LARGEST_PACKET, KnobValues
from brokertuner_tui.mqtt.endpoint import MQTT_5, Endpoint
from brokertuner_tui.mqtt.tls import TlsFileError

_POLL_S = 0.0003
_DROP_PAUSE_S = 0.02
# A broker that listens and drops every client has hit its memory_limit and will not recover. One that has just begun to
# listen may be so busy with returning clients that a few tries fail.
_DROPS_MEAN_NO = 10
# Our broker ends within milliseconds of finding its port taken; one that does not is not going to have it.
_FOREIGN_MEANS_NO_S = 1.0
_LARGEST_TEST_PAYLOAD = 65_536
_ROOM_FOR_TEST_PAYLOAD = 16 * 1024 * 1024
_UNLIMITED_IN_FLIGHT = (0, 65_535)


class Watched(Protocol):
    """A broker's process, of ours or not."""

    @property
    def pid(self) -> int | None:
        """None: not known."""

    def ended(self) -> str | None:
        """None while it runs, or as long as nobody can tell; else how it ended: `by signal 9`, `with exit code 3`."""


class WordsSince(Protocol):
    """A log that can be read from a mark on."""

    def since(self, offset: int) -> str:
        """What was written since the mark."""


class NotInForce(Exception):
    """The broker does not serve, or not with the wanted knobs; the message says what showed that."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What was checked, in the operator's words, and when the first connection was accepted (time.perf_counter())."""

    checks: tuple[str, ...]
    accepted_at: float


@dataclass(frozen=True, slots=True)
class Verifier:
    """Checks one broker process.

    Args:
        mark: offset in the log from which on an error counts.
        deadline: time.monotonic() by which all must be well.
    """

    process: Watched
    endpoint: Endpoint
    log: WordsSince | None
    mark: int
    deadline: float

    def await_reload(self) -> None:
        """Waits until the broker says that it reads its config again.

        Raises:
            NotInForce: it has died, or says nothing in time.
        """
        while "Reloading config." not in self._words():
            self._alive()
            if time.monotonic() >= self.deadline:
                raise NotInForce("it did not react to the reload signal in time")
            time.sleep(_POLL_S)

    def verify(self, knobs: KnobValues, before: KnobValues | None = None) -> Verified:
        """Every check there is.

        Args:
            before: what was in force until now, if it is known.

        Raises:
            NotInForce: the first check that failed.
        """
        probe, limits = self._client(knobs)
        with probe:
            accepted_at = time.perf_counter()
            checks = [*self._seen(), "CONNACK"]
            if self.endpoint.protocol == MQTT_5:
                checks += _compare(limits, knobs)
            else:
                checks.append("limits not asked (MQTT 3.1.1)")
            try:
                checks += _round_trip(probe)
                checks += _ask_message_size_limit(probe, knobs, before)
            except ProbeError as error:
                self._alive()
                raise NotInForce(str(error)) from None
        self._alive()
        if found := errors(self._words()):
            raise NotInForce(f"its log says: {' '.join(found)}")
        return Verified((*checks, "log" if self.log else "log not readable"), accepted_at)

    def _words(self) -> str:
        return self.log.since(self.mark) if self.log else ""

    def _owns(self) -> bool | None:
        return owns(self.process.pid, self.endpoint.port) if self.process.pid is not None else None

    def _seen(self) -> list[str]:
        """What can be said of process and port, and what cannot."""
        pid, port = self.process.pid, self.endpoint.port
        whose = f"port {port} owned" if self._owns() else f"owner of port {port} not visible"
        return ["process not known" if pid is None else f"process {pid}", whose]

    def _alive(self) -> None:
        how = self.process.ended()
        if how is not None:
            raise NotInForce(f"it ended {how}".rstrip())

    def _client(self, knobs: KnobValues) -> tuple[Probe, Limits]:
        """A client that our broker accepted; tries again while it is not there yet."""
        port = self.endpoint.port
        drops = 0
        foreign_since: float | None = None
        last = ""
        while True:
            self._alive()
            if last and time.monotonic() >= self.deadline:
                raise NotInForce(f"it did not serve in time: {last}")
            try:
                probe = Probe(self.endpoint, self.deadline)
                try:
                    # Before any word is exchanged: whoever else has the port may never answer.
                    if self._owns() is not False:
                        return probe, probe.hello()
                    probe.close()
                except BaseException:
                    probe.close()
                    raise
            except NotListening as error:
                last, pause = str(error), _POLL_S
            except Dropped as error:
                last, pause = str(error), _DROP_PAUSE_S
                drops += 1
                self._room_for_hello(knobs)
                if drops >= _DROPS_MEAN_NO:
                    self._alive()
                    raise NotInForce(f"it listens, but drops every client: {error}") from None
            except (ProbeError, TlsFileError) as error:
                self._alive()
                self._room_for_hello(knobs)
                raise NotInForce(str(error)) from None
            else:
                last, pause = str(holder(port) or f"port {port} is held by somebody else"), _DROP_PAUSE_S
                foreign_since = foreign_since or time.monotonic()
                if time.monotonic() - foreign_since >= _FOREIGN_MEANS_NO_S:
                    raise NotInForce(last)
            time.sleep(pause)

    def _room_for_hello(self, knobs: KnobValues) -> None:
        """Whether the client that was turned away may have been too large: whoever logs in says more than 20 bytes.

        Raises:
            NotInForce: it was.
        """
        size, limit = hello_bytes(self.endpoint), knobs["max_packet_size"]
        if size > limit:
            raise NotInForce(
                f"max_packet_size {limit} keeps out clients that log in: the CONNECT of {self.endpoint.username or 'ours'} "
                f"has {size} bytes"
            )


def _round_trip(probe: Probe) -> list[str]:
    """A broker whose ACL does not let us try serves all the same, as far as can be known; it is said."""
    try:
        probe.round_trip()
    except NotAuthorised as error:
        return [f"no round trip: {error}"]
    return ["round trip"]


def _compare(limits: Limits, knobs: KnobValues) -> list[str]:
    """What the CONNACK says against what it should say (so in 2.0.11, 2.0.21 and 2.1.2)."""
    for wrong in wrong_limits(limits, knobs):
        raise NotInForce(f"its CONNACK says {wrong.name} {wrong.is_ or 'unlimited'}, not {wrong.should_be or 'unlimited'}")
    packet = LARGEST_PACKET if limits.maximum_packet_size is None else limits.maximum_packet_size
    return [f"Receive Maximum {limits.receive_maximum or 'unlimited'}", f"Maximum Packet Size {packet}"]


@dataclass(frozen=True, slots=True)
class WrongLimit:
    """A limit that a CONNACK names and that is not what the knob stands for; None: unlimited."""

    name: str
    knob: str
    is_: int | None
    should_be: int | None


def wrong_limits(limits: Limits, knobs: KnobValues) -> list[WrongLimit]:
    """What an MQTT 5 CONNACK contradicts of `knobs`."""
    in_flight = knobs["max_inflight_messages"]
    wanted = Limits(None if in_flight in _UNLIMITED_IN_FLIGHT else in_flight, knobs["max_packet_size"])
    # Nothing was configured: all that MQTT has room for.
    packet = LARGEST_PACKET if limits.maximum_packet_size is None else limits.maximum_packet_size
    both = (
        WrongLimit("Receive Maximum", "max_inflight_messages", limits.receive_maximum, wanted.receive_maximum),
        WrongLimit("Maximum Packet Size", "max_packet_size", packet, wanted.maximum_packet_size),
    )
    return [one for one in both if one.is_ != one.should_be]


def _ask_message_size_limit(probe: Probe, knobs: KnobValues, before: KnobValues | None) -> list[str]:
    """Sends a payload just above the smaller one of the old and the new limit: what becomes of it tells them apart."""
    limit, old = knobs["message_size_limit"], before["message_size_limit"] if before else 0
    size = min((value for value in (limit, old) if value), default=0) + 1
    memory = knobs["memory_limit"]
    if (
        size in (1, limit + 1 if limit == old else -1)  # neither has a limit, or nothing to tell apart
        or size > _LARGEST_TEST_PAYLOAD
        or probe.protocol != MQTT_5  # 3.1.1 acknowledges what it refuses
        or probe.payload_packet_bytes(size) >= knobs["max_packet_size"]
        or 0 < memory < _ROOM_FOR_TEST_PAYLOAD
    ):
        return []
    taken = probe.takes_payload(size)
    if taken != (limit == 0 or size <= limit):
        raise NotInForce(
            f"a payload of {size} bytes was {'passed on' if taken else 'refused'} against message_size_limit {limit}"
        )
    return [f"message_size_limit {limit or 'none'}"]
