"""A run on a broker that was there before us, by commands around a real Mosquitto."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brokertuner_tui.broker.command import CommandService
from brokertuner_tui.broker.service import Look
from brokertuner_tui.config.settings import BrokerSettings, CommandSettings, Settings
from brokertuner_tui.env.outcome import PhaseName, Verdict
from brokertuner_tui.tuning.commands import Stop
from brokertuner_tui.tuning.events import BrokerChanged, Notice, PhaseChanged, RunFinished, State, StateChanged, TrialFinished
from tests.broker.fake_units import FakeUnit
from tests.tuning.conftest import Bench


@pytest.fixture
def unit(mosquitto: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeUnit]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    made = FakeUnit(tmp_path / "unit", mosquitto, included="max_queued_messages 500\n")
    made.start()
    yield made
    made.stop()


def settings_for(unit: FakeUnit, bench: Bench, **tuning: Any) -> Settings:
    commands = CommandSettings(**{verb: unit.command(verb) for verb in ("restart", "reload", "pid", "log")})
    broker = BrokerSettings(kind="command", command=commands, main_config=unit.main, mosquitto=unit.mosquitto)
    return bench.settings(**tuning).model_copy(update={"broker": broker})


def test_a_run_ends_with_the_operators_own_values(unit: FakeUnit, bench: Bench) -> None:
    _, reader = bench.start(settings_for(unit, bench, total_timesteps=2, on_stop="default"))
    first = reader.wait_for(TrialFinished)
    assert first.outcome.knobs["max_queued_messages"] == 500, "the baseline is what the operator's config says"
    ended = reader.wait_for(RunFinished)
    assert (ended.state, ended.left) == (State.COMPLETED, "default")
    assert all(trial.outcome.verdict is Verdict.OK for trial in (first, *reader.of(TrialFinished)))
    assert unit.pid is not None, "let go, not ended"
    assert "max_queued_messages 500\n" in unit.knob_file.read_text()


def test_somebody_elses_restart_is_no_lesson(unit: FakeUnit, bench: Bench) -> None:
    session, reader = bench.start(settings_for(unit, bench, total_timesteps=50, step_interval_sec=2.0))
    reader.wait_for(TrialFinished)
    reader.wait_for(PhaseChanged, lambda event: event.phase is PhaseName.MEASURING)
    unit.stop()
    unit.start()
    disturbed = reader.wait_for(TrialFinished, lambda event: event.outcome.verdict is not Verdict.OK)
    assert disturbed.outcome.verdict is Verdict.INCONCLUSIVE
    assert reader.wait_for(TrialFinished, lambda event: event.outcome.verdict is Verdict.OK)
    session.send(Stop(leave="current"))
    reader.wait_for(RunFinished)


def test_stopped_on_purpose_it_is_waited_for(unit: FakeUnit, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    look = CommandService.look

    def as_systemd_would(service: CommandService) -> Look:
        seen = look(service)
        return seen if seen.active else Look(False, None, stopped_on_purpose=True)

    monkeypatch.setattr(CommandService, "look", as_systemd_would)
    session, reader = bench.start(settings_for(unit, bench, total_timesteps=50))
    reader.wait_for(TrialFinished)
    unit.stop()
    paused = reader.wait_for(StateChanged, lambda event: event.state is State.PAUSED)
    assert paused.reason == "somebody stopped the broker"
    assert "goes on by itself when it runs again" in reader.wait_for(Notice).message
    assert unit.pid is None, "nobody started it"
    unit.start()
    reader.wait_for(BrokerChanged, lambda event: "taken over" in event.why)
    reader.wait_for(StateChanged, lambda event: event.state is State.TUNING)
    session.send(Stop(leave="current"))
    reader.wait_for(RunFinished)


def test_a_pause_for_a_stopped_broker_minds_the_time_that_there_is(
    unit: FakeUnit, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = CommandService.look

    def as_systemd_would(service: CommandService) -> Look:
        seen = look(service)
        return seen if seen.active else Look(False, None, stopped_on_purpose=True)

    monkeypatch.setattr(CommandService, "look", as_systemd_would)
    _, reader = bench.start(settings_for(unit, bench, total_timesteps=5000, max_seconds=15.0))
    reader.wait_for(TrialFinished)
    unit.stop()
    reader.wait_for(StateChanged, lambda event: event.state is State.PAUSED)
    ended = reader.wait_for(RunFinished)
    assert (ended.state, ended.left) == (State.COMPLETED, "current")
    assert unit.pid is None, "nobody started it"
