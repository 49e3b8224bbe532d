"""A write as data: it can wait in a file for the database, and be made twice without harm.

A change holds absolute values only ("restarts is 3", never "one more"), and rows bring their keys along: made a second time,
after an acknowledgement was lost, it leaves the database as it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from sqlalchemy import Connection, Double, Table, insert, update
from sqlalchemy.dialects import postgresql

from brokertuner_tui.store import plain, schema

Step = tuple[Literal["insert", "update"], str, Mapping[str, Any]]
"""A row for the table of that name, or new values for the run of that id."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is made whole, in one transaction, or not at all."""

    steps: tuple[Step, ...]

    def dumps(self) -> str:
        """One line of JSON."""
        return plain.dumps(self.steps)

    @classmethod
    def loads(cls, text: str) -> Change:
        """What `dumps` gave.

        Raises:
            ValueError: it is not that.
        """
        data = json.loads(text)
        if not isinstance(data, list) or not all(isinstance(step, list) and len(step) == 3 for step in data):
            raise ValueError("not a change")
        return cls(tuple((what, name, columns) for what, name, columns in data))

    def run_columns(self, run: str) -> dict[str, Any]:
        """The new values for that run."""
        found: dict[str, Any] = {}
        for what, name, columns in self.steps:
            if what == "update" and name == run:
                found |= columns
        return found


def insertion(table: Table, columns: Mapping[str, Any]) -> Step:
    """A new row."""
    return "insert", table.name, cast(Mapping[str, Any], plain.to_plain(columns))


def of_run(run: str, columns: Mapping[str, Any]) -> Step:
    """New values in the row of a run."""
    return "update", run, cast(Mapping[str, Any], plain.to_plain(columns))


def make(connection: Connection, change: Change, *, again: bool = False) -> None:
    """Makes the change; `again`: rows that are there already (PostgreSQL only) stay as they are."""
    for what, name, columns in change.steps:
        if what == "update":
            values = _ready(schema.runs, columns)
            connection.execute(update(schema.runs).where(schema.runs.c.id == name).values(**values))
            continue
        table = schema.metadata.tables[name]
        values = _ready(table, columns)
        statement = postgresql.insert(table).on_conflict_do_nothing() if again else insert(table)
        connection.execute(statement.values(**values))


def _ready(table: Table, columns: Mapping[str, Any]) -> dict[str, Any]:
    # Numbers that JSON has no word for travel as text.
    doubles = {column.name for column in table.columns if isinstance(column.type, Double)}
    return {name: float(value) if name in doubles and isinstance(value, str) else value for name, value in columns.items()}
