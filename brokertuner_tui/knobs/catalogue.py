"""The eleven knobs: the only place that knows what a knob is.

Everything else (action encoding, `mosquitto.conf` lines, validation, the TUI's table, `knobs --json`, the docs) is derived
from `CATALOGUE`. Facts were checked against Mosquitto's source (`src/conf.c`) and running brokers of 2.0.11, 2.0.21 and
2.1.2: the manual says that all eleven are reloaded on SIGHUP; `config__copy` copies only five.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Value = int | bool
KnobValues = Mapping[str, Value]
"""A value for each of the eleven knobs, by name."""

Version = tuple[int, int, int]

INT32_MAX = 2**31 - 1
# MQTT's largest packet, less the five bytes of its fixed header: a limit that limits nothing that is ever sent. One more, and
# paho-mqtt refuses the CONNACK of MQTT 5 that names it.
LARGEST_PACKET = 268_435_455
LARGEST_PAYLOAD = 268_435_455


@dataclass(frozen=True, slots=True)
class Knob:
    """One setting of the broker.

    `low` and `high` bound the legal values; `special` maps legal values with a meaning of their own (0 = no limit) to
    that meaning ("no limit" acts like a huge value, so the codec puts it above `high`).
    """

    name: str
    type: Literal["int", "bool"]
    unit: str
    low: int
    high: int
    scale: Literal["log", "switch"]
    default: Value
    applies: Literal["reload", "restart"]
    meaning: str
    special: Mapping[int, str]
    versions: str = ""
    inert_when: str = ""
    default_since: tuple[Version, Value] | None = None

    def default_for(self, version: Version | None) -> Value:
        """The broker's own default in `version` (None: the oldest supported)."""
        if self.default_since and version and version >= self.default_since[0]:
            return self.default_since[1]
        return self.default

    @property
    def allowed(self) -> str:
        """What a value must be, in words."""
        if self.type == "bool":
            return "must be true or false"
        special = "".join(f", or {value} ({meaning})" for value, meaning in self.special.items() if value < self.low)
        return f"must be a whole number from {self.low} to {self.high}{special}"


_NO_LIMIT = {0: "no limit"}
_RESTART_NOTE = "The manual says that a reload applies it; the source does not copy it (1.6.12 to 2.1.2): restart."

CATALOGUE: tuple[Knob, ...] = (
    Knob(
        "max_inflight_messages",
        "int",
        "messages per client",
        1,
        65_535,
        "log",
        20,
        "restart",
        "How many QoS 1 and 2 messages may be on their way to or from one client at once.",
        _NO_LIMIT,
        f"{_RESTART_NOTE} 65535 means no limit, too. 2.0.11 does not hold the limit strictly. 2.1: 0 warns for every QoS 1 "
        "and 2 message. "
        "Below a QoS 2 publisher's window, messages are acknowledged and discarded.",
        "only QoS 0 traffic",
    ),
    Knob(
        "max_inflight_bytes",
        "int",
        "payload bytes per client",
        1,
        INT32_MAX,
        "log",
        0,
        "restart",
        "How many payload bytes of QoS 1 and 2 messages may be on their way to one client at once.",
        _NO_LIMIT,
        f"{_RESTART_NOTE} At least one message always passes. With max_queued_messages 0 it also caps QoS 0.",
        "only QoS 0 traffic",
    ),
    Knob(
        "max_queued_messages",
        "int",
        "messages per client",
        1,
        10_000_000,
        "log",
        1000,
        "restart",
        "How many messages wait for one client beyond those on their way, before new ones are dropped.",
        _NO_LIMIT,
        f"{_RESTART_NOTE} Since 2.0.16 it also caps the packets waiting for a socket, QoS 0 and acknowledgements too. "
        "0 is broken in 2.0.2 and 2.0.16, partly up to 2.0.21.",
    ),
    Knob(
        "max_queued_bytes",
        "int",
        "payload bytes per client",
        1,
        INT32_MAX,
        "log",
        0,
        "restart",
        "How many payload bytes wait for one client before new messages are dropped; the tighter queue limit wins.",
        _NO_LIMIT,
        f"{_RESTART_NOTE} Ignored for QoS 0 while max_queued_messages and max_inflight_bytes are 0.",
    ),
    Knob(
        "queue_qos0_messages",
        "bool",
        "",
        0,
        1,
        "switch",
        False,
        "reload",
        "Whether QoS 0 messages are queued, too, for persistent sessions that are away.",
        {},
        "",
        "no persistent sessions that are away",
    ),
    Knob(
        "memory_limit",
        "int",
        "bytes, whole broker",
        1,
        INT32_MAX,
        "log",
        0,
        "reload",
        "How much heap the broker may use; at the limit it refuses connections and disconnects clients.",
        _NO_LIMIT,
        "Leaving the line out does not lift it, so it is always written. To start, 2.0.11 needs 50 kB, 2.0.21 and 2.1.2 need "
        "0.9 MB. A reload to less than the heap in use: 2.0 drops every new client until it is restarted, 2.1.2 ends.",
    ),
    Knob(
        "persistence",
        "bool",
        "",
        0,
        1,
        "switch",
        False,
        "reload",
        "Whether sessions, queues and retained messages are saved to disk.",
        {},
        "Debian's own file sets it to true. Saving stops the broker's one thread while it writes. A reload restores nothing; "
        "switched off, it leaves the saved state behind, to come back when it is on again.",
    ),
    Knob(
        "autosave_interval",
        "int",
        "seconds",
        1,
        604_800,
        "log",
        1800,
        "reload",
        "How often the persistent state is saved.",
        {0: "only at exit"},
        "The real period is one second longer.",
        "persistence off",
    ),
    Knob(
        "set_tcp_nodelay",
        "bool",
        "",
        0,
        1,
        "switch",
        False,
        "restart",
        "Whether small packets leave at once (low latency) or wait to travel together (high throughput).",
        {},
        f"{_RESTART_NOTE} Holds for new connections, broker to client only.",
    ),
    Knob(
        "max_packet_size",
        "int",
        "bytes",
        20,
        LARGEST_PACKET,
        "log",
        LARGEST_PACKET,
        "restart",
        "The largest packet that a client may send; larger ones disconnect it.",
        {LARGEST_PACKET: "no limit"},
        f"{_RESTART_NOTE} 0 and values below 20 keep the broker from starting. Default: none in 2.0, 2,000,000 in 2.1.",
        default_since=((2, 1, 0), 2_000_000),
    ),
    Knob(
        "message_size_limit",
        "int",
        "payload bytes",
        1,
        LARGEST_PAYLOAD,
        "log",
        0,
        "reload",
        "The largest payload that is passed on; larger messages are acknowledged and silently discarded.",
        _NO_LIMIT,
        "Deprecated by the broker in favour of max_packet_size, with a notice in its log.",
    ),
)

BY_NAME: Mapping[str, Knob] = {knob.name: knob for knob in CATALOGUE}
NAMES: tuple[str, ...] = tuple(BY_NAME)


def defaults(version: Version | None = None) -> dict[str, Value]:
    """The broker's own defaults in `version`."""
    return {knob.name: knob.default_for(version) for knob in CATALOGUE}


def needs_restart(old: KnobValues, new: KnobValues) -> bool:
    """Whether going from `old` to `new` takes a restart of the broker."""
    return any(old[knob.name] != new[knob.name] for knob in CATALOGUE if knob.applies == "restart")


def changed(old: KnobValues, new: KnobValues) -> tuple[str, ...]:
    """The names of the knobs that differ, in catalogue order."""
    return tuple(name for name in NAMES if old[name] != new[name])


def inert(values: KnobValues) -> frozenset[str]:
    """The knobs that cannot matter because of another knob's value (the load is not considered)."""
    return frozenset() if values["persistence"] else frozenset({"autosave_interval"})


def parse_version(text: str) -> Version:
    """`2.0.21` (or `mosquitto version 2.0.21`) as numbers.

    Raises:
        ValueError: no three numbers in `text`.
    """
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", text)
    if not found:
        raise ValueError(f"no version in {text!r}")
    return int(found[1]), int(found[2]), int(found[3])
