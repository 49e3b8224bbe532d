from __future__ import annotations

import pytest

pytest.importorskip("sklearn", reason="the extra [bench] is not installed")

from benchmarks.surrogate import scores
from brokertuner_tui.bench.surrogate import dataset
from brokertuner_tui.bench.surrogate import model as surrogate
from brokertuner_tui.bench.surrogate.model import best_known, failure_probability, model_of
from brokertuner_tui.errors import UsageError
from brokertuner_tui.knobs.catalogue import KnobValues, Value, Version, defaults
from brokertuner_tui.workload.profile import Profile

V2_0_11, V2_0_21, V2_1_2 = (2, 0, 11), (2, 0, 21), (2, 1, 2)


def knobs(version: Version, **changed: Value) -> KnobValues:
    return {**defaults(version), **changed}


def on_time(workload: str, version: Version, **changed: Value) -> float:
    return model_of(workload).expected(version, knobs(version, **changed)).on_time_per_s


@pytest.mark.parametrize(("workload", "r2", "rank"), [("telemetry", 0.9, 0.6), ("wan", 0.6, 0.5), ("pipeline", 0.6, 0.5)])
def test_trials_that_were_held_back_are_predicted(workload: str, r2: float, rank: float) -> None:
    found = scores(model_of(workload), model_of(workload).held_back(5, seed=7)[:, 0])
    assert len(found) == 3
    for version, score in found.items():
        assert score.rank > rank, version
        assert score.error < 0.1, version
        assert score.top > 0.75, version
    assert sum(score.r2 for score in found.values()) / 3 > r2


def test_nodelay_is_right_for_a_trickle_and_wrong_for_a_flood() -> None:
    room: dict[str, Value] = {"max_inflight_messages": 800, "max_queued_messages": 100_000}
    for version in (V2_0_21, V2_1_2):
        without, with_it = (on_time("pipeline", version, **room, set_tcp_nodelay=nodelay) for nodelay in (False, True))
        assert with_it < 0.7 * without
        without, with_it = (on_time("telemetry", version, **room, set_tcp_nodelay=nodelay) for nodelay in (False, True))
        assert with_it > 2.5 * without
        assert with_it > 0.95 * 5000


def test_what_may_be_in_flight_decides_over_a_far_network() -> None:
    for version in (V2_0_21, V2_1_2):
        few = on_time("wan", version, max_inflight_messages=20, max_queued_messages=100_000)
        many = on_time("wan", version, max_inflight_messages=4000, max_queued_messages=100_000)
        assert many > 20 * max(1.0, few)
        assert many > 0.9 * 40_000


def test_the_default_of_2_1_is_late_under_a_flood() -> None:
    expected = model_of("pipeline").expected(V2_1_2, knobs(V2_1_2))
    assert expected.on_time_per_s < 0.75 * expected.received_per_s
    assert expected.p99_ms > 50
    assert best_known("pipeline", V2_1_2)[1] > 1.5 * expected.on_time_per_s


@pytest.mark.parametrize("trap", [{"message_size_limit": 63}, {"max_packet_size": 60}])
@pytest.mark.parametrize("workload", ["telemetry", "pipeline", "fanout"])
def test_what_lets_no_message_pass_delivers_nothing(workload: str, trap: dict[str, Value]) -> None:
    for version in (V2_0_11, V2_1_2):
        expected = model_of(workload).expected(version, knobs(version, **trap))
        assert expected.received_per_s == expected.on_time_per_s == 0.0


def test_too_little_memory_fails_and_enough_does_not() -> None:
    for version in (V2_0_21, V2_1_2):
        assert failure_probability(version, knobs(version, memory_limit=5000)) > 0.9
        assert failure_probability(version, knobs(version, memory_limit=2**30)) < 0.05
        assert failure_probability(version, knobs(version)) < 0.05
        assert failure_probability(version, knobs(version, max_packet_size=22)) == 1.0
    assert failure_probability(V2_0_11, knobs(V2_0_11, memory_limit=4_000_000)) < 0.3


def test_the_best_known_was_recorded_and_beats_the_default() -> None:
    for workload, gain in (("telemetry", 2.5), ("fanout", 2.5), ("wan", 20.0)):
        best, rate = best_known(workload, V2_1_2)
        assert any(trial.knobs == best for trial in model_of(workload).trials)
        assert rate > gain * max(1.0, on_time(workload, V2_1_2))


def test_what_was_never_recorded_is_said_in_one_line() -> None:
    with pytest.raises(UsageError, match=r"'day' was never recorded.*pipeline"):
        best_known("day", V2_1_2)
    with pytest.raises(UsageError, match=r"2\.0\.18 was never recorded.*2\.0\.21"):
        best_known("wan", (2, 0, 18))
    with pytest.raises(UsageError, match="not the one that was recorded"):
        surrogate.check_recorded(Profile("telemetry", publishers=3))


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
    with pytest.raises(UsageError, match=r"scikit-learn.*\[bench\]"):
        surrogate.Model(Profile("telemetry", rate=5000.0), dataset.load())
