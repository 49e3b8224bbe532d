"""A load on the broker's own host, for a tuner that is elsewhere."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.service.errors import ApiError
from brokertuner_tui.workload.builtin import BuiltinLoad
from brokertuner_tui.workload.load import Load, LoadStatus
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.window import Window

_log = logging.getLogger(__name__)
T = TypeVar("T")


class HostedLoad:
    """The built-in load, used by a thread of its own; the futures have what came of it, or a LoadError.

    Args:
        folder: for its log.
        endpoint: where the broker is, asked for when a load starts.
    """

    def __init__(self, folder: Path, endpoint: Callable[[], Endpoint]) -> None:
        self.load: Load = BuiltinLoad(folder)
        self._endpoint = endpoint
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="load")
        self._stopping = threading.Event()
        self._started = False

    def status(self) -> LoadStatus:
        """A snapshot; `stopped` while nobody wants a load."""
        return self.load.status()

    @property
    def wanted(self) -> bool:
        """Whether somebody has asked for a load and not for its end."""
        return self._started

    def start(self, profile: Profile) -> Future[None]:
        """Starts the load, or goes over to another profile where one runs; ConfigError for a profile that cannot be made."""

        def start() -> None:
            if self._started and self.load.status().state not in ("stopped", "dead"):
                self.load.change(profile)
            else:
                self.load.start(profile, self._endpoint())
            self._started = True

        return self._submit(start)

    def stop(self) -> Future[None]:
        """Ends the load; also ends whoever waits for it to be ready."""
        self._stopping.set()

        def stop() -> None:
            self._stopping.clear()
            self._started = False
            self.load.stop()

        return self._submit(stop)

    def restart(self) -> Future[None]:
        """Ends the process and starts it again."""
        self._running()
        return self._submit(self.load.restart)

    def wait_ready(self, deadline_s: float) -> Future[float]:
        """Waits until every client is connected."""
        self._running()
        return self._submit(lambda: self.load.wait_ready(deadline_s, self._stopping.is_set))

    def open_window(self) -> Future[None]:
        """Starts a measurement."""
        self._running()
        return self._submit(self.load.open_window)

    def close_window(self, drain_s: float) -> Future[Window]:
        """Ends it."""
        self._running()
        return self._submit(lambda: self.load.close_window(drain_s))

    def expect_restart(self) -> None:
        """See `Load`. Called by the thread that is about to restart the broker, or by a client."""
        if self._started:
            self.load.expect_restart()

    def close(self) -> None:
        """Ends everything."""
        self._stopping.set()
        self._worker.shutdown(wait=True)
        self.load.stop()

    def _running(self) -> None:
        """Raises unless there is a load."""
        if not self._started:
            raise ApiError(409, "no_load", "no load runs here: POST /load starts one")

    def _submit(self, action: Callable[[], T]) -> Future[T]:
        return self._worker.submit(action)
