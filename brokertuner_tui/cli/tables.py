"""How every table looks."""

from __future__ import annotations

from rich import box
from rich.table import Table


def new_table(*columns: str) -> Table:
    """A head, a line under it, and room for 80 columns; text columns by name, which are never cut into lines."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def add_numbers(table: Table, *columns: str) -> None:
    """Columns whose cells stand at the right."""
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
