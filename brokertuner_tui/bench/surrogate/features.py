"""A setting as numbers that a model of one workload can split on: what each limit really is, in the load's own units.

"No limit" counts as more than any limit, a limit in bytes as so many messages of the load's, and where two limits bound the
same thing, the tighter one is there, too. What is certain from the broker's source (a packet beyond max_packet_size is never
taken, a payload beyond message_size_limit is discarded) is a switch of its own, so that it need not be learned from a few
trials on either side. Cores that other processes used (`Recorded.interference`) are an input, too; none when it is asked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from brokertuner_tui.knobs.catalogue import KnobValues, Version
from brokertuner_tui.workload.profile import Profile

Features = NDArray[np.float32]
"""(n, len(FEATURE_NAMES))"""

FEATURE_NAMES = (
    "since_2_0_16",
    "since_2_1",
    "inflight",
    "inflight_by_bytes",
    "tighter_inflight",
    "queue",
    "queue_by_bytes",
    "tighter_queue",
    "room",
    "nodelay",
    "queue_qos0",
    "memory",
    "persistence",
    "autosave",
    "packet_blocked",
    "message_blocked",
    "discards_qos_2",
    "interference",
)
_UNLIMITED = 2.0**31
_PACKET_OVERHEAD = 8
"""Bytes of the smallest PUBLISH around a payload: fixed header, length of the topic, a few characters of it, packet id."""


def features(profile: Profile, version: Version, settings: Sequence[KnobValues], interference: float = 0.0) -> Features:
    """One row a setting.

    Args:
        profile: a steady load.
        interference: cores that other processes used meanwhile.
    """
    rows = [_row(profile, version, knobs, interference) for knobs in settings]
    return np.array(rows, dtype=np.float32).reshape(-1, len(FEATURE_NAMES))


def _row(profile: Profile, version: Version, knobs: KnobValues, interference: float) -> tuple[float, ...]:
    payload = profile.payload_bytes
    inflight = min(_limit(knobs["max_inflight_messages"]), 65_535.0)
    inflight_by_bytes = max(1.0, _limit(knobs["max_inflight_bytes"]) / payload)
    queue = _limit(knobs["max_queued_messages"])
    queue_by_bytes = max(0.1, _limit(knobs["max_queued_bytes"]) / payload)
    message_limit = _limit(knobs["message_size_limit"])
    tighter_inflight, tighter_queue = min(inflight, inflight_by_bytes), min(queue, queue_by_bytes)
    return (
        version >= (2, 0, 16),
        version >= (2, 1, 0),
        math.log(inflight),
        math.log(inflight_by_bytes),
        math.log(tighter_inflight),
        math.log(queue),
        math.log(queue_by_bytes),
        math.log(tighter_queue),
        math.log(tighter_inflight + tighter_queue),
        bool(knobs["set_tcp_nodelay"]),
        bool(knobs["queue_qos0_messages"]),
        math.log(_limit(knobs["memory_limit"])),
        bool(knobs["persistence"]),
        math.log(_limit(knobs["autosave_interval"])) if knobs["persistence"] else math.log(_UNLIMITED),
        knobs["max_packet_size"] < payload + _PACKET_OVERHEAD,
        message_limit < payload,
        profile.qos == 2 and inflight < profile.window,
        interference,
    )


def _limit(value: float) -> float:
    return float(value) if value else _UNLIMITED
