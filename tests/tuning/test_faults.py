"""A session that cannot begin, or cannot go on, says why in one line (what dies under it: tests/faults)."""

from __future__ import annotations

from pathlib import Path

from brokertuner_tui.tuning.events import RunFinished, RunStarted, State
from tests.tuning.conftest import Bench


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
