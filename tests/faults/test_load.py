"""Rows 15 to 19: the load dies, hangs, or brings nothing; the broker's own figures are missing or old."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from brokertuner_tui.config.settings import Settings
from brokertuner_tui.env.outcome import PhaseName, Verdict
from brokertuner_tui.tuning.commands import Pause
from brokertuner_tui.tuning.events import LoadChanged, PhaseChanged, Sampled, State, TrialFinished
from tests.faults.catalogue import row
from tests.faults.sessions import until_it_ends, with_broker
from tests.tuning.conftest import Bench, Reader


def patient(bench: Bench) -> Settings:
    """A session whose load is looked after at every second trial."""
    settings = bench.settings(total_timesteps=1000, step_interval_sec=0.5)
    return settings.model_copy(update={"load": settings.load.model_copy(update={"check_freq": 2})})


def load_pid(reader: Reader) -> int:
    """Of the generator, while something is measured."""
    reader.wait_for(PhaseChanged, lambda event: event.phase is PhaseName.MEASURING)
    pid = reader.wait_for(Sampled, lambda event: event.sample.load.pid is not None).sample.load.pid
    assert pid is not None
    return pid


@row(15)
def test_killed(bench: Bench) -> None:
    _, reader = bench.start(patient(bench))
    reader.wait_for(TrialFinished)
    os.kill(load_pid(reader), signal.SIGKILL)
    dropped = reader.wait_for(TrialFinished)
    assert (dropped.verdict, dropped.reward) == (Verdict.INCONCLUSIVE, None)
    reader.wait_for(TrialFinished, lambda event: event.verdict is Verdict.OK)
    assert any(event.restarts == 1 for event in reader.of(LoadChanged))
    assert all(trial.reward is None for trial in reader.of(TrialFinished) if trial.verdict is not Verdict.OK)


@row(16)
def test_hung(bench: Bench) -> None:
    _, reader = bench.start(patient(bench))
    reader.wait_for(TrialFinished)
    pid = load_pid(reader)
    stopped_at = time.time()
    os.kill(pid, signal.SIGSTOP)
    dropped = reader.wait_for(TrialFinished)
    assert (dropped.verdict, dropped.reward) == (Verdict.INCONCLUSIVE, None)
    assert dropped.at - stopped_at < 15.0
    again = reader.wait_for(TrialFinished, lambda event: event.verdict is Verdict.OK)
    assert again.outcome.window is not None
    status = reader.wait_for(Sampled, lambda event: event.sample.load.pid is not None).sample.load
    assert status.pid != pid
    assert any(event.restarts == 1 for event in reader.of(LoadChanged))


@row(17)
def test_not_one_message_arrives(bench: Bench, tmp_path: Path) -> None:
    """Publishers and subscribers do not meet: the broker takes everything and has nobody to pass it on to."""
    (tmp_path / "acl").write_text("topic read #\ntopic read $SYS/#\n")
    (tmp_path / "acl").chmod(0o600)
    (tmp_path / "extra.conf").write_text(f"acl_file {tmp_path}/acl\n")
    settings = with_broker(bench.settings(total_timesteps=2, max_seconds=30), extra_conf=tmp_path / "extra.conf")
    session, reader = bench.start(settings)
    ended = until_it_ends(reader)
    assert session.join(10)
    trials = reader.of(TrialFinished)
    assert trials or ended.state is State.FAILED
    for trial in trials:
        assert (trial.verdict, trial.reward) == (Verdict.INCONCLUSIVE, None), trial.outcome
        assert trial.outcome.reason
    assert ended.best is None


@row(18)
def test_nothing_under_sys(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "extra.conf").write_text("sys_interval 0\n")
    settings = with_broker(bench.settings(total_timesteps=1000), extra_conf=tmp_path / "extra.conf")
    session, reader = bench.start(settings)
    trial = reader.wait_for(TrialFinished, lambda event: event.verdict is Verdict.OK)
    assert trial.reward is not None, "the load's own measurements do not need it"
    session.send(Pause())  # no restarts: each is a new connection, of which nothing is known yet
    sample = reader.wait_for(Sampled, lambda event: "switched off" in event.sample.sys.reason).sample
    assert sample.sys.stale
    assert (sample.sys.received_per_s, sample.sys.sent_per_s) == (0.0, 0.0)


@row(19)
def test_what_sys_says_is_old(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "extra.conf").write_text("sys_interval 60\n")
    settings = with_broker(bench.settings(total_timesteps=1000), extra_conf=tmp_path / "extra.conf")
    session, reader = bench.start(settings)
    reader.wait_for(TrialFinished)
    session.send(Pause())
    sample = reader.wait_for(Sampled, lambda event: bool(event.sample.sys.raw)).sample
    assert sample.sys.stale, "what is retained has no known age"
    assert (sample.sys.received_per_s, sample.sys.sent_per_s) == (0.0, 0.0)
