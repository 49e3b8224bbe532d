"""Counts what a recording client sees: bytes in, numbers out. Payloads and names are looked at and let go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from brokertuner_tui.mqtt import packets
from brokertuner_tui.workload.shape import GROUPS, MAX_INTERVALS, Stream, bucket

MAX_TOPICS = 65_536
"""Topics that are told apart; memory does not grow beyond that."""
_SYS = b"$SYS/"
_HEAD_BYTES = 6
"""A packet id and the length of the properties, at most, behind the topic."""


@dataclass(slots=True)
class _Cell:
    """One stream as it grows; `past` intervals are closed."""

    begun_at: int
    """Intervals that were over before it was first seen."""
    topics: set[int] = field(default_factory=set)
    messages: int = 0
    payload_bytes: int = 0
    retained: int = 0
    total: int = 0
    past: list[tuple[int, int]] = field(default_factory=list)


class Tally:
    """Messages by topic group, QoS and size bucket, interval by interval.

    When there are more than `most_intervals`, pairs of them become one, twice as long.
    """

    def __init__(self, interval_s: float = 1.0, most_intervals: int = MAX_INTERVALS) -> None:
        self.interval_s = interval_s
        self._most = most_intervals
        self._cells: dict[tuple[int, int, int], _Cell] = {}
        self._groups: dict[int, int] = {}
        self._part_s, self._elapsed_s = interval_s, 0.0
        self.closed = 0
        """Intervals that are over."""
        self.messages = 0
        self.payload_bytes = 0

    @property
    def topics(self) -> int:
        """Different topics seen (up to MAX_TOPICS)."""
        return len(self._groups)

    @property
    def streams_seen(self) -> int:
        """Streams so far."""
        return len(self._cells)

    def message(self, topic: bytes, qos: int, size: int, retained: bool) -> None:
        """One message was published."""
        name = hash(topic)  # of this process alone: the seed is random
        group = self._groups.get(name)
        if group is None:
            group = (len(self._groups) if len(self._groups) < MAX_TOPICS else name) % GROUPS
            if len(self._groups) < MAX_TOPICS:
                self._groups[name] = group
        key = (group, qos, size.bit_length())
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = _Cell(self.closed)
        if len(cell.topics) < MAX_TOPICS // GROUPS:
            cell.topics.add(name)
        cell.messages += 1
        cell.payload_bytes += size
        cell.retained += retained
        cell.total += 1
        self.messages += 1
        self.payload_bytes += size

    def close_interval(self) -> bool:
        """The length that intervals had at first is over; whether one of their present length is."""
        self._elapsed_s += self._part_s
        if self._elapsed_s < self.interval_s - 1e-9:
            return False
        self._elapsed_s = 0.0
        for cell in self._cells.values():
            cell.past.append((cell.messages, cell.payload_bytes))
            cell.messages = cell.payload_bytes = 0
        self.closed += 1
        return True

    @property
    def full(self) -> bool:
        """Whether there are as many intervals as there may be."""
        return self.closed >= self._most

    def halve(self) -> None:
        """Makes one interval of two; of an odd number, the last is dropped."""
        pairs = self.closed // 2
        for cell in self._cells.values():
            past = [(0, 0)] * cell.begun_at + cell.past
            cell.begun_at = 0
            cell.past = [(past[2 * n][0] + past[2 * n + 1][0], past[2 * n][1] + past[2 * n + 1][1]) for n in range(pairs)]
        self.closed = pairs
        self.interval_s *= 2

    def streams(self, *, retained_known: bool) -> tuple[Stream, ...]:
        """What was seen in the intervals that are over."""
        found = []
        for (group, qos, bits), cell in sorted(self._cells.items()):
            past = [(0, 0)] * cell.begun_at + cell.past
            if not any(messages for messages, _ in past):
                continue
            low, high = bucket(1 << (bits - 1) if bits else 0)
            found.append(
                Stream(
                    group=group,
                    topics=max(1, len(cell.topics)),
                    qos=qos,
                    bytes_from=low,
                    bytes_to=high,
                    messages=tuple(messages for messages, _ in past),
                    payload_bytes=tuple(size for _, size in past),
                    retained=round(cell.retained / cell.total, 4) if retained_known else None,
                )
            )
        return tuple(found)


class TrafficScanner:
    """Takes a subscriber's incoming bytes apart, payloads skipped.

    Args:
        on_message: topic, QoS, payload bytes, retain flag of each PUBLISH.
        on_sys: topic and payload of those under `$SYS/`, and the retain flag.
        on_other: first byte and body of any other packet.
    """

    def __init__(
        self,
        protocol: int,
        on_message: Callable[[bytes, int, int, bool], None],
        on_sys: Callable[[str, str, bool], None],
        on_other: Callable[[int, bytes], None],
    ) -> None:
        self._v5 = protocol == 5
        self._on_message, self._on_sys, self._on_other = on_message, on_sys, on_other
        self._rest = b""
        self._skip = 0
        self._when_skipped = b""
        self._answers = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Counts what came; gives the acknowledgements that are to be sent.

        Raises:
            ProtocolError: that is not MQTT.
        """
        if self._skip:
            step = min(self._skip, len(data))
            self._skip -= step
            if self._skip:
                return b""
            data = data[step:]
            self._answers += self._when_skipped
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        while at < end:
            length = packets.decode_length(data, at + 1)
            if length is None:
                break
            body, stop = length[1], length[1] + length[0]
            if data[at] >> 4 == packets.PUBLISH:
                if not self._publish(data, at, body, stop, end):
                    break
            elif stop > end:
                break
            else:
                self._other(data[at], data[body:stop])
            at = stop
        if at > end:
            self._skip, at = at - end, end
        self._rest = data[at:]
        answers, self._answers = bytes(self._answers), bytearray()
        return answers

    def _publish(self, data: bytes, at: int, body: int, stop: int, end: int) -> bool:
        """Reads a PUBLISH as soon as all before its payload is there; whether it was."""
        first = data[at]
        topic_end = body + 2 + int.from_bytes(data[body : body + 2], "big")
        if end < stop and (end < topic_end + _HEAD_BYTES or data[body + 2 : body + 7] == _SYS):
            return False
        if topic_end > stop:
            raise packets.ProtocolError("a topic that is longer than its packet")
        qos, payload = (first >> 1) & 3, topic_end
        answer = b""
        if qos:
            packet_id = int.from_bytes(data[topic_end : topic_end + 2], "big")
            answer = packets.acknowledgement(packets.PUBACK if qos == 1 else packets.PUBREC, packet_id)
            payload += 2
        if self._v5:
            properties = packets.decode_length(data, payload)
            if properties is None:
                raise packets.ProtocolError("a PUBLISH without properties")
            payload = properties[1] + properties[0]
        if payload > stop:
            raise packets.ProtocolError("a PUBLISH that is cut short")
        topic = data[body + 2 : topic_end]
        if topic.startswith(_SYS):
            self._on_sys(topic.decode(errors="replace"), data[payload:stop].decode(errors="replace"), bool(first & 1))
        else:
            self._on_message(topic, qos, stop - payload, bool(first & 1))
        if stop > end:
            self._when_skipped = answer
        else:
            self._answers += answer
        return True

    def _other(self, first: int, body: bytes) -> None:
        if first >> 4 == packets.PUBREL:
            self._answers += packets.acknowledgement(packets.PUBCOMP, int.from_bytes(body[:2], "big"))
        else:
            self._on_other(first, body)
