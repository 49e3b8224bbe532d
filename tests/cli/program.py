"""Runs the program as a person or a script does: in a process of its own, with a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def environment(home: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment in which nothing of this machine's user is seen."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    folders = {f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("CONFIG", "DATA", "STATE", "CACHE")}
    return {**kept, **folders, "HOME": str(home), "PYTHONPATH": str(ROOT), **(more or {})}


def command(*arguments: str) -> list[str]:
    """The program with arguments."""
    return [sys.executable, "-m", "brokertuner_tui", *arguments]


def run(
    home: Path, *arguments: str, timeout_s: float = 60.0, more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs the program to its end, in the folder `home`, without a terminal; `more` goes into its environment."""
    return subprocess.run(
        command(*arguments),
        cwd=home,
        env=environment(home, more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def error_of(ended: subprocess.CompletedProcess[str]) -> str:
    """The one line that an error is; nothing may be on stdout then."""
    assert ended.stdout == ""
    line, newline, rest = ended.stderr.partition("\n")
    assert (newline, rest) == ("\n", ""), ended.stderr
    assert line.startswith("brokertuner-tui: error: ")
    return line.removeprefix("brokertuner-tui: error: ")


def lines_of(text: str) -> list[dict[str, Any]]:
    """JSON lines, each strict: no NaN, no infinity."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]
