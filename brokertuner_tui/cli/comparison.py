"""Default against best, and the knobs that make the difference, as tables."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from brokertuner_tui.cli.tables import add_numbers, new_table
from brokertuner_tui.knobs.catalogue import CATALOGUE, Value
from brokertuner_tui.store.export import shown
from brokertuner_tui.tuning.events import Measured


def comparison_table(default: Measured, best: Measured) -> Table:
    """What the confirming windows say."""
    table = new_table("")
    digits, first = (1, "In time %") if default.in_percent else (0, "On time/s")
    add_numbers(table, first, "95 % interval", "Delivered/s", "On time", "p99 ms", "Windows")
    for name, figure in (("default", default), ("best", best)):
        table.add_row(
            name,
            f"{figure.on_time_per_s:,.{digits}f}",
            f"{figure.low:,.{digits}f} to {figure.high:,.{digits}f}",
            f"{figure.received_per_s:,.0f}",
            f"{100 * figure.on_time_share:.1f} %" if figure.on_time_share == figure.on_time_share else "",
            f"{figure.p99_ms:.4g}" if figure.p99_ms == figure.p99_ms else "",
            str(figure.windows),
        )
    return table


def knobs_table(
    best: Mapping[str, Value], default: Mapping[str, Value], *, title: str = "best", pinned: Mapping[str, Value] | None = None
) -> Table:
    """The knobs that differ from the default, and those that were pinned."""
    table = new_table("Knob")
    add_numbers(table, "Default", title.capitalize())
    table.add_column("Applied by", no_wrap=True)
    for knob in CATALOGUE:
        if knob.name not in best:
            continue
        is_pinned = pinned is not None and knob.name in pinned
        if best[knob.name] != default[knob.name] or is_pinned:
            applies = f"{knob.applies}, pinned" if is_pinned else knob.applies
            table.add_row(knob.name, shown(knob.name, default[knob.name]), shown(knob.name, best[knob.name]), applies)
    if not table.row_count:
        table.add_row("(all at their defaults)", "", "", "")
    return table
