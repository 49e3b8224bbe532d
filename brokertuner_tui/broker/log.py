"""The broker's log, read from a moment on."""

from __future__ import annotations

import os
import re
from pathlib import Path

_ERROR = re.compile(r"^(?:\S+: )?(Error\b.*)$", re.MULTILINE)
_ROTATE_BYTES = 8 * 1024 * 1024
_READ_BYTES = 1024 * 1024


class FileLog:
    """A log file that somebody else may rotate or cut."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def readable(self) -> bool:
        """Whether this process may read it (one that is not there yet counts, if its folder may be read)."""
        try:
            with open(self.path, "rb"):
                return True
        except FileNotFoundError:
            return os.access(self.path.parent, os.R_OK | os.X_OK)
        except OSError:
            return False

    def end(self) -> int:
        """The offset behind the last byte."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def since(self, offset: int) -> str:
        """What was written from `offset` on; all of it when the file is another one, and shorter."""
        try:
            with open(self.path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(max(offset if offset <= size else 0, size - _READ_BYTES))
                return file.read().decode(errors="replace")
        except OSError:
            return ""


class BrokerLog(FileLog):
    """The file that Mosquitto's standard error goes to, so that it also holds what is said before the config is read."""

    def rotate(self) -> None:
        """Moves a log that has grown large aside; only while no broker writes to it."""
        if self.end() > _ROTATE_BYTES:
            os.replace(self.path, self.path.with_suffix(".log.1"))


def errors(text: str) -> list[str]:
    """The lines that begin with `Error`, without their time stamps, each once."""
    return list(dict.fromkeys(match.strip() for match in _ERROR.findall(text)))
