"""The token: who has it may do everything, so it lies in a file that only its owner can read."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from brokertuner_tui.errors import TunerError, UsageError
from brokertuner_tui.paths import private_folder
from brokertuner_tui.redaction import hide

MIN_BYTES = 24
_MIN_TEXT = 32
"""24 random bytes in base64."""


def read_or_make(path: Path) -> tuple[str, bool]:
    """The token in the file, which is made (0600) if it is not there; whether it was made.

    Raises:
        UsageError: others can read or write it, or it is empty or too short; the message has the command that mends it.
        TunerError: it cannot be read or made.
    """
    try:
        return _read(path), False
    except FileNotFoundError:
        pass
    private_folder(path.parent)
    token = secrets.token_urlsafe(32)
    hide(token)
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
            file.write(f"{token}\n")
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:  # another start was quicker
        return _read(path), False
    except OSError as error:
        raise TunerError(f"the token file {path} cannot be made: {error.strerror}") from error
    return token, True


def read(path: Path) -> str:
    """The token in the file (also for clients).

    Raises:
        UsageError: see `read_or_make`, and: there is no such file.
        TunerError: it cannot be read.
    """
    try:
        return _read(path)
    except FileNotFoundError:
        raise UsageError(f"there is no token file {path}") from None


def _read(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            about = os.fstat(file.fileno())
            data = file.read(4097)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise TunerError(f"the token file {path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(about.st_mode):
        raise UsageError(f"the token file {path} is not a file")
    if about.st_mode & 0o077:
        raise UsageError(f"the token file {path} can be read or changed by others: chmod 600 {path}")
    text = data.decode("latin-1").strip()
    if not text:
        raise UsageError(f"the token file {path} is empty: rm {path} (a new one is made at the next start)")
    if len(text) < _MIN_TEXT or len(data) > 4096 or not text.isascii() or not text.isprintable() or " " in text:
        raise UsageError(
            f"the token file {path} must hold one word of at least {_MIN_TEXT} plain characters ({MIN_BYTES} random bytes in "
            f"base64): rm {path} (a new one is made at the next start)"
        )
    hide(text)
    return text
