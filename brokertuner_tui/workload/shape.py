"""The shape of a traffic, as `workload record` writes it and `workload play` reads it: numbers only.

No payload, no topic's name, no client id is in it: topics are numbered in the order in which they were first seen and fall
into groups, sizes into buckets (powers of two). One stream is what has group, QoS and bucket in common; each has its
messages and payload bytes in every interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from brokertuner_tui.errors import ConfigError

FORMAT = "brokertuner-shape"
VERSION = 1
MAX_INTERVALS = 1800
MAX_STREAMS = 1024
MAX_COUNT = 2**53
MAX_PAYLOAD = 268_435_455
GROUPS = 4
_WIDTH = 120


def bucket(size: int) -> tuple[int, int]:
    """The smallest and the largest payload, in bytes, of the bucket that `size` falls into: 0, 1, 2-3, 4-7, 8-15 ..."""
    if size <= 0:
        return 0, 0
    low = 1 << (size.bit_length() - 1)
    return low, 2 * low - 1


@dataclass(frozen=True, slots=True)
class Stream:
    """Messages of one topic group, one QoS and one size bucket."""

    group: int
    topics: int
    """Different topics that were seen in it."""
    qos: int
    bytes_from: int
    bytes_to: int
    """Payloads have `bytes_from` to `bytes_to` bytes."""
    messages: tuple[int, ...]
    """Published in each interval."""
    payload_bytes: tuple[int, ...]
    """Of those messages together."""
    retained: float | None = None
    """Share of the messages that asked to be retained; None where that cannot be seen (MQTT 3.1.1)."""

    @property
    def mean_bytes(self) -> float:
        """Of one payload."""
        return sum(self.payload_bytes) / max(1, sum(self.messages))


@dataclass(frozen=True, slots=True)
class Shape:
    """What was recorded."""

    interval_s: float
    streams: tuple[Stream, ...]
    connected: tuple[int, ...] = ()
    """Clients connected at the end of each interval, the recorder not among them; empty where `$SYS` does not tell."""
    connects: tuple[int, ...] = ()
    disconnects: tuple[int, ...] = ()
    """In each interval; net changes only before Mosquitto 2.1 (see `notes`)."""
    fan_out: float | None = None
    """Deliveries a message, all topics together: which topics have more cannot be seen from outside. None: not known."""
    subscriptions: int | None = None
    """That all clients held at the end, the recorder's not among them."""
    coverage: float | None = None
    """Messages seen, of those that the broker says it received; None: the broker does not say."""
    slo_ms: float = 50.0
    """When it is played, a message counts if it arrives within this time: the operator's to say, in the file."""
    mosquitto: str = ""
    recorded_at: str = ""
    notes: tuple[str, ...] = ()
    """What the recording lacks, in sentences for the operator."""

    @property
    def intervals(self) -> int:
        """How many."""
        return len(self.streams[0].messages) if self.streams else len(self.connected)

    @property
    def seconds(self) -> float:
        """Recorded in all."""
        return self.intervals * self.interval_s

    @property
    def messages(self) -> int:
        """In all."""
        return sum(sum(stream.messages) for stream in self.streams)

    @property
    def messages_per_s(self) -> float:
        """Mean rate."""
        return self.messages / self.seconds if self.seconds else 0.0

    @property
    def mean_bytes(self) -> float:
        """Of one payload; 0 without messages."""
        return sum(sum(stream.payload_bytes) for stream in self.streams) / max(1, self.messages)

    def share_of_qos(self, qos: int) -> float:
        """Of all messages."""
        return sum(sum(stream.messages) for stream in self.streams if stream.qos == qos) / max(1, self.messages)

    def share_of_bucket(self, bytes_from: int) -> float:
        """Of all messages, those in the size bucket that begins there."""
        return sum(sum(stream.messages) for stream in self.streams if stream.bytes_from == bytes_from) / max(1, self.messages)


def coarser(shape: Shape) -> Shape:
    """With intervals twice as long; of an odd number, the last is dropped."""

    def sums(counts: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(one + other for one, other in zip(counts[::2], counts[1::2], strict=False))

    streams = (
        replace(stream, messages=sums(stream.messages), payload_bytes=sums(stream.payload_bytes)) for stream in shape.streams
    )
    return replace(
        shape,
        interval_s=2 * shape.interval_s,
        streams=tuple(stream for stream in streams if any(stream.messages)),
        connected=shape.connected[1::2],
        connects=sums(shape.connects),
        disconnects=sums(shape.disconnects),
    )


# -- as text -------------------------------------------------------------------------------------------------------


def to_toml(shape: Shape) -> str:
    """The file's text."""
    lines = [
        "# The shape of a traffic (`brokertuner-tui workload record`). Numbers only: no payloads, no names of topics,",
        "# no client ids. Play it: `workload play FILE`; tune for it: `--workload-file FILE --workload recorded`.",
        f'format = "{FORMAT}"',
        f"version = {VERSION}",
        f"recorded_at = {_text(shape.recorded_at)}",
        f"mosquitto = {_text(shape.mosquitto)}",
        f"interval_s = {shape.interval_s!r}",
        f"intervals = {shape.intervals}",
        f"slo_ms = {shape.slo_ms!r} # yours to change: played messages count when they arrive within this time",
    ]
    for key, value, meaning in (
        ("fan_out", shape.fan_out, "deliveries a message, all topics together"),
        ("subscriptions", shape.subscriptions, "held by all clients"),
        ("coverage", shape.coverage, "messages seen, of those that the broker received"),
    ):
        if value is not None:
            lines.append(f"{key} = {value!r} # {meaning}")
    lines += _list("notes", map(_text, shape.notes))
    if shape.connected:
        lines += ["", "[clients] # at the end of each interval, and what came and went in it"]
        for key in ("connected", "connects", "disconnects"):
            lines += _list(key, map(str, getattr(shape, key)))
    for stream in shape.streams:
        lines += ["", "[[stream]]"]
        lines += [f"{key} = {getattr(stream, key)}" for key in ("group", "topics", "qos", "bytes_from", "bytes_to")]
        if stream.retained is not None:
            lines.append(f"retained = {stream.retained!r}")
        lines += _list("messages", map(str, stream.messages))
        lines += _list("payload_bytes", map(str, stream.payload_bytes))
    return "\n".join(lines) + "\n"


def _text(text: str) -> str:
    clean = "".join(char if char.isprintable() else " " for char in text)
    return '"' + clean.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _list(key: str, entries: Iterable[str]) -> list[str]:
    lines, line = [f"{key} = ["], ""
    for entry in entries:
        if line and len(line) + len(entry) > _WIDTH:
            lines.append(f"    {line}")
            line = ""
        line += f"{entry}, "
    lines += [f"    {line}"] if line else []
    return [*(text.rstrip() for text in lines), "]"]


# -- from text -----------------------------------------------------------------------------------------------------


def is_shape(data: Mapping[str, Any]) -> bool:
    """Whether a TOML document says that it is a recording."""
    return "format" in data


def from_toml(data: Mapping[str, Any], where: str) -> Shape:
    """The shape in a TOML document; everything in it is checked.

    Args:
        where: the file, for errors.

    Raises:
        ConfigError: something is missing, not known, or not possible.
    """
    table = _Table(data, where)
    table.one_of("format", (FORMAT,))
    table.one_of("version", (VERSION,))
    count = table.whole("intervals", 1, MAX_INTERVALS)
    clients = _Table(table.mapping("clients"), where, "clients.")
    entries = table.entries("stream", MAX_STREAMS)
    shape = Shape(
        interval_s=table.real("interval_s", 0.1, 86_400.0),
        streams=tuple(_stream(_Table(entry, where, f"stream[{n}]."), count) for n, entry in enumerate(entries)),
        connected=clients.counts("connected", count) if clients else (),
        connects=clients.counts("connects", count) if clients else (),
        disconnects=clients.counts("disconnects", count) if clients else (),
        fan_out=table.real("fan_out", 0.0, 1e6) if "fan_out" in table else None,
        subscriptions=table.whole("subscriptions", 0, 10**9) if "subscriptions" in table else None,
        coverage=table.real("coverage", 0.0, 1e6) if "coverage" in table else None,
        slo_ms=table.real("slo_ms", 0.001, 600_000),
        mosquitto=table.text("mosquitto"),
        recorded_at=table.text("recorded_at"),
        notes=table.texts("notes"),
    )
    table.end()
    clients.end()
    return shape


def _stream(table: _Table, count: int) -> Stream:
    stream = Stream(
        group=table.whole("group", 0, GROUPS - 1),
        topics=table.whole("topics", 1, MAX_COUNT),
        qos=table.whole("qos", 0, 2),
        bytes_from=table.whole("bytes_from", 0, MAX_PAYLOAD),
        bytes_to=table.whole("bytes_to", 0, MAX_PAYLOAD),
        messages=table.counts("messages", count),
        payload_bytes=table.counts("payload_bytes", count),
        retained=table.real("retained", 0.0, 1.0) if "retained" in table else None,
    )
    table.end()
    if bucket(stream.bytes_from) != (stream.bytes_from, stream.bytes_to):
        raise table.bad("bytes_from", stream.bytes_from, "must begin a bucket: 0, 1, 2, 4, 8 ... bytes, which ends at bytes_to")
    for messages, size in zip(stream.messages, stream.payload_bytes, strict=True):
        if not messages * stream.bytes_from <= size <= messages * stream.bytes_to:
            allowed = f"{messages} messages of {stream.bytes_from} to {stream.bytes_to} bytes cannot have that many"
            raise table.bad("payload_bytes", size, allowed)
    return stream


class _Table:
    """A table of the file; tells what was not asked for."""

    def __init__(self, data: object, where: str, prefix: str = "") -> None:
        self._where, self._prefix = where, prefix
        if not isinstance(data, Mapping):
            raise ConfigError(where, prefix.rstrip("."), _Short(data), "must be a table")
        self._data, self._asked = data, set[str]()

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def __bool__(self) -> bool:
        return bool(self._data)

    def bad(self, key: str, value: object, allowed: str) -> ConfigError:
        """The error for `key`."""
        return ConfigError(self._where, self._prefix + key, _Short(value), allowed)

    def _get(self, key: str, allowed: str) -> Any:
        self._asked.add(key)
        if key not in self._data:
            raise ConfigError(self._where, self._prefix + key, _Missing(), allowed)
        return self._data[key]

    def end(self) -> None:
        """Raises if there is something that nobody asked for."""
        for key in self._data:
            if key not in self._asked:
                raise self.bad(_clean(str(key)), self._data[key], "unknown key")

    def one_of(self, key: str, known: tuple[object, ...]) -> None:
        """Raises unless the value is among those that this program reads."""
        allowed = f"this program reads {' or '.join(map(repr, known))}"
        value = self._get(key, allowed)
        if value not in known or isinstance(value, bool):
            raise self.bad(key, value, allowed)

    def whole(self, key: str, low: int, high: int) -> int:
        """A whole number in the range."""
        allowed = f"must be a whole number from {low:,} to {high:,}"
        value = self._get(key, allowed)
        if not _is_whole(value, low, high):
            raise self.bad(key, value, allowed)
        return int(value)

    def real(self, key: str, low: float, high: float) -> float:
        """A number in the range."""
        allowed = f"must be a number from {low:g} to {high:g}"
        value = self._get(key, allowed)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
            or not low <= value <= high
        ):
            raise self.bad(key, value, allowed)
        return float(value)

    def text(self, key: str) -> str:
        """Text on one line."""
        allowed = "must be text in quotes, on one line"
        value = self._get(key, allowed)
        if not isinstance(value, str) or not value.isprintable():
            raise self.bad(key, value, allowed)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of lines of text."""
        allowed = "must be a list of texts, each on one line"
        value = self._get(key, allowed)
        if not isinstance(value, list) or not all(isinstance(entry, str) and entry.isprintable() for entry in value):
            raise self.bad(key, value, allowed)
        return tuple(value)

    def counts(self, key: str, count: int) -> tuple[int, ...]:
        """A number for each interval."""
        allowed = f"must be a list of {count} whole numbers from 0, one for each interval"
        value = self._get(key, allowed)
        if not isinstance(value, list) or len(value) != count or not all(_is_whole(entry, 0, MAX_COUNT) for entry in value):
            raise self.bad(key, value, allowed)
        return tuple(value)

    def mapping(self, key: str) -> object:
        """A table, empty if it is missing."""
        self._asked.add(key)
        return self._data.get(key, {})

    def entries(self, key: str, most: int) -> list[Any]:
        """A list of tables, empty if it is missing."""
        self._asked.add(key)
        value = self._data.get(key, [])
        if not isinstance(value, list) or len(value) > most:
            raise self.bad(key, value, f"must be at most {most:,} tables: [[{key}]]")
        return value


def _is_whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _clean(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)[:60]


class _Missing:
    """Stands for a value that is not there."""

    def __repr__(self) -> str:
        return "(missing)"


class _Short:
    """A value whose `repr` is short and on one line."""

    def __init__(self, value: object) -> None:
        text = repr(value)
        self._text = text if len(text) <= 60 else f"{text[:57]}..."

    def __repr__(self) -> str:
        return self._text
