"""A whole page, and the pieces that pages share: tables, lists of facts, a text to copy."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from brokertuner_tui import __version__
from brokertuner_tui.html import style
from brokertuner_tui.html.markup import Markup, el, join

# Without it (or without the right to use the clipboard) the text is marked with the mouse, as any other.
_COPY = (
    "for(const b of document.querySelectorAll('button[data-copy]')){b.hidden=false;b.addEventListener('click',async()=>{"
    "const p=document.getElementById(b.dataset.copy);const r=document.createRange();r.selectNodeContents(p);"
    "const s=getSelection();s.removeAllRanges();s.addRange(r);let ok=false;"
    "try{await navigator.clipboard.writeText(p.textContent);ok=true}catch(e){ok=document.execCommand('copy')}"
    "b.textContent=ok?'Copied':'Press Ctrl+C';setTimeout(()=>{b.textContent='Copy'},2000)})}"
)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page that the list of contents names."""

    name: str
    """For its address, `#name`: a literal of ours."""
    title: str
    parts: Sequence[Markup | None]


@dataclass(frozen=True, slots=True)
class Cell:
    """A table's cell; a plain string is one of text."""

    text: str
    is_number: bool = False


def document(title: str, head: Sequence[Markup | None], sections: Sequence[Section], *, foot: str = "") -> str:
    """The file's whole text. The page may fetch nothing and run no script but the one that copies (its policy says so)."""
    digest = base64.b64encode(hashlib.sha256(_COPY.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    contents = el("nav", *(el("a", section.title, href=f"#{section.name}") for section in sections), aria_label="Contents")
    body = [el("section", el("h2", section.title, id=section.name), *section.parts) for section in sections]
    by = f"Made by brokertuner-tui {__version__}." + (f" {foot}" if foot else "")
    page = el(
        "html",
        el(
            "head",
            el("meta", charset="utf-8"),
            el("meta", http_equiv="Content-Security-Policy", content=policy),
            el("meta", name="viewport", content="width=device-width, initial-scale=1"),
            el("meta", name="color-scheme", content="light dark"),
            el("title", title),
            el("style", style.sheet()),
        ),
        el("body", el("main", *head, contents, *body, el("footer", by)), el("script", Markup(_COPY))),
        lang="en",
    )
    return f"<!doctype html>\n{page}\n"


def table(
    columns: Sequence[str | Cell],
    rows: Iterable[tuple[str | None, Sequence[str | Cell]]],
    *,
    caption: str = "",
    dense: bool = False,
) -> Markup:
    """A table that scrolls sideways by itself where the page is too narrow.

    Args:
        columns: the heads; `Cell`s with `is_number` stand at the right.
        rows: the class of a row (or None), and its cells; the first one names the row.
        dense: it has many columns.
    """
    heads = el("tr", *(_cell("th", column, scope="col") for column in columns))
    body = [
        el(
            "tr",
            *(_cell("td" if place else "th", cell, scope=None if place else "row") for place, cell in enumerate(cells)),
            class_=role,
        )
        for role, cells in rows
    ]
    title = el("caption", caption) if caption else None
    inside = el("table", title, el("thead", heads), el("tbody", *body), class_="dense" if dense else None)
    return el("div", inside, class_="scroll", tabindex="0")


def num(text: str) -> Cell:
    """A cell with a number in it."""
    return Cell(text, is_number=True)


def facts(values: Mapping[str, str]) -> Markup:
    """Names and what is known under them."""
    return el("dl", *(el(tag, text) for name, value in values.items() for tag, text in (("dt", name), ("dd", value))))


def tiles(values: Sequence[tuple[str, str, str]]) -> Markup:
    """The few figures that count: name, figure, and a line about it."""
    return el(
        "ul",
        *(el("li", el("span", name), el("b", figure), el("span", about)) for name, figure, about in values),
        class_="tiles",
    )


def paragraphs(sentences: Iterable[str]) -> Markup:
    """One paragraph each."""
    return join(el("p", sentence) for sentence in sentences)


def bullets(sentences: Iterable[str]) -> Markup:
    """A list."""
    return el("ul", *(el("li", sentence) for sentence in sentences))


def to_copy(name: str, text: str) -> Markup:
    """A text with a button that copies it; the button shows only where it can work.

    Args:
        name: an id of its own in the page.
    """
    button = el("button", "Copy", type="button", data_copy=name, hidden=True)
    return el("div", button, el("pre", text, id=name, tabindex="0"), class_="copied")


def folded(summary: str, *parts: Markup) -> Markup:
    """What opens when it is asked for."""
    return el("details", el("summary", summary), *parts)


def _cell(tag: str, cell: str | Cell, *, scope: str | None) -> Markup:
    if isinstance(cell, str):
        return el(tag, cell, scope=scope)
    return el(tag, cell.text, scope=scope, class_="num" if cell.is_number else None)
