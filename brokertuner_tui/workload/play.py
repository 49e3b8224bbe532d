"""A recorded shape as a workload of the built-in generator.

- **Streams** of one QoS and one size bucket become one load of a mix, with the mean size of the bucket's messages. Topic groups
  are added up: what one of them has that others have not (its fan-out) was not seen.
- **Rates over time**: intervals that differ by no more than a tenth (for tuning: a quarter), or than chance, become one phase
  with their mean rates: there are few phases, and every message is sent all the same. All phases have the same clients, so that
  the generator goes from one to the next without a reconnection.
- **Speed** s plays like a tape: s times the rates in 1/s of the time. `scale` changes the rates alone.
- **Fan-out** is that of all topics together, for every load of the mix; loads with more messages make up for rounding.
- **Clients**: as many as were connected, if that is enough for the above; those without traffic subscribe to a silent topic.
  As many come and leave at once as came.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from brokertuner_tui.errors import ConfigError
from brokertuner_tui.workload import limits
from brokertuner_tui.workload.limits import MAX_CLIENTS, MIN_PAYLOAD_BYTES
from brokertuner_tui.workload.profile import Phase, Profile, Workload
from brokertuner_tui.workload.shape import Shape

NAME = "recorded"
MOST_PHASES, MOST_PHASES_PLAYED = 6, 240
"""For tuning, where each phase is a load of its own that has to be measured for long; and for playing once."""
MOST_PARTS = 24
_TOLERANCE, _ROUGHLY = 0.1, 0.25
"""Share of the messages by which intervals that count as alike may differ."""
_MOST_ACTIVE = 1000
"""Publishers, and subscribers, that have traffic."""
_SILENT_PER_S = 0.001
"""0 would be a closed loop."""
_QOS_2_WINDOW = 20
"""Mosquitto's own limit by default: it discards what a client of 3.1.1 has in flight beyond that."""
_GRID = 20
_WELL_ENOUGH = 0.01

Counts = npt.NDArray[np.float64]
"""Messages, shape (intervals, parts)."""


@dataclass(frozen=True, slots=True)
class Playback:
    """What is to be played, and what it lacks."""

    workload: Workload
    seconds: float
    """Once through."""
    fan_out: float
    """Deliveries a message, on average, as played."""
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Part:
    """What one load of the mix is made of."""

    qos: int
    payload_bytes: int
    """All together."""
    topics: int
    counts: Counts

    @property
    def messages(self) -> float:
        return float(self.counts.sum())

    @property
    def mean_bytes(self) -> int:
        return round(self.payload_bytes / max(1.0, self.messages))


def playback(shape: Shape, *, where: str = NAME, speed: float = 1.0, scale: float = 1.0, for_tuning: bool = True) -> Playback:
    """`shape` as a workload called `recorded`.

    Args:
        where: the file, for errors.
        speed: from 1 to 10 (not checked here).
        for_tuning: few phases, each of what is roughly alike; else the recording is followed more closely.

    Raises:
        ConfigError: there is nothing to play, or the generator cannot make it.
    """
    parts = _parts(shape)
    if not parts:
        raise ConfigError(where, "stream", 0, "there are no messages in it: nothing to play")
    profiles, notes = _clients(shape, parts)
    profiles = [
        replace(
            profile,
            payload_bytes=max(MIN_PAYLOAD_BYTES, part.mean_bytes),
            window=_QOS_2_WINDOW if part.qos == 2 else profile.window,
            slo_ms=shape.slo_ms,
        )
        for profile, part in zip(profiles, parts, strict=True)
    ]
    counts = np.stack([part.counts for part in parts], axis=1)
    idle = _idle(shape, profiles)
    phases = []
    tolerance, most = (_ROUGHLY, MOST_PHASES) if for_tuning else (_TOLERANCE, MOST_PHASES_PLAYED)
    for number, (start, end) in enumerate(segments(counts, shape.interval_s, most, tolerance)):
        seconds = (end - start) * shape.interval_s
        rates = counts[start:end].sum(axis=0) / seconds * speed * scale
        members = [
            replace(profile, rate=max(_SILENT_PER_S, float(rate))) for profile, rate in zip(profiles, rates, strict=True)
        ]
        came = sum(shape.connects[start:end]) / seconds * speed * scale
        members[0] = replace(members[0], connects=came)
        profile = Profile.mix(f"{NAME}-{number + 1}", [*members, *idle])
        limits.check(profile, where)
        phases.append(Phase(profile, seconds / speed))
    if len(phases) == 1:
        phases = [Phase(replace(phases[0].profile, name=NAME), math.inf)]
    played = _fan_out(profiles, parts)
    return Playback(Workload(NAME, tuple(phases)), shape.seconds / speed, played, tuple(_notes(shape, parts, played, notes)))


def _parts(shape: Shape) -> list[_Part]:
    """The streams of each QoS and size bucket together, in order of QoS and size; at most MOST_PARTS."""
    found: dict[tuple[int, int], _Part] = {}
    for stream in shape.streams:
        if not sum(stream.messages):
            continue
        counts = np.array(stream.messages, np.float64)
        part = found.setdefault((stream.qos, stream.bytes_from), _Part(stream.qos, 0, 0, np.zeros_like(counts)))
        part.counts += counts
        part.payload_bytes += sum(stream.payload_bytes)
        part.topics += stream.topics
    parts = [found[key] for key in sorted(found)]
    while len(parts) > MOST_PARTS:
        _merge_one(parts)
    return parts


def _merge_one(parts: list[_Part]) -> None:
    """Adds the part with the fewest messages to the one of its QoS that is nearest in size."""
    shared = [part for part in parts if sum(other.qos == part.qos for other in parts) > 1]
    rare = min(shared, key=lambda part: part.messages)
    others = [part for part in shared if part is not rare and part.qos == rare.qos]
    near = min(others, key=lambda part: abs(math.log((part.mean_bytes + 1) / (rare.mean_bytes + 1))))
    near.counts = near.counts + rare.counts
    near.payload_bytes += rare.payload_bytes
    near.topics += rare.topics
    parts[:] = [part for part in parts if part is not rare]


# -- clients -------------------------------------------------------------------------------------------------------


def fitted(publishers: int, subscribers: int, fan_out: float, *, exactly: bool = True) -> tuple[int, int, int, float]:
    """Publishers, subscribers, topics, and the fan-out that they make (see `Profile.fan_out`): near `fan_out`, with about as
    many clients as asked for (`exactly`), or as many clients, with about that fan-out."""
    if fan_out <= 0:
        return publishers, 0, publishers, 0.0
    weight = 200 if exactly else 3
    if fan_out < 1:  # most topics have no reader
        publishers = max(publishers, min(_MOST_ACTIVE, math.ceil(1 / fan_out)))
        subscribers = max(1, min(subscribers, round(fan_out * publishers)))
    subscribers = max(subscribers, math.ceil(fan_out - 0.5))
    best = (math.inf, (publishers, subscribers, 1, 0.0))
    for pubs in range(max(1, publishers - _GRID), publishers + _GRID + 1):
        for subs in range(max(1, subscribers - _GRID), subscribers + _GRID + 1):
            for topics in {max(1, math.floor(subs / fan_out)), math.ceil(subs / fan_out)}:
                made = made_fan_out(pubs, subs, topics)
                error = abs(made - fan_out) / fan_out
                beside = (abs(pubs - publishers) + abs(subs - subscribers)) / (publishers + subscribers)
                cost = weight * max(0.0, error - _WELL_ENOUGH) + error + beside
                if cost < best[0] and topics <= max(pubs, subs):
                    best = cost, (pubs, subs, topics, made)
    return best[1]


def made_fan_out(publishers: int, subscribers: int, topics: int) -> float:
    """`Profile.fan_out`, without counting: publishers and subscribers take turns over the topics."""
    senders, more_senders = divmod(publishers, topics)
    readers, more_readers = divmod(subscribers, topics)
    pairs = topics * senders * readers + senders * more_readers + readers * more_senders + min(more_senders, more_readers)
    return pairs / publishers


def _clients(shape: Shape, parts: Sequence[_Part]) -> tuple[list[Profile], list[str]]:
    """A profile for each part with its clients, topics and QoS; and what is to be said about them."""
    fan_out, notes = shape.fan_out, []
    if fan_out is None:
        fan_out = 1.0
        notes.append("fan-out was not recorded: each message is played to one subscriber")
    senders, readers = _split(shape, sum(part.topics for part in parts), fan_out)
    total, topics = sum(part.messages for part in parts), sum(part.topics for part in parts)
    made: list[Profile | None] = [None] * len(parts)
    owed = 0.0
    order = sorted(range(len(parts)), key=lambda index: parts[index].messages)
    for index in order:
        part = parts[index]
        wanted = max(0.0, fan_out + owed / part.messages)
        room = max(1, MAX_CLIENTS // len(parts) - 2 * _GRID)
        pubs, subs, part_topics, does = fitted(
            min(room, max(1, round(senders * part.topics / topics))),
            min(room, max(1, round(readers * part.messages / total))),
            min(wanted, float(room)),
            exactly=index == order[-1],
        )
        owed += part.messages * (fan_out - does)
        name = f"qos{part.qos}-{part.mean_bytes}"
        made[index] = Profile(name, publishers=pubs, subscribers=subs, topics=part_topics, qos=part.qos)
    return [profile for profile in made if profile is not None], notes


def _split(shape: Shape, topics: int, fan_out: float) -> tuple[int, int]:
    """How many clients publish and how many subscribe: a guess from topics, subscriptions and connections."""
    clients = _connected(shape) or min(2 * topics, 2 * _MOST_ACTIVE)
    if fan_out <= 0:
        return min(topics, clients, _MOST_ACTIVE), 0
    readers = shape.subscriptions or max(1, clients - topics)
    senders = topics
    if senders + readers > clients:
        senders = max(1, round(clients * senders / (senders + readers)))
        readers = max(1, clients - senders)
    return min(senders, _MOST_ACTIVE), min(readers, _MOST_ACTIVE)


def _connected(shape: Shape) -> int:
    """Clients that were connected, on average; 0 if that is not known."""
    return min(MAX_CLIENTS, round(sum(shape.connected) / len(shape.connected))) if shape.connected else 0


def _idle(shape: Shape, profiles: Sequence[Profile]) -> list[Profile]:
    """The clients that were there without traffic: subscribers of a topic on which nothing comes."""
    missing = _connected(shape) - sum(profile.clients for profile in profiles)
    if missing < 2:
        return []
    subscribers = min(missing - 1, MAX_CLIENTS - sum(profile.subscribers for profile in profiles))
    silent = Profile("idle", publishers=1, subscribers=subscribers, topics=subscribers + 1, rate=_SILENT_PER_S)
    return [replace(silent, topics=min(silent.topics, MAX_CLIENTS), slo_ms=shape.slo_ms)]


def _fan_out(profiles: Sequence[Profile], parts: Sequence[_Part]) -> float:
    deliveries = sum(profile.fan_out * part.messages for profile, part in zip(profiles, parts, strict=True))
    return deliveries / sum(part.messages for part in parts)


def _notes(shape: Shape, parts: Sequence[_Part], played: float, notes: Sequence[str]) -> Iterator[str]:
    yield from notes
    if shape.fan_out is not None and abs(played - shape.fan_out) > 0.02 * max(shape.fan_out, 0.05):
        yield f"fan-out was {shape.fan_out:.3g} and is played as {played:.3g}: there are not clients enough for more"
    small = sum(part.messages for part in parts if part.mean_bytes < MIN_PAYLOAD_BYTES)
    if small:
        share = 100 * small / sum(part.messages for part in parts)
        yield f"{share:.0f} % of the messages are smaller than {MIN_PAYLOAD_BYTES} bytes and are played with that many"
    if any(stream.retained for stream in shape.streams):
        yield "some messages asked to be retained: they are played without that"
    if any(shape.connects):
        yield "as many clients as on average stay connected; those that came are played as coming and leaving at once"


# -- phases --------------------------------------------------------------------------------------------------------


def segments(counts: Counts, interval_s: float, most: int, tolerance: float = _TOLERANCE) -> list[tuple[int, int]]:
    """Consecutive intervals that are alike, as (first, end): at most `most` of them.

    Args:
        counts: shape (intervals, parts).
    """
    bounds = [(index, index + 1) for index in range(len(counts))]
    sums = [row.copy() for row in counts]
    gaps = [_difference(sums, bounds, index, interval_s) for index in range(len(bounds) - 1)]
    while gaps:
        index = int(np.argmin(gaps))
        if gaps[index] > tolerance and len(bounds) <= most:
            break
        bounds[index : index + 2] = [(bounds[index][0], bounds[index + 1][1])]
        sums[index : index + 2] = [sums[index] + sums[index + 1]]
        del gaps[index]
        for near in (index - 1, index):
            if 0 <= near < len(gaps):
                gaps[near] = _difference(sums, bounds, near, interval_s)
    return bounds


def _difference(sums: Sequence[Counts], bounds: Sequence[tuple[int, int]], index: int, interval_s: float) -> float:
    """Between segments `index` and `index` + 1: the share of messages that lie elsewhere, beyond what chance would do."""
    lengths = [(end - start) * interval_s for start, end in bounds[index : index + 2]]
    one, other = (sums[index + side] / lengths[side] for side in (0, 1))
    # Three standard deviations of a difference of independent arrivals.
    chance = 3 * np.sqrt(one / lengths[0] + other / lengths[1])
    beyond = np.maximum(np.abs(one - other) - chance, 0).sum()
    return float(beyond / max(1e-9, one.sum(), other.sum()))
