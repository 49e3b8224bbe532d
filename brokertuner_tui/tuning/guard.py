"""Keeps the agent out of traps that are known beforehand: values that the broker takes and that can only lose messages.

Each trap was seen on a real broker or read in its source; the manual mentions none of them. The agent's proposals are moved
to the nearest value that is safe for this load; an operator's own value is taken as it is, with a warning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from brokertuner_tui.knobs.catalogue import CATALOGUE, KnobValues, Value, Version
from brokertuner_tui.knobs.codec import decode_knob, encode_knob
from brokertuner_tui.workload.profile import Profile

_PACKET_OVERHEAD = 128
"""Fixed header, topic, packet id, properties: more than any packet of the load or a probe has beside its payload."""
_HEAP_FLOOR = 16 * 2**20
_BYTES_PER_MESSAGE = 512
"""What Mosquitto's heap holds for one stored message beside its payload, rounded up."""


HELD_UNDER_LIVE = ("persistence", "memory_limit", "max_packet_size", "message_size_limit")
"""Knobs that the agent leaves alone under live traffic: they decide what survives a restart, and who is thrown out or
silently discarded, and nothing tells how large real clients' messages can be."""


@dataclass(frozen=True, slots=True)
class Caution:
    """How the agent goes about traffic that is somebody's: small steps from what is known to be good."""

    max_step: float
    """In each knob's action, whose range is 2."""
    margin: float
    """The share in time may fall so far below the default's before a trial is ended."""
    default_every: int = 10
    """Trials between two measurements of the default: live traffic changes its shape."""

    def near(self, wish: KnobValues, known: KnobValues) -> dict[str, Value]:
        """`wish`, but no knob further than a step from `known`, and of the switches that differ only the first gone over."""
        near: dict[str, Value] = {}
        switched = False
        for knob in CATALOGUE:
            name = knob.name
            if knob.scale == "switch":
                goes = wish[name] != known[name] and not switched
                switched = switched or goes
                near[name] = wish[name] if goes else known[name]
                continue
            wanted, here = encode_knob(name, wish[name]), encode_knob(name, known[name])
            if abs(wanted - here) <= self.max_step:
                near[name] = wish[name]
            else:
                near[name] = decode_knob(name, here + self.max_step * (1 if wanted > here else -1))
        return near


@dataclass(frozen=True, slots=True)
class Trap:
    """A value that can only do harm, what to use instead, and why, in one sentence."""

    knob: str
    value: Value
    instead: Value
    reason: str


def traps(knobs: KnobValues, profile: Profile, version: Version) -> list[Trap]:
    """The traps that `knobs` would step into under `profile` on this version."""
    found = [
        _packet_size(knobs, profile),
        _payload_limit(knobs, profile),
        _memory(knobs, profile),
        _qos2_window(knobs, profile),
        _unlimited_inflight(knobs, version),
        _unlimited_queue(knobs, version),
    ]
    return [trap for trap in found if trap is not None]


def evade(knobs: KnobValues, profile: Profile, version: Version, pinned: Mapping[str, Value]) -> dict[str, Value]:
    """`knobs` with every trapped value replaced; pinned knobs stay as the operator wants them."""
    safe = dict(knobs)
    for trap in traps(knobs, profile, version):
        if trap.knob not in pinned:
            safe[trap.knob] = trap.instead
    return safe


def _packet_size(knobs: KnobValues, profile: Profile) -> Trap | None:
    needed = profile.payload_bytes + _PACKET_OVERHEAD
    if knobs["max_packet_size"] >= needed:
        return None
    return Trap(
        "max_packet_size",
        knobs["max_packet_size"],
        needed,
        f"the load's packets have up to {needed} bytes: every publisher would be disconnected",
    )


def _payload_limit(knobs: KnobValues, profile: Profile) -> Trap | None:
    limit = knobs["message_size_limit"]
    if limit == 0 or limit >= profile.payload_bytes:
        return None
    return Trap(
        "message_size_limit",
        limit,
        0,
        f"payloads have {profile.payload_bytes} bytes: every message would be acknowledged and discarded",
    )


def _memory(knobs: KnobValues, profile: Profile) -> Trap | None:
    limit = knobs["memory_limit"]
    in_flight = sum(part.window * part.publishers * (part.payload_bytes + _BYTES_PER_MESSAGE) for part in profile.members)
    needed = min(_HEAP_FLOOR + 2 * in_flight, 2**31 - 1)
    if limit == 0 or limit >= needed:
        return None
    return Trap(
        "memory_limit",
        limit,
        0,
        f"this load may need {needed // 2**20} MiB: at the limit clients are thrown out, and a reload cannot raise it again",
    )


def _qos2_window(knobs: KnobValues, profile: Profile) -> Trap | None:
    limit = knobs["max_inflight_messages"]
    window = max((part.window for part in profile.members if part.qos == 2), default=0)
    if limit == 0 or limit >= window:
        return None
    return Trap(
        "max_inflight_messages",
        limit,
        window,
        f"publishers have up to {window} QoS 2 messages open: the rest would be acknowledged and discarded",
    )


def _unlimited_inflight(knobs: KnobValues, version: Version) -> Trap | None:
    if knobs["max_inflight_messages"] != 0 or version < (2, 1, 0):
        return None
    reason = "Mosquitto 2.1 logs a warning for every message when this is 0"
    return Trap("max_inflight_messages", 0, 65_534, reason)


def _unlimited_queue(knobs: KnobValues, version: Version) -> Trap | None:
    if knobs["max_queued_messages"] != 0 or not (2, 0, 2) <= version <= (2, 0, 21):
        return None
    reason = "0 does not reliably mean unlimited up to Mosquitto 2.0.21: messages are dropped or clients disconnected"
    return Trap("max_queued_messages", 0, 10_000_000, reason)
