"""A session whose results go to a PostgreSQL that dies under it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from brokertuner_tui.config.settings import Settings, StoreSettings
from brokertuner_tui.errors import ExitCode
from brokertuner_tui.store.errors import StoreAway
from brokertuner_tui.tuning.commands import Stop
from brokertuner_tui.tuning.events import Notice, RunFinished, State, StateChanged, TrialFinished
from tests.postgres import Postgres
from tests.tuning.conftest import Bench

LONG_S = 2.0
"""Nothing but a wait for a connection takes as long, not even fsync on a busy machine."""


@pytest.fixture
def killed(postgres: Postgres) -> Iterator[Postgres]:
    """The server, which is up again after the test."""
    yield postgres
    if not postgres.processes():
        postgres.start()


def _settings(bench: Bench, url: str, store: dict[str, Any] | None = None, **tuning: Any) -> Settings:
    given: dict[str, Any] = {"url": url, "connect_wait_sec": 0.1} | (store or {})
    return bench.settings(**tuning).model_copy(update={"store": StoreSettings.model_validate(given)})


def test_killed_in_mid_run_trials_go_on_and_all_are_there_at_the_end(bench: Bench, killed: Postgres, database: str) -> None:
    session, reader = bench.start(_settings(bench, database, total_timesteps=8))
    reader.wait_for(TrialFinished, lambda event: event.trial == 2)
    killed.kill()
    reader.wait_for(Notice, lambda event: "is away; results are kept on this machine" in event.message)
    reader.wait_for(TrialFinished, lambda event: event.trial == 5)
    killed.start()
    finished = reader.wait_for(RunFinished)
    assert session.join(30)
    assert finished.state is State.COMPLETED
    trials = reader.of(TrialFinished)
    assert [event.trial for event in trials] == list(range(1, 9))
    assert max(event.outcome.timings.record_s for event in trials) < LONG_S
    kept = killed.execute("SELECT number, verdict FROM trials ORDER BY number", database)
    assert kept == [(event.trial, str(event.verdict)) for event in trials]
    assert killed.execute("SELECT id, state, best_trial IS NOT NULL FROM runs", database) == [(finished.run, "completed", True)]
    assert killed.execute("SELECT count(*) FROM confirming_windows", database)[0][0] > 0
    assert finished.conf_path is not None


def test_still_away_at_the_end_the_config_is_written_and_the_next_session_brings_all(
    bench: Bench, killed: Postgres, database: str
) -> None:
    settings = _settings(bench, database, total_timesteps=3)
    session, reader = bench.start(settings)
    reader.wait_for(TrialFinished)
    killed.kill()
    finished = reader.wait_for(RunFinished)
    assert session.join(30)
    assert (finished.state, finished.trials) == (State.COMPLETED, 3)
    assert finished.conf_path is not None  # from what the session knows
    assert any("the next session" in event.message for event in reader.of(Notice))
    killed.start()
    again, reader = bench.start(_settings(bench, database, total_timesteps=1))
    reader.wait_for(RunFinished)
    assert again.join(30)
    states = killed.execute("SELECT state, (SELECT count(*) FROM trials WHERE run = id) FROM runs ORDER BY id", database)
    assert states == [("completed", 3), ("completed", 1)]


def test_away_at_the_start(bench: Bench, killed: Postgres, database: str) -> None:
    killed.kill()
    session, reader = bench.start(_settings(bench, database, {"connect_attempts": 3}))
    finished = reader.wait_for(RunFinished)
    assert session.join(30)
    assert finished.state is State.FAILED
    assert "3 attempts" in finished.reason
    assert [event.level for event in reader.of(Notice)] == ["warning", "warning"]
    assert isinstance(session.error, StoreAway)
    assert session.error.exit_code is ExitCode.CONNECTION


def test_a_stop_ends_the_waiting_for_a_database(bench: Bench, killed: Postgres, database: str) -> None:
    killed.kill()
    session, reader = bench.start(_settings(bench, database, {"connect_wait_sec": 500.0}))
    reader.wait_for(Notice, lambda event: "attempt 1 of 5" in event.message)
    session.send(Stop())
    assert "stopped while waiting" in reader.wait_for(RunFinished).reason
    assert session.join(30)


def test_a_full_spool_pauses_and_goes_on_by_itself(
    bench: Bench, killed: Postgres, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brokertuner_tui.store.spool.MAX_RECORDS", 8)
    session, reader = bench.start(_settings(bench, database, total_timesteps=9))
    reader.wait_for(TrialFinished)
    killed.kill()
    reader.wait_for(StateChanged, lambda event: event.state is State.PAUSED)
    assert "goes on by itself" in reader.wait_for(Notice, lambda event: event.message.startswith("paused")).message
    killed.start()
    reader.wait_for(StateChanged, lambda event: event.state is State.TUNING)
    finished = reader.wait_for(RunFinished)
    assert session.join(30)
    assert finished.trials == 9
    assert killed.execute("SELECT count(*) FROM trials", database) == [(9,)]
