"""Knob values as `mosquitto.conf` lines that 2.0.11, 2.0.21 and 2.1 all accept."""

from __future__ import annotations

from collections.abc import Mapping

from brokertuner_tui.knobs.catalogue import CATALOGUE, Value
from brokertuner_tui.knobs.validation import check_all


def render(values: Mapping[str, Value]) -> str:
    """One line a knob, all eleven, each ended by a newline.

    Every knob is written, defaults too: a line that is left out means "back to the default" for some knobs and "keep" for
    others (memory_limit). Values are checked again here because nothing else stands between them and the broker.

    Raises:
        UsageError: a value is missing or not legal.
    """
    legal = check_all(values)
    lines = []
    for knob in CATALOGUE:
        lines.append(f"{knob.name} {conf_value(legal[knob.name])}\n")
    return "".join(lines)


def conf_value(value: Value) -> str:
    """One value as Mosquitto reads it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
