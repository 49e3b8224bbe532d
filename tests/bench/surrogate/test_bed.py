from __future__ import annotations

from statistics import mean, stdev

import pytest

pytest.importorskip("sklearn", reason="the extra [bench] is not installed")

from brokertuner_tui.bench.bed import Bed
from brokertuner_tui.bench.surrogate.bed import SurrogateBed, open_bed
from brokertuner_tui.bench.surrogate.model import model_of
from brokertuner_tui.config.workloads import resolve, shipped_tables
from brokertuner_tui.env.outcome import Outcome, Verdict
from brokertuner_tui.env.presets import make_preset
from brokertuner_tui.errors import UsageError
from brokertuner_tui.knobs.catalogue import Value, defaults
from brokertuner_tui.workload.profile import Profile, Workload
from brokertuner_tui.workload.window import Window

V2_1_2 = (2, 1, 2)
WORKLOADS = resolve(dict(shipped_tables()))


def bed(workload: str = "telemetry", seed: int = 1) -> SurrogateBed:
    return open_bed(WORKLOADS[workload], V2_1_2, seed)


def test_it_is_a_bed() -> None:
    made: Bed = bed()
    assert made.version == V2_1_2
    assert made.profile == WORKLOADS["telemetry"].at(0)
    assert made.defaults == defaults(V2_1_2)
    made.close()
    made.close()


def test_the_same_seed_and_trials_give_the_same_outcomes_and_another_seed_others() -> None:
    def outcomes(seed: int) -> list[Outcome]:
        made = bed("pipeline", seed)
        return [made.trial(made.defaults | {"max_inflight_messages": limit}) for limit in (20, 50, 400)]

    assert outcomes(3) == outcomes(3)
    assert outcomes(3) != outcomes(4)


@pytest.mark.parametrize("workload", ["telemetry", "pipeline", "wan", "fanout"])
def test_a_window_is_whole(workload: str) -> None:
    made = bed(workload)
    for changed in ({}, {"max_inflight_messages": 4000, "max_queued_messages": 100_000}, {"message_size_limit": 10}):
        outcome = made.trial(made.defaults | changed)
        assert outcome.verdict is Verdict.OK
        window = outcome.window
        assert window is not None
        assert window.on_time + window.late == window.received
        assert sum(count for _, count in window.histogram) == window.received
        in_time = sum(count for bound, count in window.histogram if bound <= made.profile.slo_ms)
        assert in_time == window.on_time
        assert sum(window.on_time_slices) == window.on_time
        assert 0 <= window.p50_ms <= window.p90_ms <= window.p95_ms <= window.p99_ms <= window.max_ms
        assert Window.from_dict(window.as_dict()) == window
        assert outcome.usage.rss_bytes > 1_000_000
    assert make_preset("slo").reward(outcome, outcome) is not None


def test_trials_scatter_as_the_recorded_ones_and_less_in_longer_windows() -> None:
    recorded = [
        trial.figures.on_time_per_s
        for trial, calm in zip(model_of("telemetry").trials, model_of("telemetry").calm, strict=True)
        if calm and trial.kind == "asis" and trial.version == V2_1_2 and trial.figures
    ]
    made = bed()

    def rates(seconds: float) -> list[float]:
        windows = [made.trial(made.defaults, seconds=seconds).window for _ in range(60)]
        return [window.on_time_per_s for window in windows if window]

    short, long = rates(0.6), rates(6.0)
    assert mean(short) == pytest.approx(mean(recorded), rel=0.15)
    assert 0.3 * stdev(recorded) < stdev(short) < 3 * stdev(recorded)
    assert stdev(long) < 0.95 * stdev(short)


def test_what_a_change_takes_is_what_the_catalogue_says() -> None:
    made, how = bed(), []
    steps: list[dict[str, Value]] = [{}, {"queue_qos0_messages": True}, {"set_tcp_nodelay": True}, {"set_tcp_nodelay": True}]
    for changed in steps:
        outcome = made.trial(made.defaults | changed)
        assert outcome.applied is not None
        how.append(outcome.applied.how)
        assert outcome.applied.pid == 1000 + how.count("restart")
    assert how == ["none", "reload", "restart", "none"]


def test_a_setting_that_fails_leaves_the_one_before_in_force_and_costs_its_time() -> None:
    made = bed()
    outcome = made.trial(made.defaults | {"memory_limit": 1000})
    assert outcome.verdict is Verdict.FAILED
    assert outcome.window is None
    assert outcome.applied is None
    assert "memory_limit" in outcome.reason
    assert made.clock_s > 0
    again = made.trial(made.defaults).applied
    assert again is not None
    assert again.how == "none"


def test_the_load_of_a_day_follows_the_clock() -> None:
    made, seen, deliveries = bed("day"), ["telemetry"], 0
    while made.clock_s < 190:
        before = made.profile
        changes = made.follow_schedule()
        assert changes == (made.profile != before)
        if changes:
            seen.append(made.profile.name)
        outcome = made.trial(made.defaults)
        assert outcome.profile == made.profile
        assert outcome.window is not None
        deliveries += outcome.window.on_time
    assert seen == ["telemetry", "pipeline", "fanout", "pipeline", "wan"]
    assert made.on_time_total > deliveries > 0


def test_a_load_that_nobody_recorded_is_refused() -> None:
    with pytest.raises(UsageError, match="'mine' was never recorded"):
        open_bed(Workload.steady(Profile("mine", rate=10)), V2_1_2, 1)
    with pytest.raises(UsageError, match=r"Mosquitto 2\.2\.0 was never recorded"):
        open_bed(WORKLOADS["day"], (2, 2, 0), 1)


def test_a_value_that_is_not_legal_is_refused_and_changes_nothing() -> None:
    made = bed()
    with pytest.raises(UsageError, match="max_packet_size"):
        made.trial(made.defaults | {"max_packet_size": 3})
    assert made.clock_s == 0
