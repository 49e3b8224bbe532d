"""What the agent has seen: a ring of trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of the buffer, oldest first (a whole) or drawn (a sample). B rows."""

    observation: Floats
    """(B, observation)"""
    action: NDArray[np.float64]
    """(B, action): what was executed. Exact: of a large knob, two actions that are one in float32 are two values."""
    reward: Floats
    """(B,)"""
    next_observation: Floats
    """(B, observation)"""
    terminated: Floats
    """(B,): 1 where nothing follows."""
    weight: Floats
    """(B, members): how much each critic minds each row."""
    earlier: Floats
    """(B,): 1 where an earlier run measured it."""


class Replay:
    """Keeps the last `capacity` trials; grows as they come."""

    def __init__(self, observation_size: int, action_size: int, members: int, capacity: int) -> None:
        self._capacity = capacity
        widths = {
            "observation": (observation_size,),
            "action": (action_size,),
            "reward": (),
            "next_observation": (observation_size,),
            "terminated": (),
            "weight": (members,),
            "earlier": (),
        }
        self._rows: dict[str, NDArray[Any]] = {name: np.zeros((0, *width), _type(name)) for name, width in widths.items()}
        self._added = 0

    def __len__(self) -> int:
        return min(self._added, self._capacity)

    @property
    def added(self) -> int:
        """Trials ever added."""
        return self._added

    def add(self, **row: ArrayLike) -> None:
        """One trial: a value for each field of `Batch`; without `earlier` it is this run's own."""
        row = {"earlier": 0.0, **row}
        place = self._added % self._capacity
        if place >= len(self._rows["reward"]):
            size = min(self._capacity, max(64, 2 * place))
            self._rows = {name: _grown(rows, size) for name, rows in self._rows.items()}
        for name, rows in self._rows.items():
            rows[place] = row[name]
        self._added += 1

    def all(self) -> Batch:
        """Every trial, oldest first; views where the order allows it."""
        size = len(self)
        start = self._added % self._capacity if self._added > self._capacity else 0
        order = slice(0, size) if start == 0 else np.r_[start:size, 0:start]
        return Batch(**{name: rows[order] for name, rows in self._rows.items()})

    def drop(self, rows: NDArray[np.bool_]) -> None:
        """Forgets these; `rows` as in `all`."""
        kept = {name: array[~rows] for name, array in self.arrays().items()}
        self._rows, self._added = kept, len(kept["reward"])

    def sample(self, rng: np.random.Generator, size: int) -> Batch:
        """`size` trials drawn with replacement, or all of them if there are no more."""
        if len(self) <= size:
            return self.all()
        drawn = rng.integers(len(self), size=size)
        return Batch(**{name: rows[drawn] for name, rows in self._rows.items()})

    def arrays(self) -> dict[str, NDArray[Any]]:
        """To be saved."""
        whole = self.all()
        return {name: np.ascontiguousarray(getattr(whole, name)) for name in Batch.__slots__}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """From what `arrays` gave.

        Raises:
            ValueError: the shapes are another buffer's.
        """
        size = len(arrays["reward"])
        # Buffers of before there was anything from earlier runs lack this one.
        arrays = {"earlier": np.zeros(size, dtype=np.float32), **arrays}
        for name, rows in self._rows.items():
            if arrays[name].shape != (size, *rows.shape[1:]) or size > self._capacity:
                raise ValueError(f"{name} has shape {arrays[name].shape}")
        self._rows = {name: arrays[name].astype(_type(name), copy=True) for name in self._rows}
        self._added = size


def _type(name: str) -> type[np.floating[Any]]:
    return np.float64 if name == "action" else np.float32


def _grown(rows: NDArray[Any], size: int) -> NDArray[Any]:
    grown = np.zeros((size, *rows.shape[1:]), dtype=rows.dtype)
    grown[: len(rows)] = rows
    return grown
