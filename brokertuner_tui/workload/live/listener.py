"""The tuner's end of the process that listens to live topics."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from pathlib import Path
from typing import Any

from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.process.child import Child
from brokertuner_tui.process.identity import is_halted
from brokertuner_tui.process.python import environment
from brokertuner_tui.workload.load import LoadError

_ANSWER_S = 3.0


class Listener:
    """Starts the process, asks it, ends it. Used by one thread.

    Raises:
        LoadError: the process cannot be started.
    """

    def __init__(self, endpoint: Endpoint, filters: list[str], mode: str, log_path: Path) -> None:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._child = Child(
                    [sys.executable, "-P", "-m", "brokertuner_tui.workload.live.listening", str(theirs.fileno())],
                    log_path=log_path,
                    env=environment(),
                    pass_fds=(theirs.fileno(),),
                )
        except OSError as error:
            ours.close()
            raise LoadError(f"the process that listens to live topics cannot be started: {error}") from error
        ours.settimeout(_ANSWER_S)
        self._sock = ours
        self._line = ours.makefile("rw")
        # Who we are goes over the socket, not on the command line, where every user could read it.
        self._say({"endpoint": endpoint.as_dict(), "filters": filters, "mode": mode})

    @property
    def alive(self) -> bool:
        """Whether the process runs, and nobody has stopped it by a signal."""
        return self._child.exit_code() is None and not is_halted(self._child.pid)

    def counts(self) -> dict[str, Any]:
        """`messages`, `received`, `lost`, `duplicated`, `topics` so far; `connected`, `error`, `lives` (subscriptions).

        Raises:
            LoadError: it has ended or does not answer.
        """
        self._say({})
        try:
            return dict(json.loads(self._line.readline()))
        except (OSError, ValueError) as error:
            raise LoadError("the process that listens to live topics has ended or hangs") from error

    def stop(self) -> None:
        """Ends it. May be called again."""
        with contextlib.suppress(OSError):
            self._line.close()
        self._sock.close()
        self._child.stop(1.0)

    def _say(self, data: dict[str, Any]) -> None:
        try:
            self._line.write(json.dumps(data) + "\n")
            self._line.flush()
        except (OSError, ValueError) as error:
            raise LoadError("the process that listens to live topics has ended") from error
