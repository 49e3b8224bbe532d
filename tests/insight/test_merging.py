"""What was measured of single knobs, beside what the trials say."""

from __future__ import annotations

import json
from dataclasses import replace

from brokertuner_tui.insight import LoadInsight, from_json, sentences, to_json, words
from brokertuner_tui.insight.ablation import Ablation
from brokertuner_tui.insight.explaining import explain_points
from brokertuner_tui.insight.points import Point
from brokertuner_tui.knobs.catalogue import NAMES, defaults
from tests.insight import made
from tests.insight.ablations import BEST_KNOBS, ablation, fanout

DROPPED = ("max_inflight_messages", "max_packet_size")


def _explained(*ablations: Ablation, trials: int = 7) -> LoadInsight:
    """Of a run that has tried two settings."""
    points = [
        Point(
            number,
            made.FANOUT,
            made.VERSION,
            BEST_KNOBS if number > 1 else defaults(made.VERSION),
            fanout(BEST_KNOBS if number > 1 else defaults(made.VERSION)),
            500.0,
            best_trial=min(number, 2),
        )
        for number in range(1, trials + 1)
    ]
    (load,) = explain_points(points, ablations)
    return load


def test_a_run_that_tried_next_to_nothing_says_what_its_knobs_are_worth() -> None:
    assert sentences(_explained()) == ("not enough trials to tell: 2 different settings were measured",)
    load = _explained(ablation(fanout, noise=0.01, dropped=DROPPED))
    assert load.verdict == "not enough"
    assert load.has_figures
    assert [knob.knob for knob in load.mattering] == ["set_tcp_nodelay"]
    assert {knob.knob for knob in load.knobs} == set(NAMES)
    assert {knob.knob: knob.status for knob in load.knobs if knob.is_measured} == {
        "set_tcp_nodelay": "matters",
        **dict.fromkeys(("max_inflight_messages", "max_queued_messages", "max_packet_size"), "no sign"),
    }
    said = sentences(load)
    assert said[0].startswith("set_tcp_nodelay true earns +2")
    assert set(said[1].removesuffix(" do not show.").split(", ")) == {
        "max_inflight_messages", "max_packet_size", "max_queued_messages",
    }, "nothing of knobs that stayed"  # fmt: skip
    assert said[-2].startswith("It does as well with max_inflight_messages, max_packet_size back at the defaults (")
    assert said[-1] == "From the trials alone: not enough trials to tell: 2 different settings were measured."


def test_what_is_simpler_and_not_as_good_is_not_called_so() -> None:
    both = ("max_inflight_messages", "max_queued_messages")
    load = _explained(ablation(fanout, noise=0.01, dropped=both))
    assert load.ablation is not None
    assert not load.ablation.is_as_good
    (said,) = (sentence for sentence in sentences(load) if "max_queued_messages back" in sentence)
    assert said.startswith(f"All of {', '.join(both)} back at the defaults cost ")


def test_measuring_and_a_model_stand_side_by_side() -> None:
    points = made.trials(made.fanout, 40, noise=800.0, seed=1)
    (alone,) = explain_points(points)
    own = replace(ablation(fanout, noise=0.01), best_knobs=alone.best_knobs)
    (load,) = explain_points(points, [own])
    assert load.verdict == "explained"
    nodelay, before = (next(knob for knob in one.knobs if knob.knob == "set_tcp_nodelay") for one in (load, alone))
    assert (nodelay.total, nodelay.curve) == (before.total, before.curve)
    assert nodelay.is_measured
    assert nodelay.default_costs != before.default_costs


def test_an_ablation_of_another_setting_or_load_says_nothing() -> None:
    found = ablation(fanout, noise=0.01)
    other = replace(found, best_knobs={**BEST_KNOBS, "max_inflight_messages": 501})
    assert _explained(other) == _explained(replace(found, profile="wan")) == _explained()
    # Of several the last one of this setting counts.
    newer = ablation(fanout, noise=0.01, seed=5)
    assert _explained(found, newer, other) == _explained(newer)


def test_what_breaks_the_slo_matters_whatever_else_is_known() -> None:
    why = {"max_queued_messages": "breaks the SLO without it"}
    load = _explained(ablation(fanout, noise=0.01, left_out=why, broke=("max_queued_messages",)))
    (knob,) = (knob for knob in load.knobs if knob.knob == "max_queued_messages")
    assert knob.status == "matters"
    assert "max_queued_messages 5,000 is needed: breaks the SLO without it" in sentences(load)[0]
    assert words.worth(knob, load) == "What it is worth was not measured: breaks the SLO without it."


def test_what_was_not_measured_says_why() -> None:
    why = {"set_tcp_nodelay": "it takes 14 restarts, and there are not as many left"}
    load = _explained(ablation(fanout, noise=0.01, left_out=why))
    (knob,) = (knob for knob in load.knobs if knob.knob == "set_tcp_nodelay")
    assert (knob.status, knob.is_measured) == ("unclear", False)
    assert "14 restarts" in words.worth(knob, load)


def test_the_line_for_a_config() -> None:
    load = _explained(ablation(fanout, p99_ms=lambda knobs: 4.0 if knobs["set_tcp_nodelay"] else 40.0))
    told = {knob.knob: words.worth(knob, load) for knob in load.knobs}
    assert told["set_tcp_nodelay"] == (
        "Its default costs 25.0k/s [25.0k/s, 25.0k/s] of 50.0k/s on time, p99 40 instead of 4 ms."
    )
    assert told["max_packet_size"].startswith("No sign that it is worth anything: its default costs 0/s [")
    assert told["memory_limit"] == ""


def test_json_keeps_it_whole() -> None:
    load = _explained(ablation(fanout, noise=0.01, dropped=DROPPED, left_out={"max_queued_messages": "why"}))
    assert from_json(json.loads(json.dumps(to_json([load])))) == (load,)
