"""Tuners in processes of their own, sessions in this one, and brokers that were there before them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.broker.fake_units import FakeUnit
from tests.faults.tuner import CONFIG, Tuner
from tests.tuning.conftest import bench as bench

StartTuner = Callable[..., Tuner]


@pytest.fixture
def tuner(tmp_path: Path, mosquitto: Path) -> Iterator[StartTuner]:
    """Starts headless tuners, with the folder `home` unless told otherwise; ends them all."""
    made: list[Tuner] = []

    def start(*words: str, home: Path | None = None, **options: Any) -> Tuner:
        given = options.pop("mosquitto", mosquitto)
        made.append(Tuner(home or tmp_path / "home", given, *words, **options))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture
def unit(mosquitto: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeUnit]:
    """A broker that was there before the tuner, and outlives it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home" / "state"))
    made = FakeUnit(tmp_path / "unit", mosquitto, included="max_queued_messages 500\n")
    made.start()
    yield made
    made.misbehave("fail restart")  # a tuner that is still there must not bring it back
    made.stop()


def config_of(unit: FakeUnit) -> str:
    """The config of a tuner for that broker."""
    verbs = "\n".join(f"{verb} = {unit.command(verb)!r}" for verb in ("restart", "reload", "pid", "log"))
    return f'{CONFIG}[broker]\nkind = "command"\nmain_config = "{unit.main}"\n[broker.command]\n{verbs}\n'
