"""One writer a folder: an advisory lock that the system frees when its holder is gone, however it went."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from brokertuner_tui.store.errors import StoreError


class WriterLock:
    """Held from construction to `release`.

    Raises:
        StoreError: another process (or another store of this one) holds it, or its file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"the store cannot be written: {path}: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._descriptor, 20, 0).decode("ascii", "replace").strip()
            self.release()
            raise StoreError(
                f"another session{f' (process {holder})' if holder else ''} is writing to {path.parent}: "
                "end it, or give this one another --save-dir"
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Frees it; may be called again. The file stays: removing it would race with the next holder."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
