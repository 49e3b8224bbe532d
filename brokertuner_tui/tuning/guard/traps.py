"""Traps that are known beforehand: values that the broker takes and that can only lose messages, or the broker.

Each trap was seen on a real broker or read in its source; the manual mentions none of them. The agent's proposals are moved
to the nearest value that is safe for this load; what a person wants is refused, with the reason.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from brokertuner_tui.errors import UsageError
from brokertuner_tui.knobs.catalogue import INT32_MAX, KnobValues, Value, Version
from brokertuner_tui.telemetry.sample import Sample
from brokertuner_tui.workload.profile import Profile

_PACKET_OVERHEAD = 128
"""Fixed header, topic, packet id, properties: more than any packet of the load or a probe has beside its payload."""
_HEAP_FLOOR = 16 * 2**20
_START_FLOOR = 2**20
"""Less, and Mosquitto 2.0.21 and 2.1.2 do not start."""
_BYTES_PER_MESSAGE = 512
"""What Mosquitto's heap holds for one stored message beside its payload, rounded up."""
_BYTE_KNOBS = ("max_inflight_bytes", "max_queued_bytes", "memory_limit", "max_packet_size", "message_size_limit")
_LEAST_PACKET = 20


class TrapRefused(UsageError):
    """A person asked for a value that can only do harm; nothing was touched."""


@dataclass(frozen=True, slots=True)
class Trap:
    """A value that can only do harm, what to use instead, and why, in one sentence."""

    knob: str
    value: Value
    instead: Value
    reason: str


def traps(knobs: KnobValues, profile: Profile | None, version: Version, heap_bytes: int = 0) -> list[Trap]:
    """The traps that `knobs` would step into.

    Args:
        profile: the load; None: it is not known, and what depends on it is not looked for.
        heap_bytes: what the broker's heap holds now; 0: not known.
    """
    found = [*_wrapped(knobs), _no_packet(knobs), _memory(knobs, profile, heap_bytes), _unlimited_inflight(knobs, version)]
    found.append(_unlimited_queue(knobs, version))
    if profile is not None:
        found += [_packet_size(knobs, profile), _payload_limit(knobs, profile), _qos2_window(knobs, profile)]
    first: dict[str, Trap] = {}
    for trap in found:
        if trap is not None:
            first.setdefault(trap.knob, trap)
    return list(first.values())


def evade(
    knobs: KnobValues, profile: Profile, version: Version, pinned: Mapping[str, Value], heap_bytes: int = 0
) -> dict[str, Value]:
    """`knobs` with every trapped value replaced; pinned knobs stay as the operator wants them."""
    safe = dict(knobs)
    for trap in traps(knobs, profile, version, heap_bytes):
        if trap.knob not in pinned:
            safe[trap.knob] = trap.instead
    return safe


def refuse(
    knobs: KnobValues, asked: Collection[str], profile: Profile | None, version: Version, heap_bytes: int = 0, what: str = ""
) -> None:
    """Lets pass what steps into no trap.

    Args:
        knobs: all eleven, as they would be.
        asked: those that somebody asked for; a trap that the broker sits in already is not theirs.
        what: stands before the knob's name: the table of the config.

    Raises:
        TrapRefused: one of `asked` steps into one; the message is one line with the reason.
    """
    for trap in traps(knobs, profile, version, heap_bytes):
        if trap.knob in asked:
            instead = f"{str(trap.instead).lower()} is safe" if trap.instead else "0 (no limit) is safe"
            raise TrapRefused(f"{what}{trap.knob} = {str(trap.value).lower()} is refused: {trap.reason}; {instead}")


def heap_in_use(sample: Sample | None) -> int:
    """Bytes of the broker's heap: `$SYS` says so, else its process's memory, which is a little more; 0: nobody knows."""
    if sample is None:
        return 0
    return sample.sys.heap_bytes if sample.sys.heap_bytes and not sample.sys.stale else sample.process.rss_bytes


def _wrapped(knobs: KnobValues) -> list[Trap | None]:
    """Validation refuses these as well; whoever gets round it meets the reason here."""
    reason = "Mosquitto reads it into 32 bits: it would wrap around to a wrong value, or to no limit"
    return [Trap(name, knobs[name], INT32_MAX, reason) for name in _BYTE_KNOBS if knobs.get(name, 0) > INT32_MAX]


def _no_packet(knobs: KnobValues) -> Trap | None:
    size = knobs["max_packet_size"]
    if size >= _LEAST_PACKET:
        return None
    return Trap("max_packet_size", size, _LEAST_PACKET, "Mosquitto does not start with less than 20 bytes, nor with 0")


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


def _memory(knobs: KnobValues, profile: Profile | None, heap_bytes: int) -> Trap | None:
    limit = knobs["memory_limit"]
    if limit == 0:
        return None
    if limit < heap_bytes:
        reason = (
            f"the broker's heap holds {heap_bytes:,} bytes now: it would reset every new connection, and no reload could "
            "raise it again"
        )
        return Trap("memory_limit", limit, 0, reason)
    if profile is None:
        needed, who = _START_FLOOR, "the broker itself"
    else:
        in_flight = sum(part.window * part.publishers * (part.payload_bytes + _BYTES_PER_MESSAGE) for part in profile.members)
        needed, who = min(_HEAP_FLOOR + 2 * in_flight, INT32_MAX), "this load"
    if limit >= needed:
        return None
    reason = f"{who} may need {needed // 2**20} MiB: at the limit clients are thrown out, and a reload cannot raise it again"
    return Trap("memory_limit", limit, 0, reason)


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
