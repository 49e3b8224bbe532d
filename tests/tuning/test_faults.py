"""Real processes dying under a session: it says what happened, recovers, and learns nothing from it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from brokertuner_tui.env.outcome import PhaseName, Verdict
from brokertuner_tui.tuning.events import (
    BrokerTrouble,
    LoadChanged,
    PhaseChanged,
    RunFinished,
    RunStarted,
    Sampled,
    State,
    TrialFinished,
)
from tests.tuning.conftest import Bench, Reader


def _pid_while_measuring(reader: Reader) -> int:
    reader.wait_for(PhaseChanged, lambda event: event.phase is PhaseName.MEASURING)
    pid = reader.wait_for(Sampled).sample.broker.pid
    assert pid is not None
    return pid


def test_a_broker_killed_in_mid_trial_is_brought_back_and_the_trial_teaches_nothing(bench: Bench) -> None:
    _, reader = bench.start(bench.settings(total_timesteps=1000, step_interval_sec=1.0))
    reader.wait_for(TrialFinished)
    os.kill(_pid_while_measuring(reader), signal.SIGKILL)
    trouble = reader.wait_for(BrokerTrouble)
    assert trouble.recovered
    assert "9" in trouble.message
    trial = reader.wait_for(TrialFinished, lambda event: event.verdict is not Verdict.OK)
    assert trial.verdict is Verdict.INCONCLUSIVE
    assert trial.reward is None
    assert reader.wait_for(TrialFinished).verdict is Verdict.OK


def test_a_generator_that_was_killed_is_started_again(bench: Bench) -> None:
    settings = bench.settings(total_timesteps=1000, step_interval_sec=0.5)
    settings = settings.model_copy(update={"load": settings.load.model_copy(update={"check_freq": 2})})
    _, reader = bench.start(settings)
    reader.wait_for(TrialFinished)
    pid = reader.wait_for(Sampled, lambda event: event.sample.load.pid is not None).sample.load.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert reader.wait_for(LoadChanged, lambda event: event.restarts == 1).restarts == 1
    reader.wait_for(TrialFinished, lambda event: event.verdict is Verdict.OK)
    assert all(trial.reward is None for trial in reader.of(TrialFinished) if trial.verdict is not Verdict.OK)


def test_a_setting_that_the_broker_dies_of_fails_with_its_own_words(bench: Bench) -> None:
    session, reader = bench.start(bench.settings(pin={"memory_limit": 1}))
    finished = reader.wait_for(RunFinished)
    assert session.join(10)
    assert finished.state is State.FAILED
    assert session.error is not None
    assert "memory_limit" in str(session.error) or "exit" in str(session.error)


def test_no_mosquitto_is_one_clear_line(bench: Bench, tmp_path: Path) -> None:
    session, reader = bench.start(bench.settings(mosquitto=tmp_path / "mosquitto"))
    finished = reader.wait_for(RunFinished)
    assert finished.state is State.FAILED
    assert str(tmp_path / "mosquitto") in finished.reason
    assert session.error is not None
    assert not (bench.folder / "runs").exists()


def test_a_folder_that_cannot_be_written_is_one_clear_line(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    _, reader = bench.start(folder=tmp_path / "file" / "data")
    finished = reader.wait_for(RunFinished)
    assert finished.state is State.FAILED
    assert str(tmp_path / "file") in finished.reason
    assert not reader.of(RunStarted)
