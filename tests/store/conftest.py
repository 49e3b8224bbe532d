"""One test, two databases."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from brokertuner_tui.store.place import Server
from brokertuner_tui.store.store import Store


@dataclass(frozen=True, slots=True)
class Place:
    """Where a test's store is."""

    where: Path | Server

    def open(self, **options: Any) -> Store:
        """A store there."""
        return Store.open(self.where, **options)

    def __repr__(self) -> str:
        return repr(self.where)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A store that is not there yet: in a file, and on a server."""
    if request.param == "sqlite":
        return Place(tmp_path / "store.db")
    return Place(server(request.getfixturevalue("database"), tmp_path))


@pytest.fixture
def at_server(database: str, tmp_path: Path) -> Server:
    """An empty database, tried often and quickly."""
    return server(database, tmp_path)


def server(url: str, folder: Path) -> Server:
    """A database that is tried often and quickly when a session begins."""
    return Server(url, folder / "spool.db", connect_attempts=5, connect_wait_s=0.05)
