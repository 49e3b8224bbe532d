"""Loads on a real broker: one that the store has seen under another name, and ones that change while a run goes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from brokertuner_tui.agent.ddpg import DDPG
from brokertuner_tui.agent.presets import config_for
from brokertuner_tui.agent.search import alike
from brokertuner_tui.config.settings import BrokerSettings, LiveSettings, LoadSettings, Settings, TuningSettings
from brokertuner_tui.config.workloads import read_workloads
from brokertuner_tui.env.outcome import Outcome, Timings, Usage, Verdict
from brokertuner_tui.env.slo import SloPreset, context
from brokertuner_tui.knobs.catalogue import CATALOGUE, defaults
from brokertuner_tui.tuning.commands import Stop
from brokertuner_tui.tuning.events import BrokerChanged, Notice, RunFinished, TrialFinished, TrialKind
from brokertuner_tui.tuning.learner import Learner
from brokertuner_tui.tuning.session import TuningSession
from brokertuner_tui.workload.builtin import BuiltinLoad
from brokertuner_tui.workload.live.figures import LiveFigures
from brokertuner_tui.workload.live.traffic import initial_profile, observed
from brokertuner_tui.workload.profile import Phase, Profile, Workload
from tests.conftest import CANDIDATES
from tests.env.made import window
from tests.tuning.conftest import SMALL, Bench, Reader

FAR = Profile("far", 2, 2, 2, qos=1, rate=2000, window=400, client_rtt_ms=100, slo_ms=250)
"""Far clients: with twenty messages in flight one of them gets some 200 a second, of 1,000 that it should."""
THE_SAME = """
[workload.plant]
publishers = 2
subscribers = 2
topics = 2
qos = 1
rate = 2000
window = 400
client_rtt_ms = 100
slo_ms = 250
"""


def _rewards(bench: Bench, workload: Workload, **tuning: Any) -> tuple[list[float], list[TrialFinished], str]:
    """Of a run's trials; the trials; and what was said."""
    session, reader = bench.start(bench.settings(step_interval_sec=0.4, **tuning), workload=workload)
    trials = [reader.wait_for(TrialFinished) for _ in range(tuning["total_timesteps"])]
    session.send(Stop(leave="current"))
    reader.wait_for(RunFinished)
    assert session.join(20)
    said = "; ".join(notice.message for notice in reader.of(Notice))
    return [-1.0 if trial.reward is None else trial.reward for trial in trials], trials, said


def test_a_load_that_the_store_has_seen_is_known_under_any_name(bench: Bench, tmp_path: Path) -> None:
    first, _, said = _rewards(bench, Workload.steady(FAR), total_timesteps=4)
    assert "knows this load" not in said
    assert max(first) > first[0] + 0.3, "a setting that is worth finding"
    file = tmp_path / "ours.toml"
    file.write_text(THE_SAME)
    second, trials, said = _rewards(bench, read_workloads(file)["plant"], total_timesteps=2)
    assert trials[0].kind is TrialKind.DEFAULT
    assert max(second) >= 0.95 * max(first)
    assert "knows this load (plant) from 4 trials of 1 earlier run" in said
    assert trials[1].agent.source == "elite"
    _, trials, said = _rewards(bench, Workload.steady(FAR), total_timesteps=2, warm_start=False)
    assert "knows this load" not in said
    assert trials[1].kind is TrialKind.WARM_UP


def test_a_phase_is_another_load_from_its_first_trial_on(bench: Bench) -> None:
    small = SMALL.phases[0].profile
    other = replace(small, name="larger", payload_bytes=4000, rate=100.0)
    session, reader = bench.start(
        bench.settings(total_timesteps=50), workload=Workload("both", (Phase(small, 2.0), Phase(other, 30.0)))
    )
    before = reader.wait_for(TrialFinished)
    first = reader.wait_for(TrialFinished, lambda trial: trial.outcome.profile == other)
    second = reader.wait_for(TrialFinished)
    session.send(Stop(leave="current"))
    assert before.outcome.profile == small
    assert first.kind is TrialKind.DEFAULT, "the new load's own reference"
    assert second.kind is not TrialKind.DEFAULT
    assert second.observation[:20] == first.next_observation[:20], "chosen for the new load"


def _figures(rate: float, payload: float, clients: int, fan_out: float = 2.0) -> LiveFigures:
    return LiveFigures(100, 15, 2.0, rate, rate * fan_out, 0.0, rate * payload, 0.0, clients, 0.01, None, ())


def _as_seen(profile: Profile) -> NDArray[np.float32]:
    return np.array([context(profile, (2, 1, 2))], dtype=np.float32)


def test_live_traffic_looks_the_same_where_it_is_and_another_load_at_once_where_it_is_not() -> None:
    profile = observed(initial_profile(LiveSettings()), _figures(1000, 100, 12))
    first = _as_seen(profile)
    for rate, clients, fan_out in ((1100, 11, 1.4), (1500, 12, 1.45), (1400, 11, 1.9), (900, 13, 2.1)):
        profile = observed(profile, _figures(rate, 95, clients, fan_out))
        assert alike(first, _as_seen(profile)[0])[0], profile
    for change in (
        _figures(10_000, 100, 12),
        _figures(1000, 2000, 12),
        _figures(1000, 100, 100),
        _figures(1000, 100, 12, 20.0),
    ):
        assert not alike(first, _as_seen(observed(profile, change))[0])[0]


def test_a_reference_belongs_to_what_live_traffic_looked_like() -> None:
    """Readers have gone: what each message causes is half, and that is no fault of any setting."""
    preset = SloPreset()
    agent = DDPG(len(preset.observation_names), len(CATALOGUE), config_for("slo"), seed=1)
    learner = Learner(agent, preset, (2, 1, 2), defaults((2, 1, 2)), {})
    many = observed(initial_profile(LiveSettings()), _figures(1000, 100, 30, 8.0))
    few = observed(many, _figures(1000, 100, 8, 1.0))
    profile, kinds, rewards = many, [], []
    for number in range(1, 9):
        choice = learner.choose(profile)
        profile, fan_out = (many, 8.0) if number < 5 else (few, 1.0)
        measured = replace(window(100, 0, live=_figures(1000, 100, profile.clients, fan_out)))
        outcome = Outcome(choice.knobs, profile, (2, 1, 2), Verdict.OK, "", None, measured, Usage(), None, Timings())
        lesson = learner.learn(number, choice, outcome)
        assert lesson.observation[:20] == pytest.approx(context(profile, (2, 1, 2)), abs=1e-6)
        kinds.append(choice.kind)
        rewards.append(lesson.reward)
    assert kinds[0] is kinds[5] is TrialKind.DEFAULT, "the trial after the one that saw the change"
    assert kinds.count(TrialKind.DEFAULT) == 2
    assert rewards == pytest.approx([1.0] * 8)


@pytest.fixture
def others(tmp_path: Path) -> Iterator[BuiltinLoad]:
    """The clients of somebody else."""
    load = BuiltinLoad(tmp_path / "others")
    yield load
    load.stop()


def test_live_traffic_that_changes_is_another_load_within_three_trials(others: BuiltinLoad, tmp_path: Path) -> None:
    settings = Settings(
        broker=BrokerSettings(mosquitto=CANDIDATES.get("sid", next(iter(CANDIDATES.values())))),
        load=LoadSettings(workload="live"),
        live=LiveSettings(probe_rate=50, probe_share=1, window_sec=0.5, slo_ms=500),
        tuning=TuningSettings(
            total_timesteps=50, step_interval_sec=0.2, settle_sec=0.05, confirm_windows=2, ablation_windows=0
        ),
    )
    session = TuningSession(settings, Workload.steady(initial_profile(settings.live)), tmp_path / "run")
    reader = Reader(session)
    session.start()
    try:
        reader.wait_for(BrokerChanged)
        assert session.testbed is not None
        calm = Profile("others", 2, 2, 2, qos=1, rate=100)
        others.start(calm, session.testbed.broker.endpoint)
        known = reader.wait_for(TrialFinished, lambda trial: trial.kind is not TrialKind.DEFAULT and trial.reward is not None)
        others.change(replace(calm, rate=1000, payload_bytes=2000))
        after: list[TrialFinished] = []
        while not after or after[-1].kind is not TrialKind.DEFAULT:
            after.append(reader.wait_for(TrialFinished))
            assert len(after) <= 4, [trial.outcome.profile for trial in after]
        # The trial that was under way, one that saw the change, and the new load's own reference.
        profile = after[-1].outcome.profile
        assert profile.rate >= 4 * known.outcome.profile.rate
        assert profile.payload_bytes >= 4 * known.outcome.profile.payload_bytes
        following = reader.wait_for(TrialFinished)
        assert following.observation[:20] == pytest.approx(following.next_observation[:20], abs=0.1)
    finally:
        session.send(Stop(leave="current"))
        assert session.join(60)
