"""What is drawn lies where its values say, inside the drawing."""

from __future__ import annotations

import math

import pytest

from brokertuner_tui.html.chart import NARROW, WIDE, Key, Plot, Point, figure, figure_of_many, mark, small_figure
from brokertuner_tui.html.rows import Row, rows
from brokertuner_tui.html.scale import counting, linear
from tests.html.reading import Element, numbers, read


def _plot(width: int = WIDE) -> Plot:
    return Plot(
        "Goodput.", counting(1, 10), linear([0.0, 100.0]), width=width, height=300, x_title="trial", y_title="per second"
    )


def _drawn(plot: Plot) -> Element:
    (drawing,) = read(plot.svg()).all("svg")
    return drawing


def test_a_point_with_its_error_bar() -> None:
    plot = _plot()
    plot.marks([Point(5, 50.0, 'the <fifth> & "middle" one', low=25.0, high=75.0)], "ours", "circle")
    drawing = _drawn(plot)
    assert drawing.attributes["aria-label"] == "Goodput."
    (group,) = [group for group in drawing.all("g") if group.attributes["class"] == "ours"]
    assert group.all("title")[0].text == 'the <fifth> & "middle" one'
    (circle,) = group.all("circle", "fill")
    top, bottom = plot.y.end, plot.y.start
    assert float(circle.attributes["cy"]) == pytest.approx((top + bottom) / 2, abs=0.1)
    _, low, high, *_ = numbers(group.all("path", "bar")[0].attributes["d"])
    assert low == pytest.approx(bottom - (bottom - top) / 4, abs=0.1)
    assert high == pytest.approx(top + (bottom - top) / 4, abs=0.1)


def test_axes_have_ticks_and_names() -> None:
    drawing = _drawn(_plot())
    texts = [text.text for text in drawing.all("text")]
    assert {"0", "25", "50", "75", "100", "1", "10", "trial", "per second"} <= set(texts)
    named = Plot("s", counting(0, 1), linear([1.0]), width=300, height=200, x_title="", y_title="y", x_labels={0.0: "<off>"})
    assert [text.text for text in _drawn(named).all("text", "tick")][-1] == "<off>"


def test_lines_break_where_nothing_is_known() -> None:
    plot = _plot()
    plot.line([(1, 10.0), (2, 20.0), (3, math.nan), (4, 30.0), (5, 30.0)], "best", steps=True)
    plot.line([(1, math.nan)], "best")
    plot.level(40.0, "slo", name="SLO")
    plot.band([(1, 5.0, 10.0), (2, math.nan, 3.0), (3, 6.0, 12.0)], "ours")
    plot.band([(1, 5.0, 10.0)], "ours")
    plot.rug([Point(3, 0.0, "restart")], "muted")
    plot.stretch(1, 5, "fanout", shaded=True)
    drawing = _drawn(plot)
    line, level = drawing.all("path", "stroke")[:2]
    assert line.attributes["d"].count("M") == 2
    assert "dashed" in level.attributes["class"]
    (area,) = drawing.all("path", "area")
    assert len(numbers(area.attributes["d"])) == 8
    assert "fanout" in drawing.text


def test_every_mark_is_another_shape() -> None:
    shapes = ("circle", "ring", "cross", "square", "diamond", "triangle")
    drawn = {mark(shape, 10, 10, 4) for shape in shapes}
    assert len(drawn) == len(shapes)
    (group,) = read(figure("t", lambda width: _plot(width).svg(), keys=[Key(shape, "ours", shape) for shape in shapes])).all(
        "ul"
    )
    assert [item.text for item in group.all("li")] == list(shapes)


def test_a_figure_is_drawn_for_a_phone_as_well() -> None:
    (made,) = read(figure("Title", lambda width: _plot(width).svg(), note="note")).all("figure")
    widths = {name: made.all("div", name)[0].all("svg")[0].attributes["viewbox"].split()[2] for name in ("wide", "narrow")}
    assert widths == {"wide": str(WIDE), "narrow": str(NARROW)}
    assert made.all("figcaption")[0].text == "Title"
    many = read(figure_of_many("All", [small_figure("one", _plot(300).svg())], note="n"))
    assert [caption.text for caption in many.all("figcaption")] == ["one"]


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("is_log", [False, True])
def test_rows(width: int, is_log: bool) -> None:
    given = [
        Row("default", 20.0, 10.0, 30.0, says="20/s [10, 30]", role="default", single=(15.0, 25.0)),
        Row("best <b>", 40.0, 38.0, 42.0, says="40/s [38, 42]", role="best", shape="diamond"),
        Row("nothing", math.nan, says="–"),
        Row("share", 35.0, 30.0, 40.0, says="35 %", bar=True),
    ]
    draw = rows("Two rows.", given, x_title="per second", is_log=is_log, reference=(50.0, "SLO"))
    drawing = read(draw(width)).all("svg")[0]
    names = [text.text for text in drawing.all("text", "label")]
    assert names == ["default", "best <b>", "nothing", "share"]
    assert [text.text for text in drawing.all("text", "value")] == [row.says for row in given]
    default, best, nothing, share = drawing.all("g")
    assert len(default.all("circle", "faint")) == 2
    low, _, high, *_ = numbers(default.all("path", "stroke")[0].attributes["d"])
    circle = float(default.all("circle", "fill")[-1].attributes["cx"])
    assert low < circle < high <= width
    assert numbers(best.all("path", "stroke")[0].attributes["d"])[0] > low
    assert not nothing.all("path", "stroke")
    assert float(share.all("rect")[0].attributes["width"]) > 0
    assert len({float(group.all("text", "label")[0].attributes["y"]) for group in (default, best, nothing, share)}) == 4
