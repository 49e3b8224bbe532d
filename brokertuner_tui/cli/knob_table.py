"""The catalogue of knobs as a table and as JSON."""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from brokertuner_tui.cli import output
from brokertuner_tui.cli.tables import new_table
from brokertuner_tui.knobs.catalogue import CATALOGUE, Knob, Value


def as_data() -> list[dict[str, Any]]:
    """One object a knob."""
    return [
        {
            "name": knob.name,
            "type": knob.type,
            "default": knob.default,
            "low": knob.low,
            "high": knob.high,
            "unit": knob.unit,
            "scale": knob.scale,
            "special": {str(value): meaning for value, meaning in knob.special.items()},
            "applies": knob.applies,
            "meaning": knob.meaning,
            "versions": knob.versions,
            "inert_when": knob.inert_when,
            "default_since": _default_since(knob),
        }
        for knob in CATALOGUE
    ]


def _default_since(knob: Knob) -> dict[str, Value]:
    """Defaults of later versions, by the version that brought them."""
    if knob.default_since is None:
        return {}
    version, value = knob.default_since
    return {".".join(map(str, version)): value}


def as_view(*, notes: bool) -> list[RenderableType]:
    """A table where there is room for one, a paragraph a knob elsewhere."""
    return [_table(notes=notes)] if output.is_wide() else _paragraphs(notes=notes)


def _paragraphs(*, notes: bool) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for knob in CATALOGUE:
        figures = "; ".join(text for text in (_range(knob, ", "), f"default {_default(knob, ', ')}", knob.applies) if text)
        parts.append(Text.assemble((knob.name, "bold"), f": {figures}"))
        parts.append(Padding(Text(_meaning(knob, notes=notes)), (0, 0, 1, 4)))
    return parts


def _table(*, notes: bool) -> Table:
    table = new_table("Knob", "Range", "Default", "Applied by")
    table.add_column("Meaning", overflow="fold")
    for knob in CATALOGUE:
        meaning = _meaning(knob, notes=notes)
        table.add_row(knob.name, _range(knob, "\n"), _default(knob, "\n"), knob.applies, meaning)
    return table


def _meaning(knob: Knob, *, notes: bool) -> str:
    text = knob.meaning
    if knob.inert_when:
        text += f" Does nothing with {knob.inert_when}."
    return f"{text}\n{knob.versions}" if notes and knob.versions else text


def _range(knob: Knob, between: str) -> str:
    if knob.type == "bool":
        return "true, false"
    parts = [f"{knob.low:,} to {knob.high:,}"]
    parts += [f"{value:,}: {meaning}" for value, meaning in knob.special.items()]
    return between.join([*parts, knob.unit] if knob.unit else parts)


def _default(knob: Knob, between: str) -> str:
    later = [f"{_shown(knob, value)} since {version}" for version, value in _default_since(knob).items()]
    return between.join([_shown(knob, knob.default), *later])


def _shown(knob: Knob, value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return knob.special.get(value, f"{value:,}")
