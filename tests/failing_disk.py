"""A disk whose fsync fails, by strace: once, so that whoever tries again succeeds, and is found out."""

from __future__ import annotations

import functools
import re
import subprocess
from pathlib import Path

import pytest

_SYNCS = "fsync,fdatasync"


@functools.cache
def _is_allowed() -> str:
    try:
        ended = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return "strace is not installed"
    return "" if ended.returncode == 0 else f"strace is not allowed to trace: {ended.stderr.strip()[:80]}"


def with_failing_fsync(log: Path, at: int, *command: str, only: Path | None = None) -> list[str]:
    """`command`, whose `at`-th fsync (in each of its threads; of the file `only`, if given) gives EIO; all go into `log`.

    Skips the test where strace is missing or not allowed.
    """
    if why := _is_allowed():
        pytest.skip(why)
    file = [] if only is None else ["-P", str(only)]
    inject = f"inject={_SYNCS}:error=EIO:when={at}"
    return ["strace", "-f", "--seccomp-bpf", "-y", "-o", str(log), *file, "-e", f"trace={_SYNCS}", "-e", inject, *command]


def syncs(log: Path) -> list[tuple[str, bool]]:
    """The files that were synced, in order, and whether that succeeded."""
    found = re.findall(r"f(?:data)?sync\(\d+<([^>]*)>\)\s*= (-?\d+)", log.read_text())
    return [(name, result == "0") for name, result in found]
