"""Waiting for what another process does, with a deadline that only a hung one reaches."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


def eventually(true: Callable[[], object], within_s: float = 20.0) -> bool:
    """Whether `true` becomes so in time."""
    deadline = time.monotonic() + within_s
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def line_in(path: Path) -> str:
    """The line that another process writes there."""
    assert eventually(lambda: path.exists() and path.read_text().endswith("\n")), f"nothing was written to {path}"
    return path.read_text().strip()
