"""JSON over HTTP to one agent, with connections that are kept and can all be dropped at once from another thread."""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from brokertuner_tui.connection.target import AgentTarget
from brokertuner_tui.errors import ConnectionFailed

_IDLE_S = 3.0
"""Kept connections are used again for this long; uvicorn closes them after 5 s."""
_MAX_BYTES = 16 << 20


class Lost(ConnectionFailed):
    """No answer came: whether the request arrived is not known."""


class Untrusted(ConnectionFailed):
    """The agent's certificate is not one to believe: trying again would not help."""

    passes = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What the agent said; `data` is an empty dict where it said nothing that can be read."""

    status: int
    data: dict[str, Any]
    headers: Mapping[str, str]
    """Names in lower case."""

    @property
    def ok(self) -> bool:
        """Whether it did what was asked."""
        return 200 <= self.status < 300

    @property
    def code(self) -> str:
        """The error's code; empty without one."""
        return str(self._error.get("code", ""))

    @property
    def message(self) -> str:
        """The error in one line."""
        return str(self._error.get("message") or f"HTTP status {self.status}")

    @property
    def error(self) -> dict[str, Any]:
        """All that was said about the error."""
        return self._error

    @property
    def _error(self) -> dict[str, Any]:
        error = self.data.get("error")
        return error if isinstance(error, dict) else {}


class AgentHttp:
    """May be used by several threads, each request on a connection of its own.

    Raises:
        UsageError: the certificates to believe cannot be read.
    """

    def __init__(self, target: AgentTarget, connect_timeout_s: float) -> None:
        self.target = target
        self._client = uuid.uuid4().hex
        """How we call ourselves, so that the agent knows whether whoever asked for a change is still there."""
        self._connect_timeout_s = connect_timeout_s
        self._tls = target.tls()
        self.standing: Callable[[], Mapping[str, str]] = dict
        """Headers of every request."""
        self._lock = threading.Lock()
        self._idle: list[tuple[http.client.HTTPConnection, float]] = []
        self._busy: set[http.client.HTTPConnection] = set()

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        timeout_s: float,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Sends a request and waits for its answer, whatever its status is; nothing is ever sent twice.

        Raises:
            Lost: there is no connection, it broke, or it was silent for `timeout_s`.
            Untrusted: the agent's certificate does not match.
        """
        connection = self._take()
        try:
            if connection.sock is None:
                connection.timeout = self._connect_timeout_s
                connection.connect()
            connection.sock.settimeout(timeout_s)
            sent = {"Authorization": f"Bearer {self.target.token}", "Accept": "application/json"}
            sent |= {"X-Brokertuner-Client": self._client, **self.standing(), **(headers or {})}
            data = None
            if body is not None:
                data = json.dumps(body, allow_nan=False).encode()
                sent["Content-Type"] = "application/json"
            connection.request(method, path, body=data, headers=sent)
            response = connection.getresponse()
            answer = _answer(response, response.read(_MAX_BYTES))
        except ssl.SSLCertVerificationError as error:
            self._discard(connection)
            raise Untrusted(f"the agent at {self.target}: its certificate does not match: {error.verify_message}") from None
        except (OSError, http.client.HTTPException, AttributeError, ValueError) as error:
            # AttributeError: `drop_all` of another thread took the socket away in the middle.
            self._discard(connection)
            raise Lost(f"the agent at {self.target} cannot be reached: {_words(error)}") from error
        except BaseException:
            self._discard(connection)
            raise
        self._give_back(connection)
        return answer

    def drop_all(self) -> None:
        """Closes every connection; a request that is under way on one fails as `Lost`."""
        with self._lock:
            idle, self._idle = self._idle, []
            busy, self._busy = self._busy, set()
        for connection, _ in idle:
            connection.close()
        for connection in busy:
            if (sock := connection.sock) is not None:
                with contextlib.suppress(OSError):
                    # Past TLS: its goodbye would wait for the other thread, and for the other end.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _take(self) -> http.client.HTTPConnection:
        """A kept connection, or a new one.

        Raises:
            Lost: a kept connection was closed by the other end: a new one is the link's to make, when it is due.
        """
        with self._lock:
            connection = None
            while self._idle and connection is None:
                kept, since = self._idle.pop()
                if time.monotonic() - since >= _IDLE_S:
                    kept.close()
                elif _has_ended(kept):
                    kept.close()
                    raise Lost(f"the agent at {self.target} cannot be reached: the connection was cut")
                else:
                    connection = kept
            connection = connection or self._new()
            self._busy.add(connection)
        return connection

    def _new(self) -> http.client.HTTPConnection:
        host, port = self.target.host, self.target.port
        if self._tls is None:
            return http.client.HTTPConnection(host, port)
        return http.client.HTTPSConnection(host, port, context=self._tls)

    def _give_back(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if connection in self._busy:
                self._busy.discard(connection)
                if connection.sock is not None:
                    self._idle.append((connection, time.monotonic()))
                return
        connection.close()  # all were dropped in the meantime

    def _discard(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._busy.discard(connection)
        connection.close()


def _has_ended(connection: http.client.HTTPConnection) -> bool:
    """Whether the other end has closed a kept connection (nothing else can come on one)."""
    if connection.sock is None:
        return True
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))


def _answer(response: http.client.HTTPResponse, body: bytes) -> Answer:
    try:
        data = json.loads(body) if body else {}
    except ValueError:
        data = {}
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, data if isinstance(data, dict) else {}, headers)


def _words(error: Exception) -> str:
    """One line for the operator."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, http.client.RemoteDisconnected | ConnectionResetError | BrokenPipeError | AttributeError):
        return "the connection was cut"
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}"
