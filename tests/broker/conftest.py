"""A managed broker for a test, ended with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from brokertuner_tui.broker.managed import ManagedBroker

MakeBroker = Callable[..., ManagedBroker]


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[MakeBroker]:
    """Makes managed brokers in folders of their own (with a space in their path), and stops them all."""
    made: list[ManagedBroker] = []

    def make(mosquitto: Path, **options: Any) -> ManagedBroker:
        broker = ManagedBroker(mosquitto, options.pop("folder", tmp_path / f"broker {len(made)}"), **options)
        made.append(broker)
        return broker

    yield make
    for broker in made:
        broker.stop()
