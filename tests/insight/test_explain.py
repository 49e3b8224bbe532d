"""Responses whose answer is known: what matters is found, what does not is not, and little is said of little."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from brokertuner_tui.insight import LoadInsight, from_json, sentences, to_json
from brokertuner_tui.insight.explaining import OutOfTime, explain_points
from brokertuner_tui.knobs.catalogue import NAMES, KnobValues
from tests.insight import made


@pytest.fixture(scope="module")
def fanout() -> LoadInsight:
    """40 trials of a fan-out."""
    (load,) = explain_points(made.trials(made.fanout, 40, noise=800.0, seed=1))
    return load


def test_the_knobs_that_matter_come_first_and_no_others(fanout: LoadInsight) -> None:
    assert fanout.verdict == "explained"
    assert {knob.knob for knob in fanout.mattering} == {"set_tcp_nodelay", "max_inflight_messages"}
    assert {knob.knob for knob in fanout.knobs[:2]} == {"set_tcp_nodelay", "max_inflight_messages"}
    assert {knob.knob for knob in fanout.knobs} == set(NAMES)
    for knob in fanout.knobs:
        if knob.total is not None and knob.first is not None:
            assert 0 <= knob.total.low <= knob.total.mean <= knob.total.high <= 1
            assert knob.first.mean <= knob.total.mean + 1e-9


def test_shares_are_those_of_the_response(fanout: LoadInsight) -> None:
    """The first-order share of a switch, and its total one, by brute force over the same region."""
    from brokertuner_tui.agent.space import MosquittoSpace
    from brokertuner_tui.env.slo import context
    from brokertuner_tui.insight.region import make_axes, sample
    from brokertuner_tui.knobs import codec

    points = made.trials(made.fanout, 40, noise=800.0, seed=1)
    floor = MosquittoSpace().floor(np.array(context(made.FANOUT, made.VERSION), dtype=np.float32))
    actions = MosquittoSpace().snap(np.stack([codec.encode(point.knobs) for point in points]))
    axes = [axis for axis in make_axes(actions, floor, ()) if axis.knob in ("set_tcp_nodelay", "max_inflight_messages")]
    assert [axis.knob for axis in axes] == ["max_inflight_messages", "set_tcp_nodelay"]
    in_flight = sample(axes, 4000, np.random.default_rng(0))[:, 0]
    values = np.array([codec.decode_knob("max_inflight_messages", x) or 65_535 for x in in_flight])
    on, off = (50_000 * np.minimum(1.0, values / 200) * factor for factor in (1.0, 0.5))
    whole = np.concatenate([on, off]).var()
    total = ((on - off) ** 2 / 4).mean() / whole
    (knob,) = (knob for knob in fanout.knobs if knob.knob == "set_tcp_nodelay")
    assert knob.total is not None
    assert knob.total.low <= total <= knob.total.high


def test_the_optimum_and_what_the_default_costs(fanout: LoadInsight) -> None:
    by_name = {knob.knob: knob for knob in fanout.knobs}
    nodelay, in_flight = by_name["set_tcp_nodelay"], by_name["max_inflight_messages"]
    assert (nodelay.best, nodelay.as_good_from, nodelay.as_good_to) == (True, True, True)
    assert nodelay.default_costs is not None
    assert nodelay.default_costs.low <= 25_000 <= nodelay.default_costs.high
    assert in_flight.default_costs is not None
    assert in_flight.default_costs.mean > 15_000
    assert fanout.best is not None
    assert fanout.best.mean == pytest.approx(50_000, rel=0.1)
    # Everything that is called as good is good; below, nothing is.
    good = [point.value for point in in_flight.curve if _between(in_flight.as_good_from, point.value, in_flight.as_good_to)]
    assert good
    assert min(value or 65_535 for value in good) >= 130
    assert any("set_tcp_nodelay true earns" in sentence for sentence in sentences(fanout))


def _between(low: int | None, value: int, high: int | None) -> bool:
    assert low is not None
    assert high is not None
    return (low or 65_536) <= (value or 65_536) <= (high or 65_536)


@pytest.mark.parametrize("told", [3000.0, 1500.0])
def test_noise_is_explained_by_nothing(told: float) -> None:
    """Also where the windows believe to know more than they do."""
    for seed in range(3):
        (load,) = explain_points(made.trials(lambda _: 30_000.0, 30, noise=3000.0, told=told, seed=seed))
        assert load.verdict in ("flat", "not enough")
        assert all(knob.total is None for knob in load.knobs)
        assert sentences(load) == (load.why,)


def test_a_flat_response_is_said_to_be_flat() -> None:
    (load,) = explain_points(made.trials(lambda _: 30_000.0, 30, noise=50.0))
    assert load.verdict == "flat"
    assert "within 2 % of the best" in load.why
    (load,) = explain_points(made.trials(lambda _: 0.0, 30, noise=0.0))
    assert "nothing that was tried delivers anything on time" in load.why


def test_few_trials_say_nothing() -> None:
    points = made.trials(made.fanout, 40, noise=800.0)
    for few in (1, 2, 7):
        (load,) = explain_points(points[:few])
        assert load.verdict == "not enough"
        assert load.why.startswith("not enough trials to tell")
    assert explain_points([]) == ()


def test_what_is_inert_pinned_or_still_is_said_to_be() -> None:
    def nodelay(knobs: KnobValues) -> float:
        return 5000.0 if knobs["set_tcp_nodelay"] else 1600.0

    held = {"persistence": False, "max_queued_messages": 1000, "memory_limit": 0}
    points = made.trials(nodelay, 24, noise=100.0, profile=made.TELEMETRY, held=held)
    (load,) = explain_points([replace(point, pinned={"max_queued_messages": 1000}) for point in points])
    by_name = {knob.knob: knob for knob in load.knobs}
    assert [knob.knob for knob in load.mattering] == ["set_tcp_nodelay"]
    said = {name: (by_name[name].status, by_name[name].why) for name in by_name if by_name[name].total is None}
    assert said == {
        "max_inflight_messages": ("inert", "only QoS 0 messages"),
        "max_inflight_bytes": ("inert", "only QoS 0 messages"),
        "queue_qos0_messages": ("inert", "no persistent sessions"),
        "autosave_interval": ("inert", "persistence was always off"),
        "max_queued_messages": ("pinned", "pinned at 1,000"),
        "memory_limit": ("not moved", "always no limit"),
        "persistence": ("not moved", "always false"),
    }


def test_loads_are_explained_apart_and_the_same_each_time() -> None:
    def other(knobs: KnobValues) -> float:
        return 5000.0 if knobs["set_tcp_nodelay"] else 1600.0

    mixed = made.trials(made.fanout, 30, noise=800.0, seed=1)
    mixed += made.trials(other, 16, noise=100.0, profile=made.TELEMETRY)
    loads = explain_points(mixed)
    assert [load.profile for load in loads] == ["fanout", "telemetry"]
    assert [knob.knob for knob in loads[1].mattering] == ["set_tcp_nodelay"]
    assert explain_points(mixed) == loads
    again = from_json(json.loads(json.dumps(to_json(loads), allow_nan=False)))
    assert again == loads


def test_it_gives_up_in_time() -> None:
    with pytest.raises(OutOfTime):
        explain_points(made.trials(made.fanout, 40, noise=800.0), limit_s=0.0)
