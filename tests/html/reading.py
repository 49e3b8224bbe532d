"""Reads a page as a browser's parser does, and checks what holds for every page of ours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"meta", "br", "hr", "link", "img", "input"}
_FETCHING = {"src", "srcset", "poster", "data", "action", "formaction", "background", "xlink:href", "ping", "cite", "manifest"}


@dataclass
class Element:
    """An element with what is in it."""

    name: str
    attributes: dict[str, str]
    children: list[Element | str] = field(default_factory=list)

    def all(self, name: str, class_: str | None = None) -> list[Element]:
        """All elements of this name below, in order."""
        found = [one for one in self._walk() if one.name == name]
        return found if class_ is None else [one for one in found if class_ in one.attributes.get("class", "").split()]

    def by_id(self, name: str) -> Element:
        """The one element with this id."""
        (found,) = [one for one in self._walk() if one.attributes.get("id") == name]
        return found

    @property
    def text(self) -> str:
        """All text below."""
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def _walk(self) -> Iterator[Element]:
        for child in self.children:
            if isinstance(child, Element):
                yield child
                yield from child._walk()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> says something twice: {names}"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        opened = self._open.pop()
        assert opened.name == tag, f"<{opened.name}> is closed by </{tag}>"

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)


def read(text: str) -> Element:
    """The fragment or page; every element is closed in order."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert reader._open == [reader.root], f"left open: {[one.name for one in reader._open[1:]]}"
    return reader.root


def read_page(text: str) -> Element:
    """A whole page, after checking that it is one, that it fetches nothing, and that all its references lead somewhere."""
    assert text.startswith("<!doctype html>\n")
    page = read(text)
    (html,) = page.all("html")
    assert html.attributes["lang"] == "en"
    elements = list(page._walk())
    for element in elements:
        assert not element.attributes.keys() & _FETCHING, element
        assert not [name for name in element.attributes if name.startswith("on")], element
        assert element.name not in {"link", "iframe", "object", "embed", "img", "base", "foreignobject"}, element
    ids = [element.attributes["id"] for element in elements if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    for anchor in page.all("a"):
        assert anchor.attributes["href"].removeprefix("#") in ids
    for drawing in page.all("svg"):
        assert drawing.attributes.get("aria-label") or drawing.attributes.get("aria-hidden") == "true"
    (style,) = page.all("style")
    assert "url(" not in style.text
    assert "@import" not in style.text
    (script,) = page.all("script")
    assert "http" not in script.text
    lower = text.lower()
    assert "nan" not in [word.strip("\"'<>,;:()[]") for word in lower.split()]
    assert ">nan" not in lower
    assert '"nan' not in lower
    return page


def numbers(path: str) -> list[float]:
    """All numbers in a path's `d`."""
    cleaned = "".join(character if character in "0123456789.-" else " " for character in path)
    return [float(part) for part in cleaned.split()]
