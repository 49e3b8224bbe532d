"""Charts as inline SVG. Colours are CSS classes (`style.py`), so that one drawing serves light, dark and print."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from brokertuner_tui.html.markup import Markup, el, join, number
from brokertuner_tui.html.scale import Scale, short

WIDE, NARROW = 840, 380
"""Widths in pixels: on a screen or on paper, and on a phone. A drawing that is only shrunk could not be read there."""
_HIT = 11.0
_LETTER = 7.6
"""About the width of a letter of a label, in pixels."""


@dataclass(frozen=True, slots=True)
class Point:
    """Something that was measured, and what is said of it when it is pointed at."""

    x: float
    y: float
    says: str = ""
    low: float | None = None
    high: float | None = None
    """The ends of its error bar."""


@dataclass(frozen=True, slots=True)
class Key:
    """One line of a legend."""

    name: str
    role: str
    shape: str
    """A mark's (`marks`), or `line`, `dashes`, `band`, `bar`."""


def figure(title: str, draw: Callable[[int], Markup], *, keys: Sequence[Key] = (), note: str = "") -> Markup:
    """A chart with its title, legend and note, drawn for both widths; CSS shows the one that fits.

    Args:
        draw: gives the SVG for a width in pixels.
    """
    return el(
        "figure",
        el("figcaption", title),
        _legend(keys),
        el("div", draw(WIDE), class_="wide"),
        el("div", draw(NARROW), class_="narrow"),
        el("p", note, class_="note") if note else None,
    )


def small_figure(title: str, drawing: Markup) -> Markup:
    """A chart that is one of many: small enough for a phone as it is."""
    return el("figure", el("figcaption", title), drawing)


def figure_of_many(title: str, charts: Sequence[Markup], *, keys: Sequence[Key] = (), note: str = "") -> Markup:
    """Small charts beside each other, under one title, legend and note."""
    return el(
        "div",
        el("p", el("b", title), class_="of-many"),
        _legend(keys),
        el("div", *charts, class_="grid-of-charts"),
        el("p", note, class_="note") if note else None,
    )


class Plot:
    """A plane with two axes, on which things are drawn in the order in which they are asked for.

    Args:
        says: what it shows in words, for those who cannot see it.
        x_labels: names for places on the x axis, in the place of its ticks.
    """

    def __init__(
        self,
        says: str,
        x: Scale,
        y: Scale,
        *,
        width: int,
        height: int,
        x_title: str,
        y_title: str,
        x_labels: Mapping[float, str] | None = None,
    ) -> None:
        left = 14 + _LETTER * max((len(short(tick)) for tick in y.ticks), default=1)
        self._says, self._width, self._height = says, width, height
        self.x = x.between(left, width - 10)
        self.y = y.between(height - 40, 26)
        self._parts = [self._grid(), *self._axis(x_title, y_title, x_labels or {tick: short(tick) for tick in x.ticks})]

    def svg(self) -> Markup:
        """What was drawn so far."""
        return svg(self._says, self._width, self._height, self._parts)

    def stretch(self, first: float, last: float, name: str, *, shaded: bool) -> None:
        """A part of the x axis with a name of its own, such as a phase of the load."""
        left, right = self.x.at(first), self.x.at(last)
        if shaded:
            height = self.y.start - self.y.end
            self._parts.append(el("rect", class_="shade", x=left, y=self.y.end, width=right - left, height=height))
        if len(name) * _LETTER < right - left:
            self._parts.append(el("text", name, class_="small", x=left + 4, y=self.y.end + 12))

    def line(self, points: Iterable[tuple[float, float]], role: str, *, dashed: bool = False, steps: bool = False) -> None:
        """A line through `points`; with `steps` it goes on level until the next one."""
        path, previous = "", None
        for x, y in points:
            if not math.isfinite(y):
                previous = None
                continue
            here = number(self.x.at(x)), number(self.y.at(y))
            if previous is None:
                path += f"M{here[0]} {here[1]}"
            else:
                path += f"H{here[0]}V{here[1]}" if steps else f"L{here[0]} {here[1]}"
            previous = here
        if path:
            self._parts.append(el("path", class_=f"stroke {role}{' dashed' if dashed else ''}", d=path))

    def level(self, y: float, role: str, *, first: float | None = None, last: float | None = None, name: str = "") -> None:
        """A dashed line at the height of `y`, from `first` to `last` (all the way)."""
        ends = self.x.low if first is None else first, self.x.high if last is None else last
        self.line([(ends[0], y), (ends[1], y)], role, dashed=True)
        if name:
            above = self.y.at(y) - 5
            place = above if above > self.y.end + 8 else above + 18
            self._parts.append(
                el("text", name, class_=f"small text {role}", x=self.x.at(ends[1]) - 4, y=place, text_anchor="end")
            )

    def band(self, points: Iterable[tuple[float, float, float]], role: str) -> None:
        """The area between the lower and the upper of (x, low, high)."""
        known = [point for point in points if math.isfinite(point[1]) and math.isfinite(point[2])]
        if len(known) < 2:
            return
        upper = [f"{number(self.x.at(x))} {number(self.y.at(high))}" for x, _, high in known]
        lower = [f"{number(self.x.at(x))} {number(self.y.at(low))}" for x, low, _ in reversed(known)]
        self._parts.append(el("path", class_=f"area {role}", d=f"M{'L'.join([*upper, *lower])}Z"))

    def marks(self, points: Iterable[Point], role: str, shape: str, *, size: float = 4.0) -> None:
        """A mark for each point, with its error bar; pointing at it says what it is."""
        for point in points:
            x, y = self.x.at(point.x), self.y.at(point.y)
            parts = []
            if point.low is not None and point.high is not None:
                parts.append(el("path", class_="stroke bar", d=_upright(x, self.y.at(point.low), self.y.at(point.high))))
            parts.append(mark(shape, x, y, size))
            self._parts.append(_pointed(parts, x, y, point.says, role))

    def rug(self, at: Iterable[Point], role: str) -> None:
        """Short strokes right below the x axis."""
        for point in at:
            x, y = self.x.at(point.x), self.y.start
            self._parts.append(
                _pointed([el("path", class_="stroke", d=f"M{number(x)} {number(y + 1)}v6")], x, y + 4, point.says, role)
            )

    def _grid(self) -> Markup:
        left, right = number(self.x.start), number(self.x.end)
        lines = "".join(f"M{left} {number(self.y.at(tick))}H{right}" for tick in self.y.ticks)
        return el("path", class_="grid", d=lines)

    def _axis(self, x_title: str, y_title: str, x_labels: Mapping[float, str]) -> list[Markup]:
        left, bottom = self.x.start, self.y.start
        parts = [
            el("text", short(tick), class_="tick", x=left - 7, y=self.y.at(tick) + 4, text_anchor="end")
            for tick in self.y.ticks
        ]
        for value, label in x_labels.items():
            # A label at an end of the axis must not be cut off.
            place = min(self.x.at(value), self._width - _LETTER * len(label) / 2)
            parts.append(el("text", label, class_="tick", x=place, y=bottom + 20, text_anchor="middle"))
        parts.append(el("path", class_="axis", d=f"M{number(left)} {number(bottom)}H{number(self.x.end)}"))
        parts.append(el("text", y_title, class_="small", x=0, y=12))
        if x_title:
            parts.append(el("text", x_title, class_="small", x=self.x.end, y=bottom + 36, text_anchor="end"))
        return parts


def mark(shape: str, x: float, y: float, size: float) -> Markup:
    """A filled `circle`, `square`, `diamond` or `triangle`, or a `cross` or `ring` of lines: told apart without colours."""
    if shape in ("circle", "ring"):
        return el("circle", class_="fill" if shape == "circle" else "stroke hollow", cx=x, cy=y, r=size)
    if shape == "cross":
        a, b = number(2 * size), number(-2 * size)
        return el("path", class_="stroke thick", d=f"M{number(x - size)} {number(y - size)}l{a} {a}m0 {b}l{b} {a}")
    corners = {
        "square": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
        "diamond": ((0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)),
        "triangle": ((0.0, -1.2), (1.15, 0.9), (-1.15, 0.9)),
    }[shape]
    path = "L".join(f"{number(x + size * dx)} {number(y + size * dy)}" for dx, dy in corners)
    return el("path", class_="fill", d=f"M{path}Z")


def _legend(keys: Sequence[Key]) -> Markup | None:
    return el("ul", *(el("li", swatch(key), key.name) for key in keys), class_="legend") if keys else None


def swatch(key: Key) -> Markup:
    """What a legend shows beside a name."""
    if key.shape in ("line", "dashes"):
        inside = el("path", class_=f"stroke {'dashed' if key.shape == 'dashes' else ''}", d="M1 8H23")
    elif key.shape == "band":
        inside = el("path", class_="area", d="M1 3H23V13H1Z")
    elif key.shape == "bar":
        inside = el("path", class_="stroke", d="M12 4v8")
    else:
        inside = mark(key.shape, 12, 8, 4.5)
    return el("svg", inside, class_=f"swatch {key.role}", viewBox="0 0 24 16", aria_hidden="true")


def _upright(x: float, low: float, high: float) -> str:
    across = f"M{number(x - 3)} {{}}h6"
    return f"M{number(x)} {number(low)}V{number(high)}" + across.format(number(low)) + across.format(number(high))


def _pointed(parts: Sequence[Markup], x: float, y: float, says: str, role: str) -> Markup:
    hit = el("circle", class_="hit", cx=x, cy=y, r=_HIT) if says else None
    return el("g", el("title", says) if says else None, *parts, hit, class_=role)


def svg(says: str, width: float, height: float, parts: Iterable[Markup]) -> Markup:
    """The drawing, and what it shows in words, for those who cannot see it."""
    return el("svg", join(parts), viewBox=f"0 0 {number(width)} {number(height)}", role="img", aria_label=says)
