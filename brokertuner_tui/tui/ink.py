"""Styles by what they say, and how lines are put together. The colours come from the theme."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from textual.content import Content

from brokertuner_tui.tui.model import Tone

ACCENT = "$primary"
QUIET = "$quiet"
LINE = "$line"
BETTER = "$better"
WORSE = "$worse"
BEST = "$best"
HAND = "$hand"
BOLD = "bold"

TONES: dict[Tone, str] = {
    "plain": "",
    "quiet": QUIET,
    "better": BETTER,
    "worse": WORSE,
    "best": BEST,
    "hand": HAND,
    "warning": HAND,
}

Part = str | tuple[str, str] | Content


def line(*parts: Part) -> Content:
    """One line of texts, each with or without a style. Nothing in them is read as markup."""
    return Content.assemble(*parts)


def fit(parts: Iterable[Content], width: int, gap: str = "   ") -> Content:
    """As many of `parts` as fit into `width`, the first the most important."""
    kept: list[Content] = []
    used = 0
    for part in parts:
        if not part:
            continue
        needed = part.cell_length + (len(gap) if kept else 0)
        if used + needed > width and kept:
            continue
        kept.append(part)
        used += needed
    return Content(gap).join(kept)


def sides(left: Content, right: Content, width: int) -> Content:
    """`left` and, flush right, `right` where there is room for it."""
    space = width - left.cell_length - right.cell_length
    if space < 1:
        return left.truncate(width, ellipsis=True)
    return left + " " * space + right


def cell(text: str, width: int, style: str = "", *, right: bool = False) -> Content:
    """A column of a table: cut or filled to `width`."""
    content = Content(text).truncate(width, ellipsis=True)
    space = " " * (width - content.cell_length)
    content = Content(space) + content if right else content + space
    return content.stylize(style) if style else content


def hanging(label: Content, text: str, width: int, style: str = "") -> list[Content]:
    """`label`, and beside it `text`, wrapped so that it stays on the label's right."""
    indent = label.cell_length
    rows = textwrap.wrap(text, max(16, width - indent)) or [""]
    return [line(label, (rows[0], style)), *(line(" " * indent, (row, style)) for row in rows[1:])]


def lines(rows: Sequence[Content]) -> Content:
    """Several lines."""
    return Content("\n").join(rows)
