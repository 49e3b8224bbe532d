"""One writer a folder: an advisory lock that the system frees when its holder is gone, however it went."""

from __future__ import annotations

from pathlib import Path

from brokertuner_tui.process.lock import Taken, TunerLock
from brokertuner_tui.store.errors import StoreError


class WriterLock:
    """Held from construction to `release`.

    Raises:
        StoreError: another process (or another store of this one) holds it, or its file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = TunerLock(path)
        except Taken as taken:
            who = f"another session ({taken.holder.told()})"
            raise StoreError(f"{who} is writing to {path.parent}: end it, or give this one another --save-dir") from None
        except OSError as error:
            raise StoreError(f"the store cannot be written: {path}: {error.strerror}") from error

    def release(self) -> None:
        """Frees it; may be called again."""
        self._lock.release()
