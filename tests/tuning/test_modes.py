"""Who applies what: a person in `recommend`, nobody with `read_only`; on real brokers."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from brokertuner_tui.knobs.catalogue import NAMES
from brokertuner_tui.tuning.commands import (
    ApplyBest,
    ApplyDefaults,
    ApplyProposal,
    Command,
    RestartBroker,
    Resume,
    SetKnob,
    SkipProposal,
    Stop,
)
from brokertuner_tui.tuning.events import (
    BrokerChanged,
    Confirmed,
    Notice,
    Proposed,
    RunFinished,
    RunStarted,
    State,
    StateChanged,
    TrialFinished,
    TrialKind,
)
from tests.broker.fake_units import FakeUnit
from tests.tuning.conftest import LATE, Bench
from tests.tuning.test_external import settings_for


def test_without_anybody_recommend_changes_nothing_and_takes_its_last_proposal_away(bench: Bench) -> None:
    session, reader = bench.start(bench.settings(mode="recommend", total_timesteps=3), workload=LATE)
    started = reader.wait_for(RunStarted)
    assert started.mode == "recommend"
    ended = reader.wait_for(RunFinished)
    assert (ended.state, ended.left, ended.trials) == (State.COMPLETED, "current", 3)
    assert [change.applied.how for change in reader.of(BrokerChanged)] == ["start"]
    assert all(trial.outcome.knobs == started.defaults for trial in reader.of(TrialFinished))
    assert not reader.of(Confirmed)
    proposals = reader.of(Proposed)
    assert [proposal.trial for proposal in proposals] == [2, 3, 4]
    assert all(proposal.changed for proposal in proposals)
    assert ended.conf_path is not None
    text = Path(ended.conf_path).read_text()
    assert all(f"{name} " in text for name in NAMES)
    assert f"max_inflight_messages {proposals[-1].knobs['max_inflight_messages']}" in text
    assert session.join(10)


def test_a_person_applies_a_proposal_or_has_another_made(bench: Bench) -> None:
    session, reader = bench.start(bench.settings(mode="recommend", total_timesteps=5), workload=LATE, keep_open=True)
    first = reader.wait_for(Proposed)
    paused = reader.wait_for(StateChanged, lambda event: event.state is State.PAUSED)
    assert paused.reason == "a proposal waits"
    session.send(SkipProposal())
    second = reader.wait_for(Proposed)
    assert second.knobs != first.knobs
    assert second.trial == first.trial
    answers: list[object] = []
    session.send(ApplyProposal(answers.append))
    applied = reader.wait_for(BrokerChanged, lambda event: "the proposal" in event.why).applied
    assert applied.knobs == second.knobs
    trial = reader.wait_for(TrialFinished)
    assert answers == [applied]
    assert trial.trial == second.trial
    assert trial.outcome.knobs == second.knobs
    assert trial.kind in (TrialKind.AGENT, TrialKind.WARM_UP)
    assert reader.wait_for(Proposed).trial == trial.trial + 1
    session.send(Resume())  # measures what is in force once more
    assert reader.wait_for(TrialFinished).outcome.knobs == second.knobs
    session.send(ApplyProposal())
    reader.wait_for(TrialFinished)
    session.send(Stop())
    ended = reader.wait_for(RunFinished)
    assert ended.left == "current", "what a person applied stays"


def test_read_only_refuses_whatever_would_change_the_broker(bench: Bench) -> None:
    session, reader = bench.start(
        bench.settings(read_only=True, total_timesteps=100, pin={"persistence": "on"}), workload=LATE, keep_open=True
    )
    started = reader.wait_for(RunStarted)
    assert started.read_only
    reader.wait_for(Proposed)
    reader.wait_for(StateChanged, lambda event: event.state is State.PAUSED)
    asked: tuple[Command, ...] = (
        SetKnob("autosave_interval", 60),
        ApplyProposal(),
        ApplyBest(),
        ApplyDefaults(),
        RestartBroker(),
    )
    for command in asked:
        session.send(command)
        assert "only reads" in reader.wait_for(Notice, lambda event: event.level == "error").message
    session.send(Stop(leave="best"))
    assert reader.wait_for(RunFinished).left == "current"
    changes = [event.applied for event in reader.of(BrokerChanged)]
    assert [applied.how for applied in changes] == ["start"]
    assert changes[0].knobs == started.defaults


@pytest.fixture
def unit(mosquitto: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeUnit:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    made = FakeUnit(tmp_path / "unit", mosquitto, included="max_queued_messages 500\n")
    for path in (made.main, *made.conf_d.iterdir(), made.conf_d):  # older than the process that reads it, beyond doubt
        os.utime(path, (time.time() - 60,) * 2)
    return made


def test_read_only_leaves_somebodys_broker_without_a_trace(unit: FakeUnit, bench: Bench) -> None:
    unit.start()
    try:
        before = {path: path.read_bytes() for path in unit.main.parent.rglob("*.conf")}
        pid = unit.pid
        _, reader = bench.start(settings_for(unit, bench, read_only=True, total_timesteps=2))
        ended = reader.wait_for(RunFinished)
        assert (ended.state, ended.left) == (State.COMPLETED, "current"), ended.reason
        assert {path: path.read_bytes() for path in unit.main.parent.rglob("*.conf")} == before
        assert unit.pid == pid
        trials = reader.of(TrialFinished)
        assert [trial.outcome.knobs["max_queued_messages"] for trial in trials] == [500, 500]
    finally:
        unit.stop()


def test_read_only_starts_nobodys_broker_and_finds_it_again(unit: FakeUnit, bench: Bench) -> None:
    unit.start()
    try:
        session, reader = bench.start(settings_for(unit, bench, read_only=True, total_timesteps=1000))
        reader.wait_for(TrialFinished)
        unit.stop()
        reader.wait_for(StateChanged, lambda event: event.state is State.PAUSED)
        time.sleep(1.0)
        assert unit.pid is None, "nobody started it"
        unit.start()
        reader.wait_for(StateChanged, lambda event: event.state is State.TUNING)
        reader.wait_for(TrialFinished, lambda event: event.outcome.window is not None)
        session.send(Stop())
        reader.wait_for(RunFinished)
    finally:
        unit.stop()
