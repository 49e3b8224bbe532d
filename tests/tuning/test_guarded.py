"""The guard in a session on a real broker: what breaks the SLO is rolled back at once, and never stays."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from brokertuner_tui.config.settings import GuardSettings, Settings
from brokertuner_tui.errors import ExitCode, UsageError
from brokertuner_tui.knobs.catalogue import defaults, needs_restart
from brokertuner_tui.tuning.commands import ApplyBest, Pause, Pin, Resume, SetKnob, SetKnobs, Step, Stop
from brokertuner_tui.tuning.events import (
    BrokerChanged,
    Judged,
    Notice,
    RestartsLeft,
    RunFinished,
    SloVerdict,
    State,
    StateChanged,
    TrialFinished,
)
from brokertuner_tui.workload.profile import Profile, Workload
from tests.tuning.conftest import Bench

# Each client acknowledges after 20 ms: 20 messages in flight are enough for 100 a second, one is not.
FAR = Workload.steady(
    Profile("far", publishers=1, subscribers=1, qos=1, rate=200, window=200, client_rtt_ms=20, slo_ms=100, payload_bytes=64)
)
STRANGLED = {"max_inflight_messages": 1, "max_queued_messages": 100_000}


def guarded(bench: Bench, guard: dict[str, Any], **tuning: Any) -> Settings:
    """Short windows, with an SLO."""
    return bench.settings(**{"total_timesteps": 1000} | tuning).model_copy(
        update={"guard": GuardSettings.model_validate(guard)}
    )


def test_a_breach_is_rolled_back_and_verified_within_a_second_of_the_window_and_never_comes_back(bench: Bench) -> None:
    session, reader = bench.start(guarded(bench, {"on_time_share": 0.9}, step_interval_sec=0.5), workload=FAR)
    first = reader.wait_for(TrialFinished)
    assert first.outcome.window is not None
    assert first.outcome.window.share_in_time > 0.95
    good = first.outcome.knobs
    session.send(Pause())
    reader.wait_for(StateChanged, lambda event: event.state is State.PAUSED)
    time.sleep(0.8)  # the window that was being measured ends
    good = reader.of(TrialFinished)[-1].outcome.knobs
    session.send(SetKnobs(STRANGLED))
    reader.wait_for(BrokerChanged, lambda event: "operator" in event.why)
    session.send(Step())
    judged = reader.wait_for(Judged)
    assert (judged.verdict, judged.rolled_back) == (SloVerdict.FAIL, True)
    assert "deliveries in time" in judged.reasons[0]
    back = reader.wait_for(BrokerChanged)
    assert "rolled back" in back.why
    assert back.applied.knobs == good
    assert back.applied.checks
    notice = reader.wait_for(Notice, lambda event: "the SLO was broken" in event.message)
    took = re.search(r"([\d.]+) s after the window", notice.message)
    assert took is not None
    assert float(took[1]) < 0.5 + 1.0, "one window and a second"
    trial = reader.wait_for(TrialFinished)
    assert trial.outcome.knobs["max_inflight_messages"] == 1
    assert trial.outcome.window is not None, "what was measured is kept"
    assert not trial.is_best
    assert trial.reward is not None
    assert trial.reward < 0, "its neighbours shall not look good"
    session.send(ApplyBest())
    reader.wait_for(BrokerChanged)
    session.send(Stop(leave="current"))
    ended = reader.wait_for(RunFinished)
    assert ended.left == "current"
    assert all(event.applied.knobs["max_inflight_messages"] != 1 for event in reader.of(BrokerChanged)[-1:])


def test_what_was_not_confirmed_is_not_left_in_force(bench: Bench) -> None:
    session, reader = bench.start(guarded(bench, {"on_time_share": 0.9}), workload=FAR)
    good = reader.wait_for(TrialFinished).outcome.knobs
    session.send(Pause())
    reader.wait_for(StateChanged, lambda event: event.state is State.PAUSED)
    time.sleep(0.5)
    good = reader.of(TrialFinished)[-1].outcome.knobs
    session.send(SetKnob("max_inflight_messages", 1))
    reader.wait_for(BrokerChanged, lambda event: "operator" in event.why)
    session.send(Stop(leave="current"))
    assert "not confirmed" in reader.wait_for(RunFinished).reason
    assert reader.of(BrokerChanged)[-1].applied.knobs == good


def test_a_limit_that_nobody_measures_ends_a_run_without_anybody_and_pauses_one_with(bench: Bench, tmp_path: Path) -> None:
    workload = Workload.steady(Profile("one", publishers=1, subscribers=0, rate=200, qos=0))  # nothing can be late
    settings = guarded(bench, {"p99_ms": 20, "inconclusive_limit": 2})
    session, reader = bench.start(settings, workload=workload)
    ended = reader.wait_for(RunFinished)
    assert (ended.state, ended.left) == (State.FAILED, "current")
    assert "cannot be told, 2 times in a row: p99 latency: not measured" in ended.reason
    session, reader = bench.start(settings, workload=workload, keep_open=True, folder=tmp_path / "other")
    paused = reader.wait_for(StateChanged, lambda event: event.state is State.PAUSED)
    assert "cannot be told" in paused.reason
    session.send(Resume())
    reader.wait_for(StateChanged, lambda event: event.state is State.TUNING)
    free = guarded(bench, {"p99_ms": 20, "inconclusive_limit": 2}, mode="autonomous", total_timesteps=4)
    _, reader = bench.start(free, workload=workload, folder=tmp_path / "third")
    assert len([reader.wait_for(TrialFinished) for _ in range(4)]) == 4, "autonomous: it never waits"


def test_a_step_into_a_trap_is_refused_and_nothing_is_touched(bench: Bench) -> None:
    qos2 = Workload.steady(Profile("qos2", publishers=1, subscribers=1, qos=2, rate=100, window=50, payload_bytes=500))
    session, reader = bench.start(bench.settings(total_timesteps=1000), workload=qos2)
    reader.wait_for(TrialFinished)
    session.send(Pause())
    reader.wait_for(StateChanged, lambda event: event.state is State.PAUSED)
    time.sleep(0.5)
    changes = len(reader.of(BrokerChanged))
    for command, word in (
        (SetKnob("max_packet_size", 100), "disconnected"),
        (SetKnob("max_packet_size", 0), "does not start"),
        (SetKnob("memory_limit", 100_000), "heap holds"),
        (SetKnob("memory_limit", 2**31), "wrap around"),
        (SetKnob("max_queued_messages", 0), "2.0.21"),
        (SetKnob("max_inflight_messages", 10), "QoS 2"),
        (Pin("max_inflight_messages", 10), "QoS 2"),
    ):
        session.send(command)
        notice = reader.wait_for(Notice)
        assert notice.level == "error"
        assert word in notice.message
        assert "\n" not in notice.message
    assert len(reader.of(BrokerChanged)) == changes


def test_a_pin_that_is_a_trap_ends_the_start(bench: Bench) -> None:
    session, _ = bench.start(bench.settings(pin={"max_packet_size": "100"}))
    assert session.join(20)
    assert isinstance(session.error, UsageError)
    assert session.error.exit_code == ExitCode.USAGE
    assert "tuning.pin.max_packet_size = 100 is refused" in str(session.error)
    assert not (bench.folder / "store.db").exists()


def test_without_restarts_left_only_what_a_reload_can_change_is_tried(bench: Bench) -> None:
    session, reader = bench.start(bench.settings(total_timesteps=8, restarts_per_hour=1))
    left = [reader.wait_for(RestartsLeft).left for _ in range(2)]
    assert left == [1, 0]
    ended = reader.wait_for(RunFinished)
    changes = [event.applied for event in reader.of(BrokerChanged)] + [
        event.outcome.applied for event in reader.of(TrialFinished) if event.outcome.applied is not None
    ]
    assert len([applied for applied in changes if applied.how == "restart"]) == 1
    assert ended.broker_restarts == 1
    assert ended.left == "current"
    assert "needs a restart" in ended.reason
    assert session.join(10)


def test_in_quiet_hours_there_is_no_restart_at_all(bench: Bench) -> None:
    _, reader = bench.start(bench.settings(total_timesteps=5, no_restarts=["00:00-24:00"]))
    ended = reader.wait_for(RunFinished)
    assert ended.broker_restarts == 0
    trials = reader.of(TrialFinished)
    assert all(not needs_restart(defaults((2, 0, 21)), trial.outcome.knobs) for trial in trials)
    assert reader.of(RestartsLeft)[0].left is None
    assert "no restarts" in reader.of(RestartsLeft)[0].why


@pytest.mark.parametrize("keep_open", [False])
def test_a_paused_run_without_anybody_ends_when_its_time_is_up(bench: Bench, keep_open: bool) -> None:
    session, reader = bench.start(bench.settings(total_timesteps=1000, max_seconds=6), keep_open=keep_open)
    reader.wait_for(TrialFinished)
    session.send(Pause())
    ended = reader.wait_for(RunFinished)
    assert ended.state is State.COMPLETED
    assert ended.seconds < 20
