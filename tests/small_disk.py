"""A file system that is really full: a small tmpfs in a mount namespace of its own, which goes with its last process."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

import pytest

_MOUNT = 'mount -t tmpfs -o size="$1",mode=700 none "$2" || exit 99; shift 2; exec "$@"'
_MOUNT_AND_KEEP = (
    'mount -t tmpfs -o size="$1",mode=700 none "$2" || exit 99; disk=$2 out=$3; shift 3; "$@"; code=$?; '
    'cp -a "$disk/." "$out"; exit $code'
)


@functools.cache
def _is_allowed() -> bool:
    try:
        return not subprocess.run(
            ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, timeout=30, check=False
        ).returncode
    except OSError:
        return False


def on_small_disk(size: str, folder: Path, *command: str, keep: Path | None = None) -> list[str]:
    """`command`, for which `folder` is a disk of that size (`1m`); `keep` is where its files are copied to at the end.

    Skips the test where mounting is not allowed.
    """
    if not _is_allowed():
        pytest.skip("needs the right to mount (unshare -m)")
    folder.mkdir(exist_ok=True)
    start = ["unshare", "-m", "--propagation", "private", "sh", "-c"]
    if keep is None:
        return [*start, _MOUNT, "sh", size, str(folder), *command]
    keep.mkdir(exist_ok=True)
    return [*start, _MOUNT_AND_KEEP, "sh", size, str(folder), str(keep), *command]


def fill(folder: Path) -> Path:
    """Takes all the room there is in `folder`; gives the file that has it."""
    ballast = folder / "ballast"
    with open(ballast, "ab", buffering=0) as file:
        for size in (65_536, 4096, 512, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return ballast
