"""What a run taught is drawn as it is told."""

from __future__ import annotations

from dataclasses import replace

from brokertuner_tui.html import insight_parts
from brokertuner_tui.html.markup import el
from brokertuner_tui.insight.results import CurvePoint, Estimate, KnobInsight, LoadInsight
from brokertuner_tui.knobs.catalogue import defaults
from tests.html.reading import numbers, read
from tests.store import made

NODELAY = KnobInsight(
    "set_tcp_nodelay",
    "matters",
    "",
    False,
    True,
    total=Estimate(0.62, 0.48, 0.75),
    first=Estimate(0.5, 0.4, 0.6),
    default_costs=Estimate(24_100.0, 22_000.0, 26_200.0),
    as_good_from=True,
    as_good_to=True,
    curve=(CurvePoint(False, 25_900.0, 24_000.0, 28_000.0), CurvePoint(True, 50_000.0, 49_000.0, 51_000.0)),
)
INFLIGHT = KnobInsight(
    "max_inflight_messages",
    "matters",
    "",
    20,
    2000,
    total=Estimate(0.3, 0.2, 0.4),
    as_good_from=300,
    as_good_to=0,
    open_above=True,
    curve=tuple(CurvePoint(value, 40_000.0 + place, 30_000.0, 50_000.0) for place, value in enumerate((20, 300, 2000, 0))),
)
QUEUE = KnobInsight("max_queued_messages", "no sign", "", 1000, 1000, total=Estimate(0.01, 0.0, 0.05))
PINNED = KnobInsight("persistence", "pinned", "pinned", False, False)
LOAD = LoadInsight(
    profile="<fanout>",
    verdict="explained",
    why="",
    trials=40,
    settings=35,
    in_percent=False,
    noise=500.0,
    explained=0.9,
    tolerance=1000.0,
    best_trial=12,
    best_knobs=defaults(),
    best=Estimate(50_000.0, 49_000.0, 51_000.0),
    default=Estimate(1000.0, 0.0, 2000.0),
    knobs=(NODELAY, INFLIGHT, QUEUE, PINNED),
)


def test_importance_and_flatness() -> None:
    page = read(el("main", *insight_parts.parts([LOAD])))
    assert "set_tcp_nodelay true earns" in page.all("li")[0].text
    importance, *curves = page.all("figure")
    wide = importance.all("div", "wide")[0]
    assert [text.text for text in wide.all("text", "label")] == [
        "set_tcp_nodelay",
        "max_inflight_messages",
        "max_queued_messages",
    ]
    assert wide.all("text", "value")[0].text == "62 % [48, 75]"
    widths = [float(bar.attributes["width"]) for bar in wide.all("rect", "fill")]
    assert widths == sorted(widths, reverse=True)
    assert "Without a figure: persistence (pinned)" in importance.text
    assert "predicts 90 %" in importance.text
    assert [curve.all("figcaption")[0].text for curve in curves] == ["set_tcp_nodelay", "max_inflight_messages"]
    switch, limit = curves
    assert [text.text for text in switch.all("text", "tick")][-2:] == ["false", "true"]
    assert limit.all("text", "tick")[-1].text == "no limit"
    for curve in curves:
        assert len(curve.all("rect", "shade")) == 1
        assert len(curve.all("g", "best")) == 1
        assert len(curve.all("path", "area")) == 1
    assert len(numbers(limit.all("path", "area")[0].attributes["d"])) == 2 * 2 * 4


def test_what_single_knobs_are_worth() -> None:
    load = made.with_ablation(left_out={"memory_limit": "it could not be measured without it"})
    page = read(el("main", *insight_parts.parts([replace(load, verdict="not enough", why="not enough trials to tell")])))
    (worth,) = page.all("figure")
    wide = worth.all("div", "wide")[0]
    assert [text.text for text in wide.all("text", "label")] == ["set_tcp_nodelay", "max_inflight_messages"]
    assert [text.text for text in wide.all("text", "value")] == ["24.0k/s [22.9k/s, 25.1k/s]", "150/s [-450/s, 750/s]"]
    assert "worth nothing" in wide.text
    assert "3 windows each, in turns with the best" in worth.text
    assert "Not measured: memory_limit: it could not be measured without it" in worth.text
    assert "24.0k/s [22.9k/s, 25.1k/s]" in page.all("table")[0].text
    both = read(el("main", *insight_parts.parts([load])))
    assert len(both.all("figure")) > 2, "shares of variance as well, where there are some"


def test_several_loads_and_none() -> None:
    assert insight_parts.parts([]) == []
    flat = replace(
        LOAD, profile="telemetry", verdict="flat", why="no knob shows: all settings are within 2% of the best", knobs=()
    )
    page = read(el("main", *insight_parts.parts([LOAD, flat])))
    assert [title.text for title in page.all("h3")] == ["<fanout>", "telemetry"]
    assert flat.why in page.text
    assert len(page.all("figure")) == 3
