"""ASCII and NO_COLOR: what reaches the terminal."""

from __future__ import annotations

import pytest
from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from textual.color import Color

from brokertuner_tui.tui.filters import NoColours, PlainCharacters, needs_plain_characters, plain_text, wants_no_colour
from brokertuner_tui.tui.format import SPARKS
from brokertuner_tui.tui.screens.help import GLOSSARY
from brokertuner_tui.tui.widgets.status import _BADGES

GROUND = Color.parse("#101010")


def test_every_sign_has_a_plain_one_as_wide() -> None:
    for text in (*(glyph for glyph, _, _ in GLOSSARY), *_BADGES.values(), "─━│┃╭╮╰╯┏┓┗┛┼┤└┬╋", "▰▱→←–…×±∞"):
        plain = plain_text(text)
        assert plain.isascii()
        assert len(plain) == len(text)
        assert "?" not in plain.replace("?", "", text.count("?")), f"{text} has no sign of its own"


def test_signs_that_mean_different_things_stay_different() -> None:
    told_apart = [plain_text(sign) for sign in "●○▲▼■✗?!↻⟳"]
    assert len(set(told_apart)) == len(told_apart)
    assert len({plain_text(block) for block in SPARKS}) == len(SPARKS), "a sparkline still has eight heights"


def test_braille_keeps_its_height() -> None:
    assert plain_text("\u2800\u2801\u2840\u28ff") == " '.:"


def test_plain_characters_keep_styles() -> None:
    style = Style(bold=True)
    assert PlainCharacters().apply([Segment("● up", style)], GROUND) == [Segment("* up", style)]
    assert plain_text("日") == "?"


def filtered(style: Style) -> Style:
    [segment] = NoColours(lambda: "#101010").apply([Segment("x", style)], GROUND)
    assert segment.style is not None
    return segment.style


@pytest.mark.parametrize(
    ("color", "background", "dim", "reverse"),
    [
        ("#d2d2d2", "#101010", False, False),
        ("#949494", "#101010", True, False),
        ("#454545", "#101010", True, False),
        ("#101010", "#ffffff", False, True),
        ("#ffffff", "#191919", False, False),
    ],
)
def test_colours_become_attributes(color: str, background: str, dim: bool, reverse: bool) -> None:
    style = filtered(Style(color=color, bgcolor=background, bold=True))
    assert style.color == style.bgcolor == RichColor.default()
    assert (bool(style.dim), bool(style.reverse), bool(style.bold)) == (dim, reverse, True)


def test_what_was_reversed_stays_so() -> None:
    assert filtered(Style(color="#ffffff", bgcolor="#101010", reverse=True)).reverse


def test_no_color_counts_when_it_is_not_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert not wants_no_colour()
    monkeypatch.setenv("NO_COLOR", "")
    assert not wants_no_colour()
    monkeypatch.setenv("NO_COLOR", "1")
    assert wants_no_colour()


@pytest.mark.parametrize(
    ("encoding", "terminal", "plain"),
    [
        ("utf-8", "xterm-256color", False),
        ("UTF8", "tmux", False),
        ("ascii", "xterm", True),
        (None, "xterm", True),
        ("utf-8", "linux", True),
    ],
)
def test_terminals_that_cannot_show_signs(
    monkeypatch: pytest.MonkeyPatch, encoding: str | None, terminal: str, plain: bool
) -> None:
    monkeypatch.setenv("TERM", terminal)
    assert needs_plain_characters(encoding) is plain
