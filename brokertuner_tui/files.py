"""Whole files, durably: a reader, or a machine that lost its power, sees the old file or the new one, never a part."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path

from brokertuner_tui.errors import DiskFailed


def replace_file(path: Path, data: bytes, *, mode: int = 0o600, owner: tuple[int, int] | None = None) -> None:
    """Replaces `path` by `data` whole, or leaves it as it was: temporary file, fsync, rename, fsync of the folder.

    A symbolic link is followed, so that the link itself stays. The file gets `mode`, whatever it had before, and `owner` (user
    and group), as far as this process may give files away.

    Raises:
        OSError: the folder is missing or cannot be written, or the disk is full; `path` is untouched and no temporary
            file is left behind.
    """
    path = Path(os.path.realpath(path))
    # O_EXCL and 0600 (mkstemp): nobody else can have opened it before the mode is set.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".new")
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            if owner is not None:
                with contextlib.suppress(PermissionError):
                    os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


def check_disk(error: OSError, path: Path) -> None:
    """Raises DiskFailed if `error` means that the disk failed: whoever handles it must not try again then."""
    if error.errno == errno.EIO:
        raise DiskFailed(f"the disk failed: {path}: {error.strerror}: what was not acknowledged by then may be lost") from error


def remove_leftovers(path: Path) -> None:
    """Removes what `replace_file` has left beside `path` when it was killed; for whoever alone may write `path`."""
    path = Path(os.path.realpath(path))
    with contextlib.suppress(OSError):
        for left in list(path.parent.iterdir()):
            if left.name.startswith(f".{path.name}.") and left.name.endswith(".new") and left.is_file():
                left.unlink()


def sync_folder(folder: Path) -> None:
    """Makes the names in `folder` durable (a rename is not, before that).

    Raises:
        OSError: the folder cannot be read, or the disk failed. Do not retry: the kernel may have dropped the data.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
