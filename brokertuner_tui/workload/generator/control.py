"""The line to the parent: JSON objects, one a line, over a Unix socket pair.

Commands have `cmd` and `id`; each is answered once by an object with `re` = that id, and `error` if it failed. Reports are
objects with `report`; when the parent does not read, they are left out (the next one says more), answers never.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from typing import Any


class Gone(Exception):
    """The parent is gone."""


def objects(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    """The JSON objects among these lines; what is none is left out: whoever waits for it minds the time."""
    found = []
    for line in lines:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


class Control:
    """The generator's end."""

    def __init__(self, fd: int) -> None:
        self._sock = socket.socket(fileno=fd)
        self._sock.setblocking(False)
        self._in, self._out = b"", b""

    @property
    def fd(self) -> int:
        """To be watched."""
        return self._sock.fileno()

    @property
    def unsent(self) -> bool:
        """Whether the parent is slow to read."""
        return bool(self._out)

    def commands(self) -> list[dict[str, Any]]:
        """What has come.

        Raises:
            Gone: the parent's end is closed.
        """
        try:
            data = self._sock.recv(65536)
        except BlockingIOError:
            return []
        except OSError as error:
            raise Gone from error
        if not data:
            raise Gone
        *lines, self._in = (self._in + data).split(b"\n")
        return objects(lines)

    def answer(self, re: int, **fields: Any) -> None:
        """Answers the command `re`."""
        self._out += json.dumps({"re": re} | fields).encode() + b"\n"
        self.flush()

    def report(self, **fields: Any) -> None:
        """Says how things are."""
        if not self._out:
            self._out = json.dumps({"report": fields}).encode() + b"\n"
            self.flush()

    def flush(self) -> None:
        """Writes what the parent takes."""
        try:
            while self._out:
                self._out = self._out[self._sock.send(self._out) :]
        except BlockingIOError:
            pass
        except OSError as error:
            raise Gone from error
