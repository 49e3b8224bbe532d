"""A short session on a real broker, and a reader of its events."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from brokertuner_tui.config.settings import BrokerSettings, LoadSettings, Settings, TuningSettings
from brokertuner_tui.tuning.commands import Stop
from brokertuner_tui.tuning.events import Event, RunFinished
from brokertuner_tui.tuning.session import TuningSession
from brokertuner_tui.workload.profile import Profile, Workload

E = TypeVar("E", bound=Event)
DEADLINE_S = 60.0

SMALL = Workload.steady(
    Profile("small", publishers=2, subscribers=2, topics=2, qos=1, payload_bytes=64, rate=200, window=100, slo_ms=50)
)
LATE = Workload.steady(replace(SMALL.phases[0].profile, name="late", slo_ms=0.02))
"""Whatever is in force, next to nothing is in time: there is always something to look for."""


class Reader:
    """Keeps every event of a session, and waits for those to come."""

    def __init__(self, session: TuningSession) -> None:
        self.seen: list[Event] = []
        self._subscription = session.events.subscribe()

    def wait_for(self, kind: type[E], fits: Callable[[E], bool] = lambda _: True) -> E:
        """The next event of this kind that fits, from now on."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            event = self._subscription.get(0.2)
            if event is None:
                continue
            self.seen.append(event)
            if isinstance(event, kind) and fits(event):
                return event
            if isinstance(event, RunFinished):
                raise AssertionError(f"the run ended while waiting for {kind.__name__}: {event}")
        raise AssertionError(f"no {kind.__name__} in {DEADLINE_S} s; seen: {self.seen[-5:]}")

    def of(self, kind: type[E]) -> list[E]:
        """What was seen of this kind so far."""
        self.seen.extend(self._subscription.drain())
        return [event for event in self.seen if isinstance(event, kind)]


class Bench:
    """Makes sessions, and ends them all."""

    def __init__(self, mosquitto: Path, folder: Path) -> None:
        self._mosquitto = mosquitto
        self.folder = folder
        self._sessions: list[TuningSession] = []

    def settings(self, mosquitto: Path | None = None, generator: str = "builtin", **tuning: Any) -> Settings:
        """Short windows; anything of `[tuning]` by name."""
        quick = {
            "total_timesteps": 4,
            "step_interval_sec": 0.2,
            "settle_sec": 0.05,
            "confirm_windows": 2,
            "ablation_windows": 0,
            "start_wait_sec": 0.2,
        }
        return Settings(
            broker=BrokerSettings(mosquitto=mosquitto or self._mosquitto),
            load=LoadSettings.model_validate({"generator": generator, "workload": "small", "ready_sec": 5.0}),
            tuning=TuningSettings.model_validate(quick | tuning),
        )

    def start(
        self,
        settings: Settings | None = None,
        *,
        workload: Workload = SMALL,
        keep_open: bool = False,
        folder: Path | None = None,
        **options: Any,
    ) -> tuple[TuningSession, Reader]:
        """A session that runs, and the reader of its events."""
        session = TuningSession(settings or self.settings(), workload, folder or self.folder, keep_open=keep_open, **options)
        reader = Reader(session)
        self._sessions.append(session)
        session.start()
        return session, reader

    def close(self) -> None:
        """Ends every session."""
        for session in self._sessions:
            session.send(Stop(leave="current"))
        for session in self._sessions:
            assert session.join(DEADLINE_S), "a session did not end"


@pytest.fixture
def bench(mosquitto_2_0_21: Path, tmp_path: Path) -> Iterator[Bench]:
    """Sessions on a real Mosquitto with their results under a temporary folder."""
    made = Bench(mosquitto_2_0_21, tmp_path / "data")
    yield made
    made.close()
