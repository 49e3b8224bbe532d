"""HTML and SVG in which nothing from outside can become markup: every text is escaped, unless it was made here."""

from __future__ import annotations

import html
from collections.abc import Iterable

_VOID = frozenset({"meta", "br", "hr", "link"})
_ALONE = frozenset({"circle", "line", "path", "rect", "polyline", "polygon"})
_LARGE = 10_000


class Markup(str):
    """Text that is markup already. Only this module makes it out of anything but a literal."""

    __slots__ = ()


def text(value: str) -> Markup:
    """`value` as it is to be read: escaped, and without what is invisible or turns the direction of writing.

    Names come from an operator or from a file of somebody else's; a lone surrogate could not even be written as UTF-8.
    """
    clean = "".join(character if character.isprintable() or character == "\n" else " " for character in value)
    return Markup(html.escape(clean, quote=True))


def el(name: str, /, *children: str | None, **attributes: str | float | bool | None) -> Markup:
    """One element. Children that are not `Markup` are escaped; None is left out.

    Args:
        name: the element's name, a literal of ours.
        children: what is in it, in order.
        attributes: `class_` is `class`, `stroke_width` is `stroke-width`; None and False are left out, True has no value.
    """
    given = "".join(_attribute(key, value) for key, value in attributes.items() if value is not None and value is not False)
    if name in _VOID:
        return Markup(f"<{name}{given}>")
    inside = join(child for child in children if child is not None)
    if name in _ALONE and not inside:
        return Markup(f"<{name}{given}/>")
    return Markup(f"<{name}{given}>{inside}</{name}>")


def join(parts: Iterable[str], between: str = "") -> Markup:
    """All parts, one after the other, escaped where they are not `Markup`."""
    return Markup(_escaped(between).join(_escaped(part) for part in parts))


def number(value: float) -> str:
    """A coordinate: at most one decimal, since a tenth of a pixel is not seen."""
    return f"{value:.1f}".rstrip("0").rstrip(".") if abs(value) < _LARGE else f"{value:.0f}"


def _escaped(part: str) -> str:
    return part if isinstance(part, Markup) else text(part)


def _attribute(key: str, value: str | float | bool) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    return f' {name}="{text(value) if isinstance(value, str) else number(value)}"'
