"""Checks of what the tuner writes: its folder, the room on the disk, the store, secrets' files."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from brokertuner_tui.config.settings import StoreSettings
from brokertuner_tui.doctor.finding import Finding, failure, ok
from brokertuner_tui.errors import TunerError

_ROOM_BYTES = 256 * 2**20


def save_dir(folder: Path) -> Iterator[Finding]:
    """Store, checkpoints and logs."""
    if not folder.exists():
        parent = next(path for path in folder.parents if path.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            yield ok("save dir", f"{folder}, made when it is needed")
        else:
            yield failure(
                "save dir", f"{folder} cannot be made: {parent} is not writable", "no run can be kept",
                f"sudo install -d -m 700 -o \"$(id -un)\" '{folder}'",
            )  # fmt: skip
            return
        folder = parent
    elif not folder.is_dir():
        yield failure("save dir", f"{folder} is not a folder", "no run can be kept", "# give another --save-dir")
        return
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield failure("save dir", f"{folder} is not writable", "no run can be kept", f"sudo chown -R \"$(id -un)\" '{folder}'")
    else:
        yield ok("save dir", str(folder))
    yield from _room(folder)


def _room(folder: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(folder).free
    text = f"{free / 2**30:.1f} GiB free at {folder}"
    if free >= _ROOM_BYTES:
        yield ok("disk", text)
    else:
        yield failure(
            "disk", text, "a run that cannot write its trials stops, and a broker may lose what it saves",
            f"du -xh '{folder}' | sort -h | tail -n 20   # what takes the room",
        )  # fmt: skip


def store(settings: StoreSettings, folder: Path) -> Iterator[Finding]:
    """Opened as a reader does: checked, not changed."""
    from brokertuner_tui.store.place import place_of
    from brokertuner_tui.store.store import Store

    where = place_of(settings, folder)
    if isinstance(where, Path) and not where.exists():
        yield ok("store", f"{where}, made by the first run")
        return
    shown = where if isinstance(where, Path) else where.url
    try:
        with Store.open(where, read_only=True) as opened:
            runs = opened.runs()
    except TunerError as error:
        mend = '# see docs/operate.md, "The store"'
        yield failure("store", str(error), "no run can be kept, and earlier ones cannot be read", mend)
        return
    broken_off = [run.id for run in runs if run.state == "interrupted"]
    more = f" ({len(broken_off)} interrupted: `runs resume {broken_off[0]}` goes on)" if broken_off else ""
    yield ok("store", f"{shown}, {len(runs)} runs{more}, whole")


def secret(name: str, path: Path | None) -> Iterator[Finding]:
    """A file that only its owner may read."""
    if path is None:
        return
    try:
        mode = path.stat().st_mode
    except OSError as error:
        yield failure(name, f"{path}: {error.strerror}", "the connection needs what is in it")
        return
    if stat.S_IMODE(mode) & 0o077:
        yield failure(
            name, f"{path} can be read by others (mode {stat.S_IMODE(mode):04o})", "a secret that others can read is none",
            f"chmod 600 '{path}'", fix=_private(path),
        )  # fmt: skip
    else:
        yield ok(name, str(path))


def _private(path: Path) -> Callable[[], str]:
    def fix() -> str:
        path.chmod(0o600)
        return f"{path} is readable by its owner alone"

    return fix
