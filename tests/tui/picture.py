"""A picture of the screen as SVG, for the README: boxes, blocks and braille drawn as shapes, so that no font breaks them."""

from __future__ import annotations

from collections import defaultdict
from html import escape

from rich.color import Color as RichColor
from rich.style import Style
from textual.app import App
from textual.color import Color

_W, _H, _SIZE = 8.4, 18.0, 14.0
_LIGHT, _HEAVY, _DOT = 1.1, 2.4, 2.5
_FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
_GREY = "#7f8b97"

# Arms of box-drawing characters: left, right, up, down; 0 none, 1 light, 2 heavy.
_BOXES = {
    "─": "1100", "━": "2200", "│": "0011", "┃": "0022", "┏": "0202", "┓": "2002", "┗": "0220", "┛": "2020", "┌": "0101",
    "┐": "1001", "└": "0110", "┘": "1010", "├": "0111", "┤": "1011", "┬": "1101", "┴": "1110", "┼": "1111", "╋": "2222",
    "╴": "1000", "╶": "0100", "╵": "0010", "╷": "0001", "╸": "2000", "╺": "0200", "╹": "0020", "╻": "0002",
}  # fmt: skip
_ROUND = {"╭": (1, 1), "╮": (0, 1), "╰": (1, 0), "╯": (0, 0)}
"""Where the arms of rounded corners end: right or left, below or above."""
_BRAILLE = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))


class _Drawing:
    """Collects shapes by colour, so that each colour is one path."""

    def __init__(self) -> None:
        self.fills: dict[str, list[str]] = defaultdict(list)
        self.strokes: dict[tuple[str, float], list[str]] = defaultdict(list)
        self.texts: list[str] = []

    def rect(self, x: float, y: float, width: float, height: float, color: str) -> None:
        self.fills[color].append(f"M{x:.1f} {y:.1f}h{width:.1f}v{height:.1f}h{-width:.1f}z")

    def stroke(self, path: str, color: str, width: float) -> None:
        self.strokes[color, width].append(path)

    def word(self, text: str, x: float, y: float, color: str, bold: bool) -> None:
        xs = " ".join(f"{x + index * _W:.1f}" for index in range(len(text)))
        weight = ' font-weight="bold"' if bold else ""
        self.texts.append(f'<text x="{xs}" y="{y + 13.6:.1f}" fill="{color}"{weight}>{escape(text)}</text>')

    def cell(self, char: str, x: float, y: float, color: str) -> bool:
        """Draws a character as a shape; False: it is one for the font."""
        if char in _BOXES:
            self._box(char, x, y, color)
        elif char in _ROUND:
            right, below = _ROUND[char]
            cx, cy = x + _W / 2, y + _H / 2
            self.stroke(f"M{x + right * _W:.1f} {cy:.1f}Q{cx:.1f} {cy:.1f} {cx:.1f} {y + below * _H:.1f}", color, _LIGHT)
        elif char in "▁▂▃▄▅▆▇█":
            height = (ord(char) - 0x2580) / 8 * _H
            self.rect(x, y + _H - height, _W + 0.1, height, color)
        elif char in "▔▀":
            self.rect(x, y, _W + 0.1, _H / (8 if char == "▔" else 2), color)
        elif char in "▌▊▎":
            self.rect(x, y, _W * {"▌": 0.5, "▊": 0.75, "▎": 0.25}[char], _H, color)
        elif char == "▐":
            self.rect(x + _W / 2, y, _W / 2, _H, color)
        elif char == "▰":
            self.rect(x + 0.5, y + 5.0, _W - 1.0, 8.0, color)
        elif char == "▱":
            self.stroke(f"M{x + 1:.1f} {y + 5.5:.1f}h{_W - 2:.1f}v7h{2 - _W:.1f}z", color, 1.0)
        elif 0x2800 <= ord(char) <= 0x28FF:
            for bit, (column, row) in enumerate(_BRAILLE):
                if (ord(char) - 0x2800) & 1 << bit:
                    cx, cy = x + (0.28 + 0.5 * column) * _W, y + (0.125 + 0.25 * row) * _H
                    self.stroke(f"M{cx:.1f} {cy:.1f}h0", color, _DOT)
        else:
            return False
        return True

    def _box(self, char: str, x: float, y: float, color: str) -> None:
        left, right, up, down = (int(arm) for arm in _BOXES[char])
        cx, cy = x + _W / 2, y + _H / 2
        for weight, end in (
            (left, f"H{x:.1f}"),
            (right, f"H{x + _W:.1f}"),
            (up, f"V{y:.1f}"),
            (down, f"V{y + _H:.1f}"),
        ):
            if weight:
                self.stroke(f"M{cx:.1f} {cy:.1f}{end}", color, _LIGHT if weight == 1 else _HEAVY)

    def svg(self) -> str:
        fills = [f'<path fill="{color}" d="{"".join(parts)}"/>' for color, parts in self.fills.items()]
        strokes = [
            f'<path fill="none" stroke="{color}" stroke-width="{width}" d="{"".join(parts)}" '
            f'stroke-linecap="{"round" if width == _DOT else "square"}"/>'
            for (color, width), parts in self.strokes.items()
        ]
        return "\n".join([*fills, *strokes, *self.texts])


def picture(app: App[int], title: str) -> str:
    """The screen as it is now."""
    columns, rows = app.size
    ground = Color.parse(app.theme_variables["background"]).hex
    drawing = _Drawing()
    for y, strip in enumerate(app.screen._compositor.render_strips()):
        x = 0
        for text, style, _ in strip:
            front, back = _colors(style or Style(), app)
            if back != ground:
                drawing.rect(x * _W, y * _H, len(text) * _W, _H, back)
            _write(drawing, text, x, y, front, bool(style and style.bold))
            x += len(text)
    width, height = columns * _W + 24, rows * _H + 52
    dots = "".join(f'<circle cx="{20 + 20 * i}" cy="18" r="5.5" fill="{_GREY}" fill-opacity=".45"/>' for i in range(3))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" font-family="{_FONT}" font-size="{_SIZE}">\n'
        f"<title>{escape(title)}</title>\n"
        f'<rect x=".5" y=".5" width="{width - 1:.0f}" height="{height - 1:.0f}" rx="9" fill="{ground}" stroke="{_GREY}" '
        f'stroke-opacity=".45"/>\n{dots}\n'
        f'<text x="{width / 2:.0f}" y="23" text-anchor="middle" fill="{_GREY}">{escape(title)}</text>\n'
        f'<g transform="translate(12,38)">\n{drawing.svg()}\n</g>\n</svg>\n'
    )


def _colors(style: Style, app: App[int]) -> tuple[str, str]:
    def hexed(color: RichColor | None, role: str) -> str:
        if color is None or color.is_default:
            return Color.parse(app.theme_variables[role]).hex
        return Color.from_rich_color(color).hex

    front, back = hexed(style.color, "foreground"), hexed(style.bgcolor, "background")
    if style.reverse:
        front, back = back, front
    return (Color.parse(front).blend(Color.parse(back), 0.45).hex if style.dim else front), back


def _write(drawing: _Drawing, text: str, x: int, y: int, color: str, bold: bool) -> None:
    word, start = "", 0
    for offset, char in enumerate(text + " "):
        shape = char != " " and drawing.cell(char, (x + offset) * _W, y * _H, color)
        if char != " " and not shape:
            start = start if word else offset
            word += char
        elif word:
            drawing.word(word, (x + start) * _W, y * _H, color, bold)
            word = ""
