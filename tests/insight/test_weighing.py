"""What an ablation says is so: on responses that are known, with noise, drift, and knobs that stand in for each other."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from brokertuner_tui.insight.ablation import Ablation
from brokertuner_tui.insight.weighing import Weighed, weigh
from brokertuner_tui.knobs.catalogue import KnobValues
from tests.insight import ablations
from tests.insight.ablations import ablation, fanout


def _weigh(found: Ablation) -> Weighed:
    weighed = weigh(found)
    assert weighed is not None
    return weighed


def test_what_matters_is_told_from_what_does_not() -> None:
    weighed = _weigh(ablation(fanout, noise=0.01))
    assert set(weighed.knobs) == set(ablations.CHANGED)
    assert {name for name, worth in weighed.knobs.items() if worth.matters} == {"set_tcp_nodelay"}
    assert all(worth.shows_nothing for name, worth in weighed.knobs.items() if name != "set_tcp_nodelay")
    nodelay = weighed.knobs["set_tcp_nodelay"].costs
    assert nodelay.low < 25_000 < nodelay.high
    assert nodelay.high - nodelay.low < 5000
    assert weighed.windows == 4


@pytest.mark.parametrize(("noise", "drift", "sure"), [(0.02, 0.0, 0.98), (0.02, 0.02, 0.9), (0.05, 0.0, 0.6)])
def test_intervals_hold_the_truth_and_nothing_is_made_up(noise: float, drift: float, sure: float) -> None:
    """One knob is worth 10 % and three are worth nothing, 200 times, also on a machine that gets slower all the time."""

    def tenth(knobs: KnobValues) -> float:
        return 10_000 * (1.0 if knobs["set_tcp_nodelay"] else 0.9)

    held, made_up, found = 0, 0, 0
    for seed in range(200):
        knobs = _weigh(ablation(tenth, noise=noise, drift=drift, seed=seed)).knobs
        speed = 1.0 if not drift else sum((1 - drift) ** index for index in range(20)) / 20
        for name, worth in knobs.items():
            truth = 1000 * speed if name == "set_tcp_nodelay" else 0.0
            held += worth.costs.low <= truth <= worth.costs.high
            made_up += worth.matters and name != "set_tcp_nodelay"
        found += knobs["set_tcp_nodelay"].matters
    assert held / 800 >= 0.93
    assert made_up / 600 <= 0.035, "one side of a 95 % interval, and a sum that is worth something"
    assert found / 200 >= sure


def test_noise_without_repeats_is_that_of_the_windows() -> None:
    weighed = _weigh(ablation(fanout, noise=0.02, turns=1))
    assert all(worth.costs.high - worth.costs.low > 1000 for worth in weighed.knobs.values())


def test_knobs_that_stand_in_for_each_other_are_not_left_away_together() -> None:
    both = ("max_inflight_messages", "max_queued_messages")
    weighed = _weigh(ablation(fanout, noise=0.01, dropped=(*both, "max_packet_size")))
    assert not any(weighed.knobs[name].matters for name in both)
    assert weighed.simplest is not None
    assert weighed.simplest.costs.mean == pytest.approx(5000, abs=1000)
    assert weighed.simplest.costs.low > 3000
    assert not weighed.simplest_is_as_good
    one = _weigh(ablation(fanout, noise=0.01, dropped=("max_inflight_messages", "max_packet_size")))
    assert one.simplest_is_as_good


def test_a_simpler_setting_that_was_given_up_is_none() -> None:
    found = ablation(fanout, noise=0.01, dropped=("max_inflight_messages", "max_packet_size"))
    weighed = _weigh(replace(found, dropped=()))
    assert weighed.simplest is None
    assert set(weighed.knobs) == set(ablations.CHANGED)


def test_of_one_knob_the_simplest_is_what_was_measured_already() -> None:
    weighed = _weigh(ablation(fanout, noise=0.01, dropped=("max_packet_size",)))
    assert weighed.simplest == weighed.knobs["max_packet_size"]
    assert weighed.simplest_is_as_good
    assert _weigh(ablation(fanout, noise=0.01)).simplest is None


def test_a_knob_that_only_makes_it_faster_matters() -> None:
    def p99(knobs: KnobValues) -> float:
        return 3.0 if knobs["set_tcp_nodelay"] else 42.0

    weighed = _weigh(ablation(lambda knobs: 10_000.0, noise=0.01, p99_ms=p99, dropped=("set_tcp_nodelay", "max_packet_size")))
    worth = weighed.knobs["set_tcp_nodelay"]
    assert (worth.p99_ms, weighed.best_p99_ms) == (42.0, 3.0)
    assert worth.slower
    assert worth.matters
    assert not weighed.knobs["max_packet_size"].matters
    assert not weighed.simplest_is_as_good, "as much, but later"


def test_where_nothing_arrives_there_is_no_p99() -> None:
    def response(knobs: KnobValues) -> float:
        return 10_000.0 if knobs["set_tcp_nodelay"] else 0.0

    def p99(knobs: KnobValues) -> float:
        return 4.0 if knobs["set_tcp_nodelay"] else math.nan

    worth = _weigh(ablation(response, noise=0.01, p99_ms=p99)).knobs["set_tcp_nodelay"]
    assert worth.matters
    assert not worth.slower
    assert math.isnan(worth.p99_ms)


def test_nothing_measured_says_nothing() -> None:
    assert weigh(ablation(fanout, turns=0)) is None
    assert weigh(ablation(fanout, left_out=dict.fromkeys(ablations.CHANGED, "restarts"))) is None
