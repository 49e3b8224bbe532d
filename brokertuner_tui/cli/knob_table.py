"""The catalogue of knobs as a table and as JSON."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table

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


def as_table(*, notes: bool) -> Table:
    """A row a knob."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("Knob", no_wrap=True)
    table.add_column("Range", no_wrap=True)
    table.add_column("Default", no_wrap=True)
    table.add_column("Applied by", no_wrap=True)
    table.add_column("Meaning", overflow="fold")
    for knob in CATALOGUE:
        text = knob.meaning
        if knob.inert_when:
            text += f" Does nothing with {knob.inert_when}."
        if notes and knob.versions:
            text += f"\n{knob.versions}"
        table.add_row(knob.name, _range(knob), _default(knob), knob.applies, text)
    return table


def _range(knob: Knob) -> str:
    if knob.type == "bool":
        return "true, false"
    text = f"{knob.low:,} to {knob.high:,}"
    for value, meaning in knob.special.items():
        text += f"\n{value:,}: {meaning}"
    return f"{text}\n{knob.unit}" if knob.unit else text


def _default(knob: Knob) -> str:
    text = _shown(knob, knob.default)
    for version, value in _default_since(knob).items():
        text += f"\n{_shown(knob, value)} since {version}"
    return text


def _shown(knob: Knob, value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return knob.special.get(value, f"{value:,}")
