"""A picture of the screen as SVG, for the README: boxes, blocks and braille drawn as shapes, so that no font breaks them."""

from __future__ import annotations

from html import escape

from rich.color import Color as RichColor
from rich.style import Style
from textual.app import App
from textual.color import Color

_W, _H, _SIZE = 8.4, 18.0, 14.0
_LIGHT, _HEAVY = 1.1, 2.4

# Arms of box-drawing characters: left, right, up, down; 0 none, 1 light, 2 heavy.
_BOXES = {
    "─": "1100", "━": "2200", "│": "0011", "┃": "0022", "╭": "0101", "╮": "1001", "╰": "0110", "╯": "1010",
    "┏": "0202", "┓": "2002", "┗": "0220", "┛": "2020", "┌": "0101", "┐": "1001", "└": "0110", "┘": "1010",
    "├": "0111", "┤": "1011", "┬": "1101", "┴": "1110", "┼": "1111", "╋": "2222", "╴": "1000", "╶": "0100", "╵": "0010",
    "╷": "0001", "╸": "2000", "╺": "0200", "╹": "0020", "╻": "0002", "╊": "2122", "╉": "2122",
}  # fmt: skip
_BRAILLE = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))


def picture(app: App[object], title: str) -> str:
    """The screen as it is now."""
    width, height = app.size
    ground = Color.parse(app.theme_variables["background"]).hex
    shapes: list[str] = []
    for y, strip in enumerate(app.screen._compositor.render_strips()):
        x = 0
        for text, style, _ in strip:
            front, back = _colors(style or Style(), app)
            cells = len(text)
            if back and back != ground:
                shapes.append(f'<rect x="{x * _W:.1f}" y="{y * _H:.1f}" width="{cells * _W:.1f}" height="{_H}" fill="{back}"/>')
            shapes += _text(text, x, y, front, bool(style and style.bold))
            x += cells
    full_width, full_height = width * _W + 24, height * _H + 52
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {full_width:.0f} {full_height:.0f}" '
        f'width="{full_width:.0f}" height="{full_height:.0f}">\n'
        f"<title>{escape(title)}</title>\n"
        f'<rect width="100%" height="100%" rx="9" fill="{ground}"/>\n'
        f'<rect x="0.5" y="0.5" width="{full_width - 1:.0f}" height="{full_height - 1:.0f}" rx="9" fill="none" stroke="#7f8b97" '
        'stroke-opacity=".45"/>\n'
        + "".join(f'<circle cx="{20 + 20 * i}" cy="18" r="5.5" fill="#7f8b97" fill-opacity=".45"/>' for i in range(3))
        + f'\n<text x="{full_width / 2:.0f}" y="23" text-anchor="middle" fill="#7f8b97" font-size="13" '
        f'font-family="ui-monospace,Menlo,Consolas,monospace">{escape(title)}</text>\n'
        '<g transform="translate(12,38)" font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,\'DejaVu Sans Mono\',monospace" '
        f'font-size="{_SIZE}">\n' + "\n".join(shapes) + "\n</g>\n</svg>\n"
    )


def _colors(style: Style, app: App[object]) -> tuple[str, str]:
    def hexed(color: RichColor | None, role: str) -> str:
        if color is None or color.is_default:
            return Color.parse(app.theme_variables[role]).hex
        return Color.from_rich_color(color).hex

    front, back = hexed(style.color, "foreground"), hexed(style.bgcolor, "background")
    if style.reverse:
        front, back = back, front
    if style.dim:
        front = Color.parse(front).blend(Color.parse(back), 0.45).hex
    return front, back


def _text(text: str, x: int, y: int, color: str, bold: bool) -> list[str]:
    shapes: list[str] = []
    word, starts = "", 0
    for offset, char in enumerate(text + " "):
        shape = _shape(char, (x + offset) * _W, y * _H, color)
        if char != " " and not shape:
            if not word:
                starts = offset
            word += char
            continue
        if word:
            xs = " ".join(f"{(x + starts + index) * _W:.1f}" for index in range(len(word)))
            weight = ' font-weight="bold"' if bold else ""
            shapes.append(f'<text x="{xs}" y="{y * _H + 13.6:.1f}" fill="{color}"{weight}>{escape(word)}</text>')
            word = ""
        if shape:
            shapes.append(shape)
    return shapes


def _shape(char: str, x: float, y: float, color: str) -> str:
    if char in _BOXES:
        return _box(char, x, y, color)
    if char in "▁▂▃▄▅▆▇█":
        part = (ord(char) - 0x2580) / 8 * _H
        return f'<rect x="{x:.1f}" y="{y + _H - part:.1f}" width="{_W + 0.1:.1f}" height="{part:.1f}" fill="{color}"/>'
    if char in "▔▀":
        part = _H / (8 if char == "▔" else 2)
        return f'<rect x="{x:.1f}" y="{y:.1f}" width="{_W + 0.1:.1f}" height="{part:.1f}" fill="{color}"/>'
    if char in "▌▐▊▎":
        share = {"▌": 0.5, "▐": 0.5, "▊": 0.75, "▎": 0.25}[char]
        left = x + (_W / 2 if char == "▐" else 0)
        return f'<rect x="{left:.1f}" y="{y:.1f}" width="{_W * share:.1f}" height="{_H}" fill="{color}"/>'
    if char in "▰▱":
        fill = color if char == "▰" else "none"
        return (
            f'<rect x="{x + 0.9:.1f}" y="{y + 5.5:.1f}" width="{_W - 1.8:.1f}" height="7" fill="{fill}" stroke="{color}" '
            'stroke-width="1"/>'
        )
    if 0x2800 < ord(char) <= 0x28FF:
        dots = ord(char) - 0x2800
        return "".join(
            f'<circle cx="{x + (0.28 + 0.5 * column) * _W:.1f}" cy="{y + (0.125 + 0.25 * row) * _H:.1f}" r="1.25" fill="{color}"/>'
            for bit, (column, row) in enumerate(_BRAILLE)
            if dots & 1 << bit
        )
    return ""


def _box(char: str, x: float, y: float, color: str) -> str:
    left, right, up, down = (int(arm) for arm in _BOXES[char])
    cx, cy = x + _W / 2, y + _H / 2
    if char in "╭╮╰╯":
        ex, ey = (x + _W if right else x), (y + _H if down else y)
        return f'<path d="M{ex:.1f} {cy:.1f}Q{cx:.1f} {cy:.1f} {cx:.1f} {ey:.1f}" fill="none" stroke="{color}" stroke-width="{_LIGHT}"/>'
    parts = []
    for weight, x2, y2 in ((left, x, cy), (right, x + _W, cy), (up, cx, y), (down, cx, y + _H)):
        if weight:
            thick = _LIGHT if weight == 1 else _HEAVY
            parts.append(
                f'<path d="M{cx:.1f} {cy:.1f}L{x2:.1f} {y2:.1f}" stroke="{color}" stroke-width="{thick}" stroke-linecap="square"/>'
            )
    return "".join(parts)
