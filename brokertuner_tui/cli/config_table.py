"""The settings in force as a table and as JSON, without secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.table import Table

from brokertuner_tui.cli.tables import new_table
from brokertuner_tui.config.load import Loaded
from brokertuner_tui.config.workloads import DEFAULT
from brokertuner_tui.redaction import without_secrets

HIDDEN = "***"
_SECRET = re.compile(r"(^|[._])(password|passwd|passphrase|token|secret|api_key|credentials?)$")


def as_data(loaded: Loaded) -> dict[str, Any]:
    """`settings` and `workloads`, each with its source, and the `files` that were read."""
    return {
        "settings": {
            key: {"value": value, "source": loaded.sources.get(key, DEFAULT)} for key, value in effective(loaded).items()
        },
        "workloads": {name: loaded.sources.get(f"workload.{name}", DEFAULT) for name in loaded.workloads},
        "files": [str(path) for path in loaded.files],
    }


def as_table(loaded: Loaded) -> Group:
    """A row a setting, then a row a workload."""
    settings = _table("Setting", "Value", "Comes from")
    for key, value in effective(loaded).items():
        settings.add_row(key, _toml(value), loaded.sources.get(key, DEFAULT))
    workloads = _table("Workload", "Comes from")
    for name in sorted(loaded.workloads):
        workloads.add_row(name, loaded.sources.get(f"workload.{name}", DEFAULT))
    return Group(settings, workloads)


def effective(loaded: Loaded) -> dict[str, Any]:
    """Every setting by dotted key, secrets hidden; tables of the operator's own are taken apart entry by entry."""
    return {key: _redacted(key, value) for key, value in _flat(loaded.settings.model_dump(mode="json"), "")}


def _flat(table: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in table.items():
        if isinstance(value, Mapping) and value:
            found += _flat(value, f"{prefix}{name}.")
        else:
            found.append((prefix + name, value))
    return found


def _redacted(key: str, value: Any) -> Any:
    if value is not None and _SECRET.search(key):
        return HIDDEN
    return without_secrets(value) if isinstance(value, str) else value


def _toml(value: Any) -> str:
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def _table(*columns: str) -> Table:
    table = new_table()
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
