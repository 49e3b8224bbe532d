"""A whole session on a real Mosquitto under a real load: what it does, and what it leaves."""

from __future__ import annotations

from pathlib import Path

from brokertuner_tui.agent.ddpg import DDPG
from brokertuner_tui.env.outcome import Verdict
from brokertuner_tui.knobs.catalogue import NAMES
from brokertuner_tui.store.store import Store
from brokertuner_tui.tuning.commands import Stop
from brokertuner_tui.tuning.events import (
    BrokerChanged,
    Confirmed,
    Explained,
    RunFinished,
    RunStarted,
    State,
    StateChanged,
    TrialFinished,
    TrialKind,
)
from tests.tuning.conftest import Bench


def test_a_run_from_start_to_end(bench: Bench) -> None:
    session, reader = bench.start()
    started = reader.wait_for(RunStarted)
    first = reader.wait_for(TrialFinished)
    with Store.open(bench.folder / "store.db", read_only=True) as store:
        assert [row.number for row in store.trials(started.run)][:1] == [1], "told before it was kept"
    finished = reader.wait_for(RunFinished)
    assert session.join(10)
    trials = reader.of(TrialFinished)
    confirmed = reader.of(Confirmed)

    assert finished.state is State.COMPLETED
    assert [trial.trial for trial in trials] == [1, 2, 3, 4]
    assert first.kind is TrialKind.DEFAULT
    assert all(trial.verdict is Verdict.OK for trial in trials)
    assert all(trial.reward is not None and set(trial.outcome.knobs) == set(NAMES) for trial in trials)
    assert first.outcome.window is not None
    assert first.outcome.window.on_time > 0
    assert len(confirmed) == 1
    assert confirmed[0].default.windows == confirmed[0].best.windows == 2
    assert finished.default == confirmed[0].default
    assert finished.left in ("best", "default")
    (explained,) = reader.of(Explained)
    assert explained.trials == 4
    assert [(load.profile, load.verdict) for load in explained.loads] == [(first.outcome.profile.name, "not enough")]
    with Store.open(bench.folder / "store.db", read_only=True) as store:
        kept = store.insight(started.run)
    assert kept is not None
    assert (kept.trials, kept.loads) == (4, explained.loads)
    states = [event.state for event in reader.of(StateChanged)]
    assert states == [State.TUNING, State.CONFIRMING, State.STOPPING, State.COMPLETED]


def test_what_a_run_leaves_on_disk(bench: Bench) -> None:
    session, reader = bench.start()
    finished = reader.wait_for(RunFinished)
    assert session.join(10)
    with Store.open(bench.folder / "store.db", read_only=True) as store:
        row, trials = store.run("last"), store.trials(finished.run)
    assert row.state == "completed"
    assert row.trials == len(trials) == 4
    assert row.best == finished.best
    assert all(trial.window is not None and trial.timings.measure_s > 0.15 and trial.pid for trial in trials)
    assert len((bench.folder / "logs" / "progress.csv").read_text().splitlines()) == 5
    assert len((bench.folder / "action_throughput_log.csv").read_text().splitlines()) == 5
    loaded = DDPG.load(bench.folder / "checkpoints" / finished.run)
    assert loaded.buffer_size == 4
    assert finished.conf_path is not None
    assert "max_inflight_messages" in Path(finished.conf_path).read_text()


def test_stop_in_the_middle_puts_the_defaults_back_and_says_so(bench: Bench) -> None:
    session, reader = bench.start(bench.settings(total_timesteps=1000))
    defaults = reader.wait_for(RunStarted).defaults
    reader.wait_for(TrialFinished, lambda event: event.trial == 3)
    session.send(Stop())
    finished = reader.wait_for(RunFinished)
    assert finished.state is State.CANCELLED
    assert finished.left == "default"
    assert "confirmed" in finished.reason
    assert reader.of(BrokerChanged)[-1].applied.knobs == defaults


def test_a_time_limit_ends_the_run_with_a_confirmation(bench: Bench) -> None:
    session, reader = bench.start(bench.settings(total_timesteps=100_000, max_seconds=8.0))
    finished = reader.wait_for(RunFinished)
    assert session.join(10)
    assert finished.state is State.COMPLETED
    assert finished.best is not None
    assert 1 < finished.trials < 100
    assert finished.seconds < 30


def test_two_runs_with_one_seed_try_the_same_first_settings(bench: Bench) -> None:
    tried = []
    for name in ("a", "b"):
        # The default does so well under this load that the agent stays with it for a while.
        session, reader = bench.start(bench.settings(total_timesteps=7, exploration=1.0), folder=bench.folder / name)
        reader.wait_for(RunFinished)
        assert session.join(10)
        tried.append([dict(trial.outcome.knobs) for trial in reader.of(TrialFinished)][:6])
    assert tried[0] == tried[1]
    assert tried[0][0] != tried[0][5]
