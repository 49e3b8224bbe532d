"""Live traffic is somebody's: small steps, nothing dangerous, and a comparison that does not depend on the hour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokertuner_tui.config.settings import BrokerSettings, LiveSettings, LoadSettings, Settings, TuningSettings
from brokertuner_tui.knobs.catalogue import BY_NAME, CATALOGUE, NAMES, defaults
from brokertuner_tui.knobs.codec import decode, encode
from brokertuner_tui.tuning import statistics
from brokertuner_tui.tuning.events import BrokerChanged, Confirmed, Notice, RunFinished, State, TrialFinished
from brokertuner_tui.tuning.guard.caution import HELD_UNDER_LIVE, Caution
from brokertuner_tui.tuning.session import TuningSession
from brokertuner_tui.workload.builtin import BuiltinLoad
from brokertuner_tui.workload.live.figures import LiveFigures
from brokertuner_tui.workload.live.traffic import initial_profile
from brokertuner_tui.workload.profile import Profile, Workload
from brokertuner_tui.workload.window import Window
from tests.conftest import CANDIDATES
from tests.env.made import window
from tests.tuning.conftest import Reader

actions = st.lists(st.floats(-1, 1), min_size=len(CATALOGUE), max_size=len(CATALOGUE))


@given(actions, actions, st.floats(0.05, 2))
def test_no_proposal_goes_far_and_one_switch_at_a_time(wish: list[float], known: list[float], step: float) -> None:
    wanted, here = decode(wish), decode(known)
    near = Caution(step, 0.2).near(wanted, here)
    switches = [name for name in NAMES if BY_NAME[name].scale == "switch"]
    assert sum(near[name] != here[name] for name in switches) <= 1
    for index, name in enumerate(NAMES):
        if name not in switches:
            # The largest value stands just below the band of the special one; small values are whole numbers.
            assert abs(encode(near)[index] - encode(here)[index]) <= step + 0.15
            if near[name] != wanted[name]:
                assert abs(encode(wanted)[index] - encode(here)[index]) > step
    assert Caution(step, 0.2).near(here, here) == here


def _window(share: float, fan_out: float | None, offered: float = 1000.0) -> Window:
    live = LiveFigures(100, 15, 2.0, offered, offered * (fan_out or 0), 0.0, 0.0, 0.0, 3, 0.01, None, ())
    if fan_out is None:
        live = replace(live, offered_per_s=None, delivered_per_s=None, dropped_per_s=None)
    return window(int(100 * share), 100 - int(100 * share), live=live)


def test_the_hour_does_not_decide_a_confirmation() -> None:
    default = [_window(0.9, 2.0, offered) for offered in (1000, 500, 100)]
    best = [_window(0.99, 2.0, offered) for offered in (50, 2000, 700)]
    assert statistics.figures(default, default) == pytest.approx([90, 90, 90])
    assert statistics.figures(best, default) == pytest.approx([99, 99, 99])
    told = statistics.measured(best, default)
    assert told.in_percent
    assert told.on_time_per_s == pytest.approx(99)
    losing = [_window(0.99, 1.0)] * 3
    assert statistics.figures(losing, default) == pytest.approx([49.5] * 3)
    unknown = [_window(0.9, None), *default[1:]]
    assert statistics.figures(losing, unknown) == pytest.approx([99] * 3)


@pytest.fixture
def others(tmp_path: Path) -> Iterator[BuiltinLoad]:
    """The clients of somebody else."""
    load = BuiltinLoad(tmp_path / "others")
    yield load
    load.stop()


def test_a_run_on_live_traffic_keeps_to_small_steps_confirms_and_says_what_it_cannot_see(
    others: BuiltinLoad, tmp_path: Path
) -> None:
    settings = Settings(
        broker=BrokerSettings(mosquitto=CANDIDATES.get("sid", next(iter(CANDIDATES.values())))),
        load=LoadSettings(workload="live"),
        live=LiveSettings(probe_rate=20, probe_share=1, window_sec=0.5, slo_ms=500),
        tuning=TuningSettings(total_timesteps=2, step_interval_sec=0.2, settle_sec=0.05, confirm_windows=2, ablation_windows=0),
    )
    session = TuningSession(settings, Workload.steady(initial_profile(settings.live)), tmp_path / "run")
    reader = Reader(session)
    session.start()
    reader.wait_for(BrokerChanged)
    assert session._testbed is not None
    others.start(Profile("others", 2, 2, 2, qos=1, rate=300), session._testbed.broker.endpoint)
    ended = reader.wait_for(RunFinished)
    assert session.join(20)
    assert ended.state is State.COMPLETED, ended.reason
    trials = reader.of(TrialFinished)
    baseline = defaults(session._testbed.version)
    assert len(trials) == 2
    for trial in trials:
        assert all(trial.outcome.knobs[name] == baseline[name] for name in HELD_UNDER_LIVE)
        assert trial.outcome.profile.name == "live"
    assert any(trial.reward is not None and trial.reward > 0.5 for trial in trials)
    assert any("dropped misses" in notice.message for notice in reader.of(Notice))
    confirmed = reader.of(Confirmed)
    assert confirmed
    assert confirmed[-1].default.in_percent
    assert 50 < confirmed[-1].default.on_time_per_s <= 100
