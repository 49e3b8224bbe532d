"""What the store knows of a load is used, whatever the load is called, and left where it turns out to be wrong."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from brokertuner_tui.agent.ddpg import DDPG
from brokertuner_tui.agent.presets import config_for
from brokertuner_tui.config.settings import GuardSettings, Settings
from brokertuner_tui.env.outcome import Verdict
from brokertuner_tui.env.presets import make_preset
from brokertuner_tui.knobs import codec
from brokertuner_tui.knobs.catalogue import CATALOGUE, Value, defaults
from brokertuner_tui.store.store import Store
from brokertuner_tui.tuning.events import TrialKind
from brokertuner_tui.tuning.learner import Choice, Learner
from brokertuner_tui.tuning.memory import Memory, read_memory
from brokertuner_tui.workload.profile import Profile, Workload
from tests.store import made
from tests.store.conftest import Place, place  # noqa: F401 (a fixture)
from tests.tuning.test_learner import FANOUT, VERSION, _on_time, _outcome

OTHER_NAME = replace(FANOUT, name="our plant on Mondays")
GOOD: dict[str, Value] = {"set_tcp_nodelay": True, "max_inflight_messages": 400}
SETTINGS = Settings()
NEVER = 4e9


def _learner(memory: Memory | None) -> Learner:
    preset = make_preset("slo", SETTINGS.reward)
    agent = DDPG(len(preset.observation_names), len(CATALOGUE), config_for("slo", SETTINGS.agent), seed=1)
    return Learner(agent, preset, VERSION, defaults(VERSION), {}, memory=memory)


def _trial(learner: Learner, number: int, profile: Profile) -> Choice:
    choice = learner.choose(profile)
    learner.learn(number, choice, _outcome(choice.knobs, _on_time(choice.knobs), profile=profile))
    return choice


def _store_run(
    store: Store,
    settings: Mapping[str, tuple[Mapping[str, Value], float]],
    *,
    profile: Profile = FANOUT,
    verdict: Verdict = Verdict.OK,
    terms: Mapping[str, float] | None = None,
    config: Settings = SETTINGS,
    version: tuple[int, int, int] = VERSION,
    at: float = 1_795_222_800.0,
) -> None:
    """A run with a trial for each of these knobs, worth what is said."""
    preset = make_preset("slo", config.reward)
    run = store.create_run(
        made.run_info(
            profile=profile.as_dict(), config=config.model_dump(mode="json"), mosquitto_version=version, started_at=at
        )
    )
    for number, (knobs, reward) in enumerate(settings.values(), start=1):
        whole = defaults(VERSION) | dict(knobs)
        seen = preset.observe(replace(_outcome(whole, 40_000, profile=profile), version=version))
        event = made.trial(
            number,
            verdict=verdict,
            at=at + number,
            reward=reward if verdict is Verdict.OK else None,
            reward_terms=dict(terms or {}),
            action=tuple(float(x) for x in codec.encode(whole)),
            observation=tuple(float(x) for x in seen),
            next_observation=tuple(float(x) for x in seen),
        )
        store.record_trial(run, event, broker_restarts=0, workload_restarts=0)


def _read(store: Store, profile: Profile = OTHER_NAME, settings: Settings = SETTINGS, before: float = NEVER) -> Memory:
    said: list[str] = []
    memory = read_memory(store, settings, Workload.steady(profile), VERSION, run="", before=before, tell=said.append)
    memory.said = said  # type: ignore[attr-defined]
    return memory


def _seen(profile: Profile = OTHER_NAME) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return make_preset("slo", SETTINGS.reward).observe(_outcome(defaults(VERSION), 40_000, profile=profile))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store.db")


def test_the_best_of_earlier_runs_comes_right_after_the_default_whatever_the_load_is_called(place: Place) -> None:  # noqa: F811
    bad = {"max_inflight_messages": 30, "max_queued_messages": 100}
    with place.open() as store:
        _store_run(store, {"bad": (bad, 0.05), "good": (GOOD, 0.99), "fair": ({"set_tcp_nodelay": True}, 0.6)})
    with place.open(read_only=True) as store:
        memory = _read(store)
    learner = _learner(memory)
    choices = [_trial(learner, number, OTHER_NAME) for number in range(1, 9)]
    assert choices[0].kind is TrialKind.DEFAULT
    assert choices[1].knobs == defaults(VERSION) | GOOD
    assert "earlier runs" in choices[1].why
    assert memory.said == ["knows this load (our plant on Mondays) from 3 trials of 1 earlier run"]  # type: ignore[attr-defined]
    assert TrialKind.WARM_UP not in [choice.kind for choice in choices]
    assert np.mean([_on_time(choice.knobs) for choice in choices[1:]]) > 40_000
    best = learner.best(OTHER_NAME)
    assert best is not None
    assert best.trial > 1, "what this run measured itself"


def test_nothing_is_known_of_another_load_version_or_way_of_judging(store: Store) -> None:
    other_reward = SETTINGS.model_copy(update={"reward": SETTINGS.reward.model_copy(deep=True)})
    other_reward.reward.slo.__dict__["cpu_weight"] = 0.5
    with store:
        _store_run(store, {"good": (GOOD, 0.99)}, profile=replace(FANOUT, rate=5000))
        _store_run(store, {"good": (GOOD, 0.99)}, version=(2, 1, 2))
        _store_run(store, {"good": (GOOD, 0.99)}, config=other_reward)
        assert _read(store).like(_seen(), "x") is None
        _store_run(store, {"good": (GOOD, 0.99)})
        assert _read(store).like(_seen(), "x") is not None
        assert _read(store, before=1_795_222_000.0).like(_seen(), "x") is None, "not what was measured later"


def test_what_failed_broke_or_said_nothing_teaches_nothing_good(store: Store) -> None:
    deadly = {"max_packet_size": 25}
    strict = SETTINGS.model_copy(update={"guard": GuardSettings(p99_ms=1)})
    with store:
        _store_run(store, {"good": (GOOD, 0.7)})
        _store_run(store, {"deadly": (deadly, 1.0)}, verdict=Verdict.FAILED)
        _store_run(store, {"silent": ({"max_queued_messages": 7}, 1.0)}, verdict=Verdict.INCONCLUSIVE)
        _store_run(store, {"broke": ({"memory_limit": 2**30}, 0.9)}, terms={"slo": -1.0})
        _store_run(store, {"broke another": ({"set_tcp_nodelay": True}, 0.9)}, terms={"slo": -1.0}, config=strict)
        known = _read(store).like(_seen(), "x")
    assert known is not None
    assert list(known.reward) == pytest.approx([0.7])
    assert sorted(tuple(codec.decode(action).items()) for action in known.avoided) == sorted(
        tuple((defaults(VERSION) | dict(knobs)).items()) for knobs in (deadly, {"memory_limit": 2**30})
    )


def test_a_stale_best_is_left_at_once_and_a_store_that_is_all_wrong_within_a_few_trials(store: Store) -> None:
    """Every setting that the store praises delivers nothing here."""
    lies = {
        str(queue): ({"max_inflight_messages": 25 + queue, "max_queued_messages": 1000 + queue}, 0.95 + queue / 1000)
        for queue in range(30)
    }
    with store:
        _store_run(store, lies)
        learner = _learner(_read(store))
    choices = [_trial(learner, number, OTHER_NAME) for number in range(1, 21)]
    praised = [choice for choice in choices if "earlier runs" in choice.why]
    assert 1 <= len(praised) <= 2
    assert choices[1] in praised
    assert max(choices.index(choice) for choice in praised) <= 3
    assert TrialKind.WARM_UP in [choice.kind for choice in choices[2:5]], "as if nothing had been known"
    assert not learner.agent.replay.all().earlier.any()
    best = learner.best(OTHER_NAME)
    assert best is not None
    assert _on_time(best.knobs) >= 45_000


def test_one_lucky_best_among_honest_trials_costs_one_trial(store: Store) -> None:
    lucky = {"max_inflight_messages": 25}
    with store:
        _store_run(store, {"lucky": (lucky, 1.0), "good": (GOOD, 0.97), "fair": ({"set_tcp_nodelay": True}, 0.58)})
        learner = _learner(_read(store))
    tried = [_trial(learner, number, OTHER_NAME).knobs for number in range(1, 9)]
    assert defaults(VERSION) | GOOD in tried[1:3]
    assert tried.count(defaults(VERSION) | lucky) <= 1


def test_what_is_known_is_kept_with_the_agent_and_not_taken_in_twice(store: Store, tmp_path: Path) -> None:
    with store:
        _store_run(store, {"good": (GOOD, 0.99), "fair": ({"set_tcp_nodelay": True}, 0.6)})
        memory = _read(store)
    learner = _learner(memory)
    for number in range(1, 4):
        _trial(learner, number, OTHER_NAME)
    known = learner.agent.buffer_size
    learner.agent.save(tmp_path / "agent")
    again = _learner(memory)
    again.agent = DDPG.load(tmp_path / "agent")
    first, second = learner.choose(OTHER_NAME), again.agent
    assert second.knows(_seen())
    assert np.array_equal(second.replay.all().earlier, learner.agent.replay.all().earlier)
    assert first.observation is not None
    assert second.buffer_size == known == 4, "three of its own, and one that was measured anew"
    assert len(memory.said) == 1  # type: ignore[attr-defined]


def test_a_store_of_ten_thousand_trials_is_read_quickly(store: Store) -> None:
    with store:
        for index in range(20):
            _store_run(store, {"good": (GOOD, 0.9)}, at=1_795_000_000.0 + index)
        _multiply(store, 500)
        before, started = store.runs(), time.process_time()
        known = _read(store).like(_seen(), "x")
        seconds = time.process_time() - started
        assert sum(run.trials for run in before) == 10_000
    assert known is not None
    assert len(known.reward) == 80, "forty of each of the newest runs"
    assert seconds < 1, "of this process; 0.08 s as a rule"


def _multiply(store: Store, times: int) -> None:
    from sqlalchemy import text

    with store._engine.begin() as connection:
        names = [row[1] for row in connection.execute(text("PRAGMA table_info(trials)"))]
        columns = ", ".join(f'"{name}"' for name in names)
        values = ", ".join("t.number + n.value" if name == "number" else f't."{name}"' for name in names)
        series = f"WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < {times - 1})"
        connection.execute(text(f"INSERT INTO trials ({columns}) {series} SELECT {values} FROM trials t, n"))
