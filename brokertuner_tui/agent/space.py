"""What is known of the actions before the first trial.

`BoxSpace` knows nothing. `MosquittoSpace` knows what the manual and the catalogue say: which actions mean the same, which
limits would strangle the load that is seen, and a few settings worth trying first. It never says what is best: that is
measured. All of it is a function of the context, so a load that nobody named is served as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from brokertuner_tui.env.slo import CONTEXT_NAMES, from_log_unit
from brokertuner_tui.knobs.catalogue import CATALOGUE, NAMES, defaults
from brokertuner_tui.knobs.codec import SPECIAL_FROM, encode, encode_knob

Actions = NDArray[np.float64]
"""(n,) or (k, n), each in [-1, 1]."""
Context = NDArray[np.float32]


class Space(Protocol):
    """Knowledge about actions of `size` numbers."""

    size: int

    def snap(self, actions: Actions) -> Actions:
        """(k, n): actions that do the same become the same numbers."""

    def usual(self, context: Context) -> Actions | None:
        """(n,): where a number stays unless there is a reason; None: nowhere in particular."""

    def floor(self, context: Context) -> Actions:
        """(n,): the least value of each number that is worth a trial."""

    def inert(self, context: Context) -> NDArray[np.bool_]:
        """(n,): the numbers that cannot matter."""

    def designed(self, context: Context) -> list[tuple[Actions, str]]:
        """Settings to try first, best guess first, and why."""

    def spread(self, points: Actions, context: Context) -> Actions:
        """(k, n) points of the unit cube as actions of the warm-up's distribution."""


class BoxSpace:
    """Nothing is known."""

    def __init__(self, size: int) -> None:
        self.size = size

    def snap(self, actions: Actions) -> Actions:
        """As they are."""
        return actions

    def usual(self, context: Context) -> Actions | None:
        """Nowhere."""
        return None

    def floor(self, context: Context) -> Actions:
        """-1."""
        return np.full(self.size, -1.0)

    def inert(self, context: Context) -> NDArray[np.bool_]:
        """None."""
        return np.zeros(self.size, dtype=bool)

    def designed(self, context: Context) -> list[tuple[Actions, str]]:
        """None."""
        return []

    def spread(self, points: Actions, context: Context) -> Actions:
        """Evenly."""
        return 2 * points - 1


_SWITCH = np.array([knob.scale == "switch" for knob in CATALOGUE])
_SPECIAL = np.array([bool(knob.special) for knob in CATALOGUE])
_PERSISTENCE = NAMES.index("persistence")
_AUTOSAVE = NAMES.index("autosave_interval")
_IN_FLIGHT = [NAMES.index("max_inflight_messages"), NAMES.index("max_inflight_bytes")]
_QUEUE_QOS_0 = NAMES.index("queue_qos0_messages")
_AUTOSAVE_DEFAULT = encode_knob("autosave_interval", defaults()["autosave_interval"])


class MosquittoSpace:
    """The eleven knobs.

    *Same*: a switch is on or off; the special band is one value; autosave_interval does nothing without persistence.

    *Floors*: a limit is only worth lowering down to what the load itself needs. Below a payload, nothing passes; below the
    messages that are in flight by Little's law (arrivals times round trip), they wait; a queue of less than a hundred messages
    drops any burst. Limits of the whole broker's memory only refuse clients. The broker's own default is below a floor where it
    would strangle the load: it is measured all the same, as the reference.

    *Inert*: QoS 0 has nothing in flight, and queue_qos0_messages is about QoS 0 for sessions that outlive their connection.
    """

    size = len(CATALOGUE)

    def snap(self, actions: Actions) -> Actions:
        """See above."""
        snapped = np.clip(actions, -1.0, 1.0)
        snapped = np.where(_SWITCH, np.where(snapped >= 0, 1.0, -1.0), snapped)
        snapped = np.where(_SPECIAL & (snapped >= SPECIAL_FROM), (SPECIAL_FROM + 1) / 2, snapped)
        unsaved = snapped[:, _PERSISTENCE] < 0
        snapped[unsaved, _AUTOSAVE] = _AUTOSAVE_DEFAULT
        return snapped

    def usual(self, context: Context) -> Actions | None:
        """The broker's default: a knob that does not matter is best left alone."""
        return self._default(context)

    def floor(self, context: Context) -> Actions:
        """See above."""
        load = _Load(context)
        in_flight = min(load.in_flight, 65_535)
        # An open loop does not wait: with less in flight than Little's law says, queues grow without end.
        needed = load.window if load.qos_2 else in_flight / 2 if load.open_loop else 0
        wanted = {
            "max_inflight_messages": max(20, needed),
            "max_inflight_bytes": load.payload * max(20, in_flight),
            "max_queued_messages": 100,
            "max_queued_bytes": load.payload * 1000,
            "memory_limit": 2**30,
            "autosave_interval": 60,
            "max_packet_size": 2 * load.payload + 1024,
            "message_size_limit": 2 * load.payload,
        }
        least = np.full(self.size, -1.0)
        for name, value in wanted.items():
            least[NAMES.index(name)] = _encode_limit(name, value)
        return least

    def inert(self, context: Context) -> NDArray[np.bool_]:
        """See above."""
        load, found = _Load(context), np.zeros(self.size, dtype=bool)
        if load.qos_0:
            found[_IN_FLIGHT] = True
        if not load.any_qos_0 or not load.any_persistent:
            found[_QUEUE_QOS_0] = True
        return found

    def designed(self, context: Context) -> list[tuple[Actions, str]]:
        """Room for what is in flight, with and without set_tcp_nodelay, and the other kind of queue.

        A trickle wants its packets at once, a flood wants them together. An open loop goes on sending whatever happens: a long
        queue carries it over a burst, and ruins it if there is more than the broker can do. A closed loop fills any queue, so
        that a short one keeps it in time. QoS 0 has nothing in flight.
        """
        load = _Load(context)
        room = max(500, 4 * load.in_flight) if load.open_loop else max(100, load.in_flight)

        def setting(nodelay: bool, room: float, queue: int) -> Actions:
            action = self._default(context)
            wanted = {"max_queued_messages": float(queue)} | ({} if load.qos_0 else {"max_inflight_messages": room})
            for name, value in wanted.items():
                action[NAMES.index(name)] = _encode_limit(name, value)
            action[NAMES.index("set_tcp_nodelay")] = 1.0 if nodelay else -1.0
            return action

        first = load.open_loop
        if load.qos_0:
            queue, other, of_other = 1_000, 100, "the same with a shorter queue: rather lost than late"
        elif load.open_loop:
            queue, other, of_other = 100_000, 1_000, "the same with a shorter queue: rather lost than late"
        else:
            queue, other, of_other = 1_000, 100_000, "the same with more room"
        return [
            (setting(first, room, queue), "room for what is in flight"),
            (setting(not first, room, queue), "the same with set_tcp_nodelay the other way round"),
            (setting(first, room if load.open_loop else 4 * room, other), of_other),
        ]

    def spread(self, points: Actions, context: Context) -> Actions:
        """Half of the limits as they are, the others from the floor to no limit, denser towards no limit."""
        low = self.floor(context)
        changed = low + (1 - low) * np.sqrt(np.maximum(2 * points - 1, 0))
        spread = np.where(points < 0.5, np.maximum(self._default(context), low), changed)
        spread = np.where(_SWITCH, 2 * points - 1, spread)
        spread[:, _PERSISTENCE] -= 0.5
        return self.snap(np.where(self.inert(context), self._default(context), spread))

    def _default(self, context: Context) -> Actions:
        since_2_1 = context[CONTEXT_NAMES.index("since_2_1")] > 0.5
        return encode(defaults((2, 1, 0) if since_2_1 else (2, 0, 0)))


class _Load:
    """What the context says of the load, in units again."""

    def __init__(self, context: Context) -> None:
        number = dict(zip(CONTEXT_NAMES, (float(x) for x in context), strict=True))
        self.open_loop = number["open_loop"] > 0.5
        self.qos_0, self.any_qos_0 = number["qos_1_or_2"] == 0, number["qos_1_or_2"] < 1
        self.qos_2 = number["qos_2"] > 0.5
        self.any_persistent = number["persistent"] > 0 or number["offline_subscribers"] > 0
        self.payload = max(1.0, from_log_unit("payload", number["payload"]))
        self.window = from_log_unit("window", number["window"])
        needed = from_log_unit("in_flight_needed", number["in_flight_needed"]) * from_log_unit("burst", number["burst"])
        in_loop = self.window * from_log_unit("fan_in", number["fan_in"])
        self.in_flight = needed if self.open_loop else in_loop
        """Messages on their way to one subscriber at once."""


def _encode_limit(name: str, value: float) -> float:
    knob = CATALOGUE[NAMES.index(name)]
    return encode_knob(name, int(min(knob.high, max(knob.low, round(value)))))


_SPACES: Mapping[str, Callable[[int], Space]] = {"box": BoxSpace, "mosquitto": lambda size: MosquittoSpace()}


def make_space(name: str, size: int) -> Space:
    """The space called `name` for actions of `size` numbers.

    Raises:
        ValueError: there is none, or it has another size.
    """
    if name not in _SPACES:
        raise ValueError(f"unknown space {name!r}")
    space = _SPACES[name](size)
    if space.size != size:
        raise ValueError(f"space {name!r} has {space.size} numbers, not {size}")
    return space
