"""Whatever a text holds, it stays text."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from brokertuner_tui.html.markup import Markup, el, join, number, text
from tests.html.reading import read


@settings(deadline=None)
@given(st.text(), st.text())
def test_no_text_becomes_markup(inside: str, attribute: str) -> None:
    made = el("p", el("b", "bold"), inside, title=attribute)
    made.encode()  # a lone surrogate could not be written
    (paragraph,) = read(made).children
    assert not isinstance(paragraph, str)
    assert paragraph.attributes.keys() == {"title"}
    assert [child.name for child in paragraph.children if not isinstance(child, str)] == ["b"]
    shown = "".join(character if character.isprintable() or character == "\n" else " " for character in inside)
    assert paragraph.text == f"bold{shown}"


def test_what_cannot_be_seen_is_left_out() -> None:
    assert text("a\x00b\u202ec\u200bd\ud800") == "a b c d "
    assert text("<\"'&>") == "&lt;&quot;&#x27;&amp;&gt;"


def test_attributes() -> None:
    assert el("g", class_="a", stroke_width=1.25, viewBox="0 0 1 1") == '<g class="a" stroke-width="1.2" viewBox="0 0 1 1"></g>'
    assert el("button", hidden=True, disabled=False, name=None) == "<button hidden></button>"
    assert el("meta", charset="utf-8") == '<meta charset="utf-8">'
    assert el("circle", r=2) == '<circle r="2"/>'
    assert el("p", None, "a", Markup("<br>")) == "<p>a<br></p>"


def test_join_and_numbers() -> None:
    assert join(["<", Markup("<br>")], " & ") == "&lt; &amp; <br>"
    assert [number(value) for value in (0.0, 1.04, -2.5, 12.0, 123456.7)] == ["0", "1", "-2.5", "12", "123457"]
