"""A broker, and loads on it, ended with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from brokertuner_tui.broker.managed import ManagedBroker
from brokertuner_tui.knobs.catalogue import KnobValues, defaults
from brokertuner_tui.workload.builtin import BuiltinLoad
from brokertuner_tui.workload.profile import Profile

READY_S = 20.0


class Bench:
    """A managed broker and a built-in load."""

    def __init__(self, broker: ManagedBroker, load: BuiltinLoad) -> None:
        self.broker, self.load = broker, load

    def knobs(self, **changes: int | bool) -> KnobValues:
        """The defaults with changes."""
        return defaults(self.broker.version) | changes

    def start(self, profile: Profile, **knobs: int | bool) -> None:
        """Broker and load are up."""
        self.broker.start(self.knobs(**knobs))
        self.load.start(profile, self.broker.endpoint)
        self.load.wait_ready(READY_S)


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[Callable[[Path], Bench]]:
    """Makes a bench on a Mosquitto."""
    made: list[Bench] = []

    def make(mosquitto: Path) -> Bench:
        broker = ManagedBroker(mosquitto, tmp_path / f"broker {len(made)}")
        made.append(Bench(broker, BuiltinLoad(tmp_path / f"load {len(made)}")))
        return made[-1]

    yield make
    for bench in made:
        bench.load.stop()
        bench.broker.stop()


@pytest.fixture
def bench(make_bench: Callable[[Path], Bench], mosquitto: Path) -> Bench:
    """A bench on any Mosquitto."""
    return make_bench(mosquitto)
