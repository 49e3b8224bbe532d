"""Figures side by side: a row for each, with its name, its interval, and every single measurement behind it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from brokertuner_tui.html.chart import NARROW, mark, svg
from brokertuner_tui.html.markup import Markup, el, number
from brokertuner_tui.html.scale import Scale, linear, logarithmic, short

_LETTER = 7.9


@dataclass(frozen=True, slots=True)
class Row:
    """One figure."""

    name: str
    value: float
    """Not finite: there is none, and only `says` is shown."""
    low: float | None = None
    high: float | None = None
    says: str = ""
    """The figure in words; at the right."""
    role: str = "plain"
    single: tuple[float, ...] = ()
    """What it was made of."""
    shape: str = "circle"
    bar: bool = False
    """Drawn as a bar from the axis' beginning, for shares."""


def rows(
    says: str,
    given: Sequence[Row],
    *,
    x_title: str,
    is_log: bool = False,
    reference: tuple[float, str] | None = None,
    at_least: float = 0.0,
) -> Callable[[int], Markup]:
    """What `chart.figure` draws: the rows from top to bottom on one axis.

    Args:
        says: for those who cannot see it.
        reference: a value with its name, drawn through all rows.
        at_least: the axis goes so far, whatever the values.
    """
    values = [number for row in given for number in _values(row) if math.isfinite(number)]
    if reference is not None:
        values.append(reference[0])

    def draw(width: int) -> Markup:
        narrow = width <= NARROW
        ticks = 4 if narrow else 7
        scale = logarithmic(values, ticks=ticks) if is_log else linear([*values, at_least], ticks=ticks)
        return _drawn(says, given, scale, x_title, reference, width=width, narrow=narrow)

    return draw


def _values(row: Row) -> list[float]:
    return [row.value, *(end for end in (row.low, row.high) if end is not None), *row.single]


def _drawn(
    says: str,
    given: Sequence[Row],
    scale: Scale,
    x_title: str,
    reference: tuple[float, str] | None,
    *,
    width: int,
    narrow: bool,
) -> Markup:
    names = 0.0 if narrow else 12 + _LETTER * max((len(row.name) for row in given), default=0)
    words = 0.0 if narrow else 14 + _LETTER * max((len(row.says) for row in given), default=0)
    pitch, top = (48 if narrow else 30), 20
    bottom = top + pitch * len(given)
    # Half a tick's label must fit beside the axis.
    scale = scale.between(max(names, 14.0), width - max(words, 18.0))
    parts = [el("path", class_="grid", d="".join(f"M{number(scale.at(tick))} {top}V{bottom}" for tick in scale.ticks))]
    if reference is not None:
        x = scale.at(reference[0])
        parts.append(el("path", class_="stroke reference dashed", d=f"M{number(x)} {top - 4}V{bottom}"))
        late = x > width / 2
        parts.append(
            el(
                "text",
                reference[1],
                class_="small",
                x=x + (3 if late else -3),
                y=top - 8,
                text_anchor="end" if late else "start",
            )
        )
    for place, row in enumerate(given):
        y = top + pitch * place + (34 if narrow else pitch / 2)
        parts.append(_row(row, scale, y, width=width, narrow=narrow))
    for tick in scale.ticks:
        parts.append(el("text", short(tick), class_="tick", x=scale.at(tick), y=bottom + 16, text_anchor="middle"))
    parts.append(el("text", x_title, class_="small", x=scale.end, y=bottom + 33, text_anchor="end"))
    return svg(says, width, bottom + 40, parts)


def _row(row: Row, scale: Scale, y: float, *, width: int, narrow: bool) -> Markup:
    text_y = y - 16 if narrow else y + 4
    parts = [
        el("title", f"{row.name}: {row.says}"),
        el("text", row.name, class_="label", x=0, y=text_y),
        el("text", row.says, class_="value", x=width, y=text_y, text_anchor="end"),
    ]
    if row.bar and math.isfinite(row.value):
        length = scale.at(row.value) - scale.start
        parts.append(el("rect", class_="fill soft", x=scale.start, y=y - 7, width=max(0.0, length), height=14))
    parts += [
        el("circle", class_="fill faint", cx=scale.at(value), cy=y, r=3.5) for value in row.single if math.isfinite(value)
    ]
    if row.low is not None and row.high is not None and math.isfinite(row.low + row.high):
        low, high = number(scale.at(row.low)), number(scale.at(row.high))
        ends = f"M{low} {number(y - 5)}v10M{high} {number(y - 5)}v10"
        role = "stroke reference" if row.bar else "stroke thick"
        parts.append(el("path", class_=role, d=f"M{low} {number(y)}H{high}{ends}"))
    if math.isfinite(row.value) and not row.bar:
        parts.append(mark(row.shape, scale.at(row.value), y, 5.0))
    return el("g", *parts, class_=row.role)
