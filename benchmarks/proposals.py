"""The settings that `benchmarks/collect.py` records, of several kinds: all of the space, and its best part well."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from brokertuner_tui.agent.space import MosquittoSpace
from brokertuner_tui.env.slo import context
from brokertuner_tui.knobs.catalogue import NAMES, Value, Version, defaults
from brokertuner_tui.knobs.codec import decode, encode
from brokertuner_tui.workload.profile import Profile

KINDS = ("asis", "uniform", "spread", "spread", "default", "main", "main", "best", "best", "best")
"""Of a block's ten trials. What they mean is said in `brokertuner_tui/bench/surrogate/dataset.py`."""
_STEP = 0.3
"""Standard deviation of a number that is moved, of a range of 2."""
_SWITCHED = 0.7
"""How often a switch near the default is switched when it is its turn."""


def propose(kind: str, profile: Profile, version: Version, rng: np.random.Generator) -> dict[str, Value]:
    """A setting of that kind."""
    space, seen = MosquittoSpace(), np.array(context(profile, version), dtype=np.float32)
    if kind == "asis":
        return dict(defaults(version))
    if kind == "uniform":
        return decode(rng.uniform(-1, 1, len(NAMES)))
    if kind == "spread":
        return decode(space.spread(rng.random((1, len(NAMES))), seen)[0])
    action = encode(defaults(version))
    if kind == "main":
        for name in ("max_inflight_messages", "max_queued_messages"):
            action[NAMES.index(name)] = rng.uniform(-1, 1)
        action[NAMES.index("set_tcp_nodelay")] = rng.choice([-1.0, 1.0])
        return decode(action)
    if kind == "default":
        moved = rng.choice(len(NAMES), rng.choice([0, 1, 1, 2, 3]), replace=False)
        return decode(_moved(action, moved, _SWITCHED, rng))
    designed = space.designed(seen)
    moved = np.flatnonzero(rng.random(len(NAMES)) < rng.choice([1, 2, 4]) / len(NAMES))
    return decode(_moved(designed[rng.integers(len(designed))][0], moved, 1.0, rng))


def _moved(
    action: NDArray[np.float64], which: NDArray[np.int64], switched: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """`action` with some of its numbers moved: a switch to its other side (by that chance), others by a normal step."""
    action = action.copy()
    for i in which:
        if abs(action[i]) == 1:
            action[i] = -action[i] if rng.random() < switched else action[i]
        else:
            action[i] = np.clip(action[i] + rng.normal(0, _STEP), -1, 1)
    return action
