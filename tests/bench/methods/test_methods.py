"""Every method on a made-up response: legal, deterministic, patient with trials that say nothing, and tidy."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest

from brokertuner_tui.agent.presets import SLO
from brokertuner_tui.bench.methods import registry
from brokertuner_tui.bench.methods.constants import FORUM
from brokertuner_tui.env.outcome import Verdict
from brokertuner_tui.knobs.catalogue import defaults
from brokertuner_tui.knobs.validation import check_all
from brokertuner_tui.workload.profile import Profile
from tests.bench.methods.response import VERSION, WAN, answer, make_task, run, share

LEARNING_RIVALS = ("tpe", "gp", "cmaes", "smac", "sb3")
TRICKLE = Profile("trickle", 2, 2, 2, rate=100, slo_ms=5)
_TRIALS = {"smac": 6}
"""Its forests take a second a trial. The others have learned by the twelfth."""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary and other files go."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", registry.names())
def test_settings_are_legal_and_the_same_again_for_the_same_answers(name: str, files: Path) -> None:
    threads = set(threading.enumerate())
    task = make_task(trials=_TRIALS.get(name, 12))
    first, second = registry.make(name, task), registry.make(name, task)
    assert first.name == name
    np.random.seed(1)
    tried = run(first, task)
    np.random.seed(2)  # what others draw from the process's generator makes no difference
    assert run(second, task) == tried
    for knobs in tried:
        assert check_all(knobs) == knobs
    assert first.best(WAN) == second.best(WAN)
    assert share(first.best(WAN)) >= share(task.defaults) or name == "classic"
    for method in (first, second):
        method.close()
        method.close()
    assert set(threading.enumerate()) <= threads
    assert not [path for path in files.iterdir() if not path.name.startswith("torch")], "but for what importing torch makes"


@pytest.mark.parametrize("name", LEARNING_RIVALS)
def test_rivals_begin_with_the_warm_up(name: str) -> None:
    task = make_task()
    method = registry.make(name, task)
    assert run(method, task, trials=1 + len(task.warm_up))[1:] == list(task.warm_up)
    method.close()


def test_the_warm_up_is_that_of_our_own_agent() -> None:
    task = make_task(trials=10)
    tried = run(registry.make("slo", task), task)
    assert len(task.warm_up) == SLO.warm_up - 1
    positions = [tried.index(dict(knobs)) for knobs in task.warm_up]  # repeats of the best come in between
    assert positions == sorted(positions)


@pytest.mark.parametrize("version", [(2, 0, 11), (2, 0, 21), (2, 1, 2)])
@pytest.mark.parametrize("profile", [WAN, TRICKLE, Profile("flood", 10, 10, 10, qos=2)], ids=lambda profile: profile.name)
def test_a_warm_up_is_of_different_legal_settings(profile: Profile, version: tuple[int, int, int]) -> None:
    settings = registry.warm_up(profile, version, defaults(version), 3)
    assert len(settings) == SLO.warm_up - 1
    assert settings == registry.warm_up(profile, version, defaults(version), 3)
    everything = [*settings, defaults(version)]
    assert all(everything.count(knobs) == 1 and check_all(knobs) == knobs for knobs in everything)


@pytest.mark.parametrize("name", ["random", "sobol", "tpe", "cmaes", "sb3", "slo"])
def test_another_seed_asks_other_questions(name: str) -> None:
    one, other = (make_task(seed=seed, trials=10) for seed in (1, 2))
    assert run(registry.make(name, one), one)[4:] != run(registry.make(name, other), other)[4:]


@pytest.mark.parametrize("name", ["tpe", "cmaes"])
def test_rivals_get_better_with_trials(name: str) -> None:
    task = make_task(trials=40)
    tried = [share(knobs) for knobs in run(registry.make(name, task), task)]
    assert np.mean(tried[-10:]) > np.mean(tried[1:11]) + 0.05


@pytest.mark.parametrize("name", registry.names())
def test_failed_and_inconclusive_trials_end_nothing(name: str, files: Path) -> None:
    verdicts = {
        3: Verdict.FAILED,
        5: Verdict.INCONCLUSIVE,
        9: Verdict.FAILED,
        10: Verdict.INCONCLUSIVE,
        11: Verdict.INCONCLUSIVE,
    }
    task = make_task(trials=_TRIALS.get(name, 12))
    method = registry.make(name, task)
    tried = run(method, task, lambda number: verdicts.get(number, Verdict.OK))
    failed = tried[2]
    constant = name in ("default", "forum")
    assert constant or method.best(WAN) != failed
    if name in LEARNING_RIVALS:
        assert tried[5] == tried[4], "what says nothing is asked again"
        assert name == "smac" or tried[10] == tried[9] != tried[11], "but not for ever"
    method.close()


@pytest.mark.parametrize("name", registry.names())
def test_without_a_reward_the_default_stays(name: str) -> None:
    task = make_task()
    method = registry.make(name, task)
    method.tell(task.defaults, answer(task.defaults, Verdict.INCONCLUSIVE), None)
    method.ask(WAN)
    assert method.best(WAN) == (task.defaults if name != "forum" else {**task.defaults, **FORUM})
    method.close()


@pytest.mark.parametrize("name", ["random", "tpe", "cmaes"])
def test_the_best_has_the_highest_mean_whatever_the_load(name: str) -> None:
    task = make_task(trials=12)
    method = registry.make(name, task)
    lucky, steady = ({**task.defaults, "max_inflight_messages": number} for number in (7, 8))
    for knobs, reward, profile in ((lucky, 0.9, WAN), (lucky, 0.1, TRICKLE), (steady, 0.6, TRICKLE)):
        method.tell(knobs, answer(knobs, profile=profile), reward)
    assert method.best(WAN) == method.best(TRICKLE) == steady


@pytest.mark.parametrize("name", ["tpe", "cmaes", "sb3"])
def test_rivals_do_not_see_the_load(name: str) -> None:
    task = make_task()
    one, other = registry.make(name, task), registry.make(name, task)
    for method in (one, other):
        run(method, task, trials=9)
    assert one.ask(WAN) == other.ask(TRICKLE)


def test_ours_measures_the_default_again_when_the_load_changes() -> None:
    task = make_task()
    method = registry.make("slo", task)
    run(method, task, trials=4)
    assert method.ask(TRICKLE) == task.defaults
    assert method.best(TRICKLE) == task.defaults
    assert method.best(WAN) != task.defaults


def test_the_forums_constant_is_legal_on_top_of_any_default() -> None:
    for version in ((2, 0, 11), VERSION, (2, 1, 2)):
        knobs = {**defaults(version), **FORUM}
        assert check_all(knobs) == knobs
