"""One tuner for one broker: whoever changed it last has it, as long as it is heard of.

Every request of a tuner says who it is (`TUNER_HEADER`); heartbeats keep its lease. Another tuner's change is refused, naming
the first, until that one says goodbye or has been silent for too long. Others (curl, a dashboard) carry no such name: they are
an operator at work, and the tuner is told of it as of any drift.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Receive, Scope, Send

from brokertuner_tui.connection.identity import TUNER_HEADER
from brokertuner_tui.process.lock import Holder
from brokertuner_tui.service.errors import ApiError

LEASE_S = 15.0
"""Without a word, until a lease is free; a tuner whose heartbeats come less often says so."""
_LONGEST_S = 120.0
_LONGEST_TEXT = 200
CHANGES = ("/apply_knobs", "/restart_broker", "/reconcile", "/tuner")


@dataclass(frozen=True, slots=True)
class Tuner:
    """Who a tuner says it is."""

    id: str
    """Another one with every connection that it makes at its start."""
    holder: Holder
    silence_s: float = LEASE_S
    """After so long without a word it counts as gone."""

    @classmethod
    def of(cls, header: str) -> Tuner | None:
        """From the header; None where it says nothing that can be used."""
        try:
            told = json.loads(header)
            identity, pid, since = str(told["id"]), int(told["pid"]), float(told["since"])
            holder = Holder(pid, since, _plain(told.get("run", "")), "", _plain(told.get("host", "")))
            silence_s = min(_LONGEST_S, max(LEASE_S, float(told.get("silence_s", 0.0))))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            return None
        return cls(_plain(identity), holder, silence_s) if identity else None


class Lease:
    """Who has the broker. Any thread.

    Args:
        least_s: without a word, whatever a tuner says of its heartbeats.
    """

    def __init__(self, *, least_s: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._least_s, self._clock = least_s, clock
        self._lock = threading.Lock()
        self._has: Tuner | None = None
        self._heard_at = 0.0

    @property
    def holder(self) -> Tuner | None:
        """Who has it now."""
        with self._lock:
            return self._living()

    def heard(self, tuner: Tuner) -> None:
        """A tuner has sent something."""
        with self._lock:
            if self._has is not None and self._has.id == tuner.id:
                self._has, self._heard_at = tuner, self._clock()

    def take(self, tuner: Tuner) -> None:
        """It is `tuner`'s from now on.

        Raises:
            ApiError: 409 another one has it, and was heard of a moment ago.
        """
        with self._lock:
            has = self._living()
            if has is not None and has.id != tuner.id:
                message = f"another tuner has this broker: {has.holder.told()}"
                who = {"id": has.id} | {name: getattr(has.holder, name) for name in ("pid", "host", "since", "run")}
                raise ApiError(409, "leased", message, tuner=who)
            self._has, self._heard_at = tuner, self._clock()

    def release(self, tuner: Tuner) -> None:
        """It says goodbye; nothing happens if it is another's."""
        with self._lock:
            if self._has is not None and self._has.id == tuner.id:
                self._has = None

    def replace(self, gone: str, tuner: Tuner) -> None:
        """`tuner`, of the same machine, has seen that the one with the id `gone` is dead.

        Raises:
            ApiError: see `take`.
        """
        with self._lock:
            if self._has is not None and self._has.id == gone and self._has.holder.host == tuner.holder.host:
                self._has = None
        self.take(tuner)

    def _living(self) -> Tuner | None:
        if self._has is None:
            return None
        silence_s = self._has.silence_s if self._least_s is None else self._least_s
        return self._has if self._clock() - self._heard_at <= silence_s else None


class LeaseGate:
    """Asks for the lease before a tuner's change is let through; behind `Gate`, so that only who has the token gets here."""

    def __init__(self, app: ASGIApp, lease: Lease) -> None:
        self._app, self._lease = app, lease

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        tuner = _tuner(scope) if scope["type"] == "http" else None
        if tuner is not None:
            self._lease.heard(tuner)
            try:
                if scope["method"] == "POST" and scope["path"] in CHANGES and not _only_asks(scope):
                    self._lease.replace(_query(scope).get("instead_of", ""), tuner)
                elif scope["method"] == "DELETE" and scope["path"] == "/tuner":
                    self._lease.release(tuner)
            except ApiError as error:
                return await error.response()(scope, receive, send)
        return await self._app(scope, receive, send)


def _tuner(scope: Scope) -> Tuner | None:
    found = [value for key, value in scope["headers"] if key == TUNER_HEADER.encode()]
    return Tuner.of(found[0].decode("latin-1")) if len(found) == 1 else None


def _query(scope: Scope) -> dict[str, str]:
    return dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))


def _only_asks(scope: Scope) -> bool:
    return _query(scope).get("dry_run", "").lower() in ("true", "1", "yes", "on")


def _plain(value: object) -> str:
    return "".join(char if char.isprintable() else "?" for char in str(value))[:_LONGEST_TEXT]
