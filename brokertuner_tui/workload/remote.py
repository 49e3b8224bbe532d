"""A load that the agent makes on the broker's host: for brokers that clients here cannot reach, or a network in between."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from brokertuner_tui.broker.remote.freshness import Freshness
from brokertuner_tui.broker.remote.wire import section
from brokertuner_tui.connection.http import Answer
from brokertuner_tui.connection.link import AgentLink
from brokertuner_tui.errors import ConfigError, ConnectionFailed
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.store.plain import revive
from brokertuner_tui.workload.load import LoadError, LoadStatus
from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.window import Window, so_far

_ANSWER_S = 10.0
_SLICE_S = 0.25
"""The agent is asked to wait for this long at a time, so that `cancelled` is heard."""


class RemoteLoad:
    """See `Load`. The link is the broker's, which opens and closes it."""

    def __init__(self, link: AgentLink) -> None:
        self._link = link
        self._lock = threading.Lock()
        self._fresh = Freshness()
        self._seen_beat = 0
        self._status = _stopped(None)
        self._profile: Profile | None = None

    def start(self, profile: Profile, endpoint: Endpoint) -> None:
        """See `Load`; the agent knows its broker, so `endpoint` is not asked.

        Raises:
            ConfigError: the profile asks for something that cannot be made.
        """
        self._profile = profile
        self._begin(profile)

    def restart(self) -> None:
        """See `Load`."""
        if self._profile is None:
            raise LoadError("the load was never started")
        answer = self._ask("POST", "/restart_workload", timeout_s=30 + _ANSWER_S, fine=(409,))
        if answer.ok:
            self._read_status()
        else:  # an agent that was started anew knows of no load
            self._begin(self._profile)

    def change(self, profile: Profile) -> None:
        """See `Load`.

        Raises:
            ConfigError: the profile asks for something that cannot be made.
        """
        self._profile = profile
        self._begin(profile)

    def wait_ready(self, deadline_s: float, cancelled: Callable[[], bool] = lambda: False) -> float:
        """See `Load`."""
        began = time.monotonic()
        while (left := deadline_s - (time.monotonic() - began)) > 0:
            if cancelled():
                raise LoadError("the load's readiness was not waited for: cancelled")
            slice_s = min(left, _SLICE_S)
            answer = self._ask(
                "POST", "/load/ready", {"deadline_s": max(slice_s, 0.01)}, timeout_s=slice_s + _ANSWER_S, fine=(504,)
            )
            if answer.ok:
                return time.monotonic() - began
        status = self._read_status()
        reason = f": {status.error}" if status.error else ""
        raise LoadError(
            f"{status.connected} of {status.wanted} clients of the load are connected after {deadline_s:g} s{reason}"
        )

    def expect_restart(self) -> None:
        """See `Load`; the agent, which makes the change, also does this by itself."""

    def open_window(self) -> None:
        """See `Load`."""
        self._ask("POST", "/load/window/open", {}, timeout_s=_ANSWER_S)

    def close_window(self, drain_s: float = 0.0) -> Window:
        """See `Load`."""
        answer = self._ask("POST", "/load/window/close", {"drain_s": drain_s}, timeout_s=drain_s + _ANSWER_S)
        try:
            return Window.from_dict(answer.data)
        except (KeyError, TypeError, ValueError) as error:
            raise LoadError(f"the agent's window cannot be read: {error!r}") from error

    def status(self) -> LoadStatus:
        """See `Load`; as the last heartbeat said, `dead` while the agent cannot be reached."""
        with self._lock:
            reading = self._link.reading
            if reading is not None and reading.beat != self._seen_beat and self._fresh.fits(reading):
                self._seen_beat = reading.beat
                self._status = self._read(section(reading.data, "load"))
            status = self._status
        connection = self._link.connection
        if connection.state.usable:
            return status
        return replace(status, state="dead", connected=0, error=connection.last_error or "the agent cannot be reached")

    def stop(self) -> None:
        """See `Load`; a load whose agent cannot be reached is left to that agent."""
        if self._profile is not None:
            with contextlib.suppress(LoadError):
                self._ask("DELETE", "/load", timeout_s=_ANSWER_S)
        self._profile = None

    def _begin(self, profile: Profile) -> None:
        answer = self._ask("POST", "/load", {"profile": profile.as_dict()}, timeout_s=_ANSWER_S, fine=(422,))
        if answer.status == 422:
            field = str(answer.error.get("field") or "profile")
            raise ConfigError(f"workload {profile.name}", field, profile.as_dict().get(field), answer.message)
        self._read_status()

    def _read_status(self) -> LoadStatus:
        """Asks, so that the status is not older than what was just done."""
        data = self._ask("GET", "/load", timeout_s=_ANSWER_S).data
        with self._lock:
            self._fresh.changed(self._link.beats)
            self._status = self._read(data)
            return self._status

    def _read(self, data: Mapping[str, Any]) -> LoadStatus:
        if not data.get("state"):
            return _stopped(self._profile)
        window = so_far(window) if (window := data.get("window")) else None
        return revive(LoadStatus, {**data, "profile": self._profile, "window": window})

    def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        timeout_s: float,
        fine: tuple[int, ...] = (),
    ) -> Answer:
        """Asks the agent.

        Raises:
            LoadError: it cannot be reached, or cannot do it.
        """
        try:
            answer = self._link.request(method, path, body, timeout_s=timeout_s)
        except ConnectionFailed as error:
            raise LoadError(f"the load: {error}") from error
        if not answer.ok and answer.status not in fine:
            raise LoadError(f"the load at {self._link.target}: {answer.message}")
        return answer


def _stopped(profile: Profile | None) -> LoadStatus:
    return LoadStatus("stopped", None, profile, 0, profile.clients if profile else 0, 0, 0, 0, 0, 0.0)
