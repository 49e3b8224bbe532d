"""The last step before the terminal: plain characters where it has no others, and no colours where none are wanted.

Both are Textual line filters, so that they hold for every widget, Textual's own too, and nothing can be forgotten.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import lru_cache

from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

_BRAILLE = {}
for _dots in range(256):
    # Dots 1, 2, 4, 5 are the upper half of a cell, 3, 6, 7, 8 the lower.
    _upper, _lower = bool(_dots & 0b0001_1011), bool(_dots & 0b1110_0100)
    _BRAILLE[0x2800 + _dots] = {(False, False): " ", (True, False): "'", (False, True): ".", (True, True): ":"}[_upper, _lower]

_PLAIN: Mapping[str, str] = {
    # what the app means something by
    "●": "*", "○": "o", "▲": "^", "▼": "v", "■": "#", "·": ".", "↻": "R", "⟳": "r", "✓": "+", "✗": "x", "◆": "+",
    "▶": ">", "‖": "|", "→": ">", "←": "<", "↑": "^", "↓": "v", "×": "x", "±": "~", "–": "-", "—": "-", "…": "~", "∞": "*",
    "≤": "<", "≥": ">", "²": "2", "³": "3", "µ": "u", "☾": "z", "»": ">",
    # bars, sparklines
    "▁": "_", "▂": ".", "▃": "-", "▄": "=", "▅": "+", "▆": "*", "▇": "%", "█": "#", "░": ".", "▒": ":", "▓": "%",
    "▰": "#", "▱": ".", "▀": "'", "▌": "|", "▐": "|", "▊": "|", "▎": "|", "▍": "|", "▏": "|", "▉": "#", "▋": "#", "▕": "|",
    "▔": "'", "▖": ".", "▗": ".", "▘": "'", "▝": "'", "▙": "#", "▚": "#", "▛": "#", "▜": "#", "▞": "#", "▟": "#",
    # boxes: light
    "─": "-", "│": "|", "┄": "-", "┆": "|", "┈": "-", "┊": ":", "╭": "+", "╮": "+", "╯": "+", "╰": "+", "┌": "+", "┐": "+",
    "└": "+", "┘": "+", "├": "+", "┤": "+", "┬": "+", "┴": "+", "┼": "+", "╴": "-", "╵": "|", "╶": "-", "╷": "|",
    # heavy, double
    "━": "=", "┃": "#", "┅": "=", "┏": "#", "┓": "#", "┗": "#", "┛": "#", "┣": "#", "┫": "#", "┳": "#", "┻": "#", "╋": "#",
    "╸": "=", "╹": "#", "╺": "=", "╻": "#", "═": "=", "║": "#",
    # what Textual's own widgets draw
    "⭘": "o", "▪": "#", "◼": "#", "⏵": ">", "▸": ">", "▾": "v", "◀": "<", "🔎": "/ ", "🔍": "/ ", "✔": "+", "⌕": "/",
}  # fmt: skip
_TABLE: Mapping[int, str] = {**_BRAILLE, **{ord(glyph): plain for glyph, plain in _PLAIN.items()}}


@lru_cache(4096)
def plain_text(text: str) -> str:
    """`text` in ASCII, as wide as it was."""
    if text.isascii():
        return text
    text = text.translate(_TABLE)
    return text if text.isascii() else "".join(char if char.isascii() else "?" for char in text)


class PlainCharacters(LineFilter):
    """Puts an ASCII character in the place of every other one."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """See `LineFilter`."""
        return [Segment(plain_text(text), style, control) for text, style, control in segments]


class NoColours(LineFilter):
    """Takes all colours away and says with attributes what they said: faint is dim, a filled background is reverse.

    Textual's own filter for NO_COLOR leaves greys, which are colours too.

    Args:
        ground: gives the theme's background, which is what "filled" is told from.
    """

    def __init__(self, ground: Callable[[], str | None]) -> None:
        super().__init__()
        self._ground = ground

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """See `LineFilter`."""
        ground = self._ground() or "#000000"
        return [Segment(text, _without_colour(style, ground) if style else style, control) for text, style, control in segments]


_DEFAULTS = Style(color=RichColor.default(), bgcolor=RichColor.default())
_FILLED = 1.9
"""A background that stands out from what is around it by this ratio of luminance is meant to be seen."""
_FAINT = 0.62
"""A text whose lightness goes less than this part of the way from its background to black or white is meant to be faint."""


@lru_cache(2048)
def _without_colour(style: Style, around: str) -> Style:
    base = _lightness(RichColor.parse(around), 0.0)
    ground = _lightness(style.bgcolor, base)
    filled = _ratio(ground, base) >= _FILLED
    text = _lightness(style.color, 1.0 if ground < 0.5 else 0.0)
    faint = not filled and abs(text - ground) < _FAINT
    return style + _DEFAULTS + Style(reverse=filled != bool(style.reverse), dim=faint or None)


def _lightness(color: RichColor | None, otherwise: float) -> float:
    if color is None or color.is_default:
        return otherwise
    red, green, blue = color.get_truecolor()
    return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255


def _ratio(one: float, other: float) -> float:
    high, low = (float(lightness**2.2) + 0.05 for lightness in (max(one, other), min(one, other)))
    return high / low


def wants_no_colour() -> bool:
    """Whether NO_COLOR asks for none: set, and not empty (no-color.org)."""
    return bool(os.environ.get("NO_COLOR"))


def needs_plain_characters(encoding: str | None) -> bool:
    """Whether the terminal cannot show more than ASCII: its encoding, or the console of the kernel."""
    return "utf" not in (encoding or "").lower() or os.environ.get("TERM") in ("linux", "dumb", "vt100", "vt220")
