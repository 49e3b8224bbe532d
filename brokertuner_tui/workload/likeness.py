"""How alike two traffics are: rate, sizes, QoS mix, fan-out, as recorded, asked for, or played."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.shape import Shape, bucket
from brokertuner_tui.workload.window import Window

WITHIN = 0.05
"""What counts as alike."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """The figures of one traffic."""

    messages_per_s: float
    bytes_per_s: float
    """Of payload, published."""
    qos: tuple[float, float, float]
    """Shares of the messages."""
    buckets: tuple[tuple[int, float], ...]
    """(first size of the bucket, share of the messages), ascending."""
    fan_out: float | None
    """Deliveries a message; None: not known."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """One figure of two traffics."""

    figure: str
    one: float
    other: float
    difference: float
    """Relative; of shares, their difference."""

    @property
    def alike(self) -> bool:
        """Whether it lies within what counts as alike."""
        return abs(self.difference) <= WITHIN


def of_shape(shape: Shape, faster: float = 1.0) -> Traffic:
    """What was recorded, `faster` times."""
    buckets = sorted({stream.bytes_from for stream in shape.streams})
    return Traffic(
        messages_per_s=shape.messages_per_s * faster,
        bytes_per_s=shape.messages_per_s * shape.mean_bytes * faster,
        qos=(shape.share_of_qos(0), shape.share_of_qos(1), shape.share_of_qos(2)),
        buckets=tuple((size, shape.share_of_bucket(size)) for size in buckets),
        fan_out=shape.fan_out,
    )


def of_windows(profile: Profile, windows: Sequence[Window]) -> Traffic:
    """What the built-in load sent; `profile` is what ran in all windows, rates aside."""
    seconds = sum(window.seconds for window in windows)
    sent = [
        sum(window.parts[index].sent if window.parts else window.sent for window in windows)
        for index in range(len(profile.members))
    ]
    total = max(1, sum(sent))
    shares: dict[int, float] = {}
    for part, count in zip(profile.members, sent, strict=True):
        if count:
            first = bucket(part.payload_bytes)[0]
            shares[first] = shares.get(first, 0.0) + count / total
    qos = [
        sum(count for part, count in zip(profile.members, sent, strict=True) if part.qos == level) / total for level in range(3)
    ]
    payload = sum(part.payload_bytes * count for part, count in zip(profile.members, sent, strict=True))
    return Traffic(
        messages_per_s=sum(sent) / seconds if seconds else 0.0,
        bytes_per_s=payload / seconds if seconds else 0.0,
        qos=(qos[0], qos[1], qos[2]),
        buckets=tuple(sorted(shares.items())),
        fan_out=sum(window.received for window in windows) / total,
    )


def compare(one: Traffic, other: Traffic) -> list[Likeness]:
    """Figure by figure."""
    return list(_compare(one, other))


def _compare(one: Traffic, other: Traffic) -> Iterable[Likeness]:
    yield _relative("messages a second", one.messages_per_s, other.messages_per_s)
    yield _relative("bytes a second", one.bytes_per_s, other.bytes_per_s)
    yield _relative("bytes a message", _mean(one), _mean(other))
    for level in range(3):
        yield _share(f"QoS {level}", one.qos[level], other.qos[level])
    sizes, others = dict(one.buckets), dict(other.buckets)
    for size in sorted(sizes.keys() | others.keys()):
        yield _share(f"from {size:,} bytes", sizes.get(size, 0.0), others.get(size, 0.0))
    if one.fan_out is not None and other.fan_out is not None:
        yield _relative("fan-out", one.fan_out, other.fan_out)


def _mean(traffic: Traffic) -> float:
    return traffic.bytes_per_s / traffic.messages_per_s if traffic.messages_per_s else 0.0


def _relative(figure: str, one: float, other: float) -> Likeness:
    return Likeness(figure, one, other, (other - one) / one if one else (1.0 if other else 0.0))


def _share(figure: str, one: float, other: float) -> Likeness:
    return Likeness(figure, one, other, other - one)
