"""What the store says when it cannot do its work."""

from __future__ import annotations

from brokertuner_tui.errors import ExitCode, TunerError, UsageError


class StoreError(TunerError):
    """The store cannot be opened, read or written; the message is one line that names the file."""


class StoreAway(StoreError):
    """The database's server cannot be reached, or does not let us in."""

    exit_code = ExitCode.CONNECTION


class StoreBusy(StoreError):
    """Somebody else held the file for too long; nothing was changed, and the same write can succeed later."""

    passes = True


class WriterElsewhere(StoreError):
    """Another session writes to the same store; the message says which."""


class NothingYet(StoreError):
    """No session has written to the store."""


class NoRoom(StoreError):
    """There is no room for a write now; nothing was changed, and the same write can succeed later."""


class DiskFull(NoRoom):
    """The file system has no room."""


class SpoolFull(NoRoom):
    """The database is away, and what may wait for it on this machine is full: nothing more can be kept."""


class Damaged(StoreError):
    """The file is not what was written to it; it was not changed. `why` says so without saying what happens next."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"{why}; nothing was changed: the next session sets it aside and begins a new one")


class NoSuchRun(UsageError):
    """There is no such run, or more than one; the message says which there are."""
