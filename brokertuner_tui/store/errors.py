"""What the store says when it cannot do its work."""

from __future__ import annotations

from brokertuner_tui.errors import TunerError, UsageError


class StoreError(TunerError):
    """The store cannot be opened, read or written; the message is one line that names the file."""


class NoSuchRun(UsageError):
    """There is no such run, or more than one; the message says which there are."""
