"""Runs the app on a socket until it is asked to end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from brokertuner_tui.errors import TunerError, UsageError
from brokertuner_tui.service.stream import Streams

_HEADER_S = 10.0
_KEEP_ALIVE_S = 30
_GRACE_S = 3
_POLL_S = 0.05
_CONNECTIONS = 200


class PatientOnlySoLong(H11Protocol):
    """Closes a connection whose request line and headers do not arrive within `_HEADER_S` (uvicorn itself would wait)."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """A client has connected."""
        super().connection_made(transport)
        self._set_deadline()

    def data_received(self, data: bytes) -> None:
        """Bytes have come: a whole request's headers, a part of them, or of a body."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._clear_deadline()
        elif self._deadline is None and not self.transport.is_closing():
            self._set_deadline()

    def on_response_complete(self) -> None:
        """Uvicorn itself minds connections that are idle between two requests."""
        self._clear_deadline()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._clear_deadline()
        super().connection_lost(exc)

    def _set_deadline(self) -> None:
        self._deadline = self.loop.call_later(_HEADER_S, self._too_late)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.abort()


class Server(uvicorn.Server):
    """Uvicorn, ended by a question that is asked 20 times a second, with open streams closed first."""

    def __init__(self, config: uvicorn.Config, streams: Streams, stopped: Callable[[], bool]) -> None:
        super().__init__(config)
        self._streams, self._stopped = streams, stopped

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals are the caller's (uvicorn would raise them again before the broker is ended)."""
        yield

    async def main_loop(self) -> None:
        """Until the end is asked for."""
        watcher = asyncio.create_task(self._watch())
        try:
            await super().main_loop()
        finally:
            watcher.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends streams, then connections."""
        self._streams.close()
        await super().shutdown(sockets)

    async def _watch(self) -> None:
        while not self._stopped():
            await asyncio.sleep(_POLL_S)
        self.should_exit = True


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; before the broker is touched.

    Raises:
        TunerError: the address cannot be had.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise TunerError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(128)
    except OSError as error:
        sock.close()
        raise TunerError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    return sock


def check_certificate(cert: Path, key: Path) -> None:
    """Tries both, before anything else is touched.

    Raises:
        UsageError: they cannot be read, do not fit, or the key needs a passphrase.
    """

    def no_passphrase() -> str:
        raise UsageError(f"the key {key} is locked by a passphrase, which nobody is there to type: take one without")

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, no_passphrase)
    except ssl.SSLError as error:
        reason = "they do not fit each other" if "MISMATCH" in str(error) else "not a certificate and its key in PEM"
        raise UsageError(f"TLS with certificate {cert} and key {key}: {reason}") from None
    except OSError as error:
        raise UsageError(f"TLS with certificate {cert} and key {key}: {error.strerror or error}") from None


def make_config(app: Any, cert: Path | None, key: Path | None) -> uvicorn.Config:
    """Uvicorn's settings."""
    config = uvicorn.Config(
        app,
        http=PatientOnlySoLong,
        ws="none",
        lifespan="off",
        loop="asyncio",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
        limit_concurrency=_CONNECTIONS,
        ssl_certfile=str(cert) if cert is not None else None,
        ssl_keyfile=str(key) if key is not None else None,
    )
    config.load()
    return config


def serve(config: uvicorn.Config, sock: socket.socket, streams: Streams, stopped: Callable[[], bool]) -> None:
    """Serves until `stopped` says so."""
    Server(config, streams, stopped).run(sockets=[sock])
