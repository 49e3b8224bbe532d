"""A session whose broker's config is changed behind its back, on a real one: it stands back, and does what it is told."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brokertuner_tui.broker.interface import Applied
from brokertuner_tui.config.settings import BrokerSettings, CommandSettings, Settings
from brokertuner_tui.env.outcome import PhaseName, Verdict
from brokertuner_tui.errors import ExitCode, TunerError
from brokertuner_tui.knobs.conf import render
from brokertuner_tui.tuning.commands import Reconcile, Resume, Step, Stop
from brokertuner_tui.tuning.events import (
    BrokerChanged,
    Drifted,
    Notice,
    PhaseChanged,
    Proposed,
    RunFinished,
    RunStarted,
    Sampled,
    State,
    StateChanged,
    TrialFinished,
    TrialKind,
)
from brokertuner_tui.tuning.session import TuningSession
from tests.broker.fake_units import FakeUnit
from tests.tuning.conftest import Bench, Reader

LONG: dict[str, Any] = {"total_timesteps": 50, "step_interval_sec": 2.0}


@pytest.fixture
def unit(mosquitto: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeUnit]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    made = FakeUnit(tmp_path / "unit", mosquitto)
    made.start()
    yield made
    made.stop()


def settings_for(unit: FakeUnit, bench: Bench, **tuning: Any) -> Settings:
    commands = CommandSettings(**{verb: unit.command(verb) for verb in ("restart", "reload", "pid", "log")})
    broker = BrokerSettings(kind="command", command=commands, main_config=unit.main, mosquitto=unit.mosquitto)
    return bench.settings(**tuning).model_copy(update={"broker": broker})


def knob_file(session: TuningSession) -> Path:
    assert session.testbed is not None
    folder: Path = session.testbed.broker.folder  # type: ignore[attr-defined]
    return folder / "conf.d" / "broker_tuner.conf"


def set_by_hand(path: Path, knob: str, value: str) -> bytes:
    """As an editor does; gives what is there now."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith(f"{knob} ")]
    path.write_text("\n".join([*lines, f"{knob} {value}"]) + "\n")
    return path.read_bytes()


def in_a_window(reader: Reader) -> None:
    reader.wait_for(PhaseChanged, lambda event: event.phase is PhaseName.MEASURING)


def test_theirs_is_accepted_and_measured_as_the_operators(bench: Bench) -> None:
    session, reader = bench.start(bench.settings(**LONG), keep_open=True)
    in_a_window(reader)
    theirs = set_by_hand(knob_file(session), "message_size_limit", "7777")
    began = time.monotonic()
    drifted = reader.wait_for(Drifted)
    assert time.monotonic() - began < 10.0
    assert ("message_size_limit", "7777") in [(one.name, one.theirs) for one in drifted.differences]
    disturbed = reader.wait_for(TrialFinished)
    assert disturbed.outcome.verdict is Verdict.INCONCLUSIVE
    assert disturbed.reward is None
    assert "changed behind our back" in disturbed.outcome.reason
    paused = reader.wait_for(StateChanged, lambda event: event.state is State.PAUSED)
    assert "message_size_limit" in paused.reason
    for command in (Resume(), Step()):
        session.send(command)
        assert "say first which of the two counts" in reader.wait_for(Notice, lambda event: event.level == "error").message
    assert knob_file(session).read_bytes() == theirs, "nothing was written over it"
    answers: list[Applied | TunerError] = []
    session.send(Reconcile("theirs", answers.append))
    assert reader.wait_for(Drifted).differences == ()
    measured = reader.wait_for(TrialFinished)
    assert (measured.kind, measured.outcome.verdict) == (TrialKind.MANUAL, Verdict.OK)
    assert measured.outcome.knobs["message_size_limit"] == 7777
    (answer,) = answers
    assert isinstance(answer, Applied)
    session.send(Reconcile("ours", answers.append))
    assert "nothing to reconcile" in reader.wait_for(Notice, lambda event: event.level == "error").message
    assert isinstance(answers[1], TunerError)
    session.send(Stop(leave="current"))
    reader.wait_for(RunFinished)


def test_ours_is_brought_back(bench: Bench) -> None:
    session, reader = bench.start(bench.settings(**LONG), keep_open=True)
    started = reader.wait_for(RunStarted)
    in_a_window(reader)
    ours = knob_file(session).read_bytes()
    set_by_hand(knob_file(session), "max_inflight_messages", "9")
    reader.wait_for(StateChanged, lambda event: event.state is State.PAUSED)
    session.send(Reconcile("ours"))
    changed = reader.wait_for(BrokerChanged, lambda event: "ours again" in event.why)
    assert changed.applied.knobs == started.defaults
    assert reader.wait_for(Drifted).differences == ()
    assert knob_file(session).read_bytes() == ours
    reader.wait_for(StateChanged, lambda event: event.state is State.TUNING)
    in_a_window(reader)
    set_by_hand(knob_file(session), "max_inflight_messages", "9")
    reader.wait_for(StateChanged, lambda event: event.state is State.PAUSED)
    knob_file(session).write_bytes(ours)  # whoever it was has thought better of it
    assert reader.wait_for(Drifted, lambda event: not event.differences)
    reader.wait_for(StateChanged, lambda event: event.state is State.TUNING)
    set_by_hand(knob_file(session), "max_inflight_messages", "9")
    reader.wait_for(Drifted)
    theirs = knob_file(session).read_bytes()
    session.send(Stop(leave="default"))
    ended = reader.wait_for(RunFinished)
    assert (ended.state, ended.left) == (State.CANCELLED, "current")
    assert "max_inflight_messages: 20 -> 9" in ended.reason
    assert theirs == (Path(started.save_dir) / "runs" / ended.run / "broker/conf.d/broker_tuner.conf").read_bytes()


def test_without_anybody_the_run_ends_and_the_broker_is_left_as_it_is(unit: FakeUnit, bench: Bench) -> None:
    session, reader = bench.start(settings_for(unit, bench, **LONG))
    in_a_window(reader)
    theirs = set_by_hand(unit.knob_file, "message_size_limit", "7777")
    pid = unit.pid
    assert pid is not None
    os.kill(pid, signal.SIGHUP)
    ended = reader.wait_for(RunFinished)
    assert (ended.state, ended.left) == (State.FAILED, "current")
    assert "message_size_limit: 0 -> 7777" in ended.reason
    assert session.join(10.0)
    assert unit.knob_file.read_bytes() == theirs
    assert unit.pid == pid, "neither restarted nor ended"
    assert getattr(session.error, "exit_code", ExitCode.FAILED) == ExitCode.FAILED


def test_a_run_never_takes_its_own_changes_for_somebody_elses(unit: FakeUnit, bench: Bench) -> None:
    _, reader = bench.start(settings_for(unit, bench, total_timesteps=5))
    ended = reader.wait_for(RunFinished)
    assert ended.state is State.COMPLETED
    assert reader.of(Drifted) == []


@pytest.mark.parametrize("seen_down", [False, True], ids=["restarted", "stopped and started"])
def test_a_proposal_that_a_person_applied_by_hand_is_measured(unit: FakeUnit, bench: Bench, seen_down: bool) -> None:
    session, reader = bench.start(settings_for(unit, bench, mode="recommend", total_timesteps=50), keep_open=True)
    proposed = reader.wait_for(Proposed)
    reader.wait_for(StateChanged, lambda event: event.state is State.PAUSED)
    unit.knob_file.write_text(render(proposed.knobs))
    reader.wait_for(Drifted)
    time.sleep(0.1)  # a broker that was started within the same tick of the clock may have read the file as it was before
    unit.stop()
    if seen_down:
        reader.wait_for(Sampled, lambda event: event.sample.broker.state == "failed")
    unit.start()
    applied = reader.wait_for(BrokerChanged, lambda event: "applied by hand" in event.why)
    assert (applied.applied.how, applied.applied.pid) == ("none", unit.pid)
    reader.wait_for(Drifted, lambda event: event.differences == ())
    measured = reader.wait_for(TrialFinished)
    assert measured.outcome.knobs == proposed.knobs
    assert measured.outcome.verdict is Verdict.OK
    assert unit.knob_file.read_text() == render(proposed.knobs), "nobody else has written it"
    session.send(Stop(leave="current"))
    reader.wait_for(RunFinished)
