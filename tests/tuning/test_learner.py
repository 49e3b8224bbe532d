"""What is tried next, and what a trial teaches: no broker, made-up outcomes, the real agent."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from brokertuner_tui.agent.ddpg import DDPG
from brokertuner_tui.agent.presets import config_for
from brokertuner_tui.config.settings import AgentSettings, RewardSettings
from brokertuner_tui.env.outcome import Outcome, Timings, Usage, Verdict
from brokertuner_tui.env.presets import make_preset
from brokertuner_tui.knobs.catalogue import CATALOGUE, Value, defaults
from brokertuner_tui.tuning.events import TrialKind
from brokertuner_tui.tuning.guard.traps import traps
from brokertuner_tui.tuning.learner import Choice, Learner
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.window import Window

VERSION = (2, 0, 21)
FANOUT = Profile("fanout", 1, 100, 1, qos=1, rate=500, window=1000, client_rtt_ms=50, slo_ms=10)


def _outcome(knobs: Mapping[str, Value], on_time: int, verdict: Verdict = Verdict.OK, profile: Profile = FANOUT) -> Outcome:
    window = Window(
        1.0, 500, 50_000, 50_000, on_time, 50_000 - on_time, 0, 0, 0, 1, 2, 3, 4, 5, ((5.0, 50_000),), (), 0.1, 101, 0, 0.2
    )
    return Outcome(
        knobs, profile, VERSION, verdict, "", None, window if verdict is Verdict.OK else None, Usage(), None, Timings()
    )


def _on_time(knobs: Mapping[str, Value]) -> int:
    """A toy of fanout: nodelay and a window of 100 or more are what counts."""
    share = 0.1 + 0.5 * bool(knobs["set_tcp_nodelay"]) + 0.4 * (knobs["max_inflight_messages"] >= 100)
    return int(50_000 * share)


def _learner(pinned: dict[str, Value] | None = None) -> Learner:
    preset = make_preset("slo", RewardSettings())
    agent = DDPG(len(preset.observation_names), len(CATALOGUE), config_for("slo", AgentSettings()), seed=1)
    return Learner(agent, preset, VERSION, defaults(VERSION), pinned or {})


def _run(learner: Learner, trials: int, first: int = 1) -> list[Choice]:
    choices = []
    for number in range(first, first + trials):
        choice = learner.choose(FANOUT)
        learner.learn(number, choice, _outcome(choice.knobs, _on_time(choice.knobs)))
        choices.append(choice)
    return choices


def test_the_default_comes_first_and_is_the_reference() -> None:
    learner = _learner({"persistence": True})
    choice = learner.choose(FANOUT)
    assert choice.kind is TrialKind.DEFAULT
    assert choice.knobs == defaults(VERSION) | {"persistence": True}
    learner.learn(1, choice, _outcome(choice.knobs, 0, Verdict.INCONCLUSIVE))
    assert learner.choose(FANOUT).kind is TrialKind.DEFAULT, "not measured yet"


def test_twenty_five_trials_find_the_good_region_of_a_toy() -> None:
    learner = _learner()
    _run(learner, 25)
    best = learner.best(FANOUT)
    assert best is not None
    assert _on_time(best.knobs) == 50_000
    assert len(best.rewards) >= 1


def test_the_best_is_measured_again_and_the_default_now_and_then() -> None:
    kinds = [choice.kind for choice in _run(_learner(), 40)]
    assert kinds.count(TrialKind.BEST) >= 2
    assert kinds.count(TrialKind.DEFAULT) == 2


def test_only_ok_teaches() -> None:
    learner = _learner()
    _run(learner, 2)
    before = learner.agent.buffer_size
    for verdict in (Verdict.FAILED, Verdict.INCONCLUSIVE):
        choice = learner.choose(FANOUT)
        lesson = learner.learn(3, choice, _outcome(choice.knobs, 0, verdict))
        assert lesson.reward is None
        assert learner.agent.buffer_size == before


def test_what_is_remembered_is_what_was_executed() -> None:
    learner = _learner({"set_tcp_nodelay": True, "max_queued_bytes": 123_456_789})
    for choice in _run(learner, 10):
        assert choice.knobs["set_tcp_nodelay"] is True
        assert choice.knobs["max_queued_bytes"] == 123_456_789
        assert traps(choice.knobs, FANOUT, VERSION) == []


def test_an_operators_setting_is_tried_next_and_pins_hold_even_then() -> None:
    learner = _learner({"persistence": False})
    _run(learner, 1)
    learner.try_next(defaults(VERSION) | {"max_inflight_messages": 77, "persistence": True})
    choice = learner.choose(FANOUT)
    assert choice.kind is TrialKind.MANUAL
    assert choice.knobs["max_inflight_messages"] == 77
    assert choice.knobs["persistence"] is False


def test_every_profile_has_its_own_reference_and_best() -> None:
    learner = _learner()
    _run(learner, 6)
    other = Profile("telemetry", 20, 2, 2, rate=5000, slo_ms=2)
    choice = learner.choose(other)
    assert choice.kind is TrialKind.DEFAULT
    assert learner.best(other) is None
    learner.learn(7, choice, _outcome(choice.knobs, 100, profile=other))
    assert learner.best(other) is not None
    assert learner.choose(FANOUT).kind is not TrialKind.DEFAULT


def test_choices_repeat_with_the_seed() -> None:
    first, second = (_run(_learner(), 12) for _ in range(2))
    assert [choice.knobs for choice in first] == [choice.knobs for choice in second]


@pytest.mark.parametrize("on_time", [0, 50_000])
def test_observations_are_finite_numbers(on_time: int) -> None:
    learner = _learner()
    choice = learner.choose(FANOUT)
    lesson = learner.learn(1, choice, _outcome(choice.knobs, on_time))
    assert np.isfinite(lesson.next_observation).all()
    assert lesson.reward is not None
    assert np.isfinite(lesson.reward)
