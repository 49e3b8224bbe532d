"""Who gets in: security headers, Host, Origin, token, the body's size and time. Pure ASGI, before any route."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from brokertuner_tui import __version__
from brokertuner_tui.service.confirmation import CLIENT_HEADER
from brokertuner_tui.service.errors import ApiError

_access = logging.getLogger("brokertuner_tui.service.access")
OPEN_PATHS = frozenset({"/healthz"})
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_HEADERS = (
    (b"x-brokertuner-version", __version__.encode()),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


@dataclass(frozen=True, slots=True)
class GateRules:
    """What is let in."""

    token: str
    hosts: frozenset[str]
    """Names and addresses, lower case, without ports, that may stand in `Host`; the address that a connection came to
    is always one."""
    max_body: int
    """Bytes."""
    body_s: float
    """Time for a request's body to arrive."""
    tls: bool = False
    heard: Callable[[str], None] = lambda _: None
    """Told how whoever was let in calls itself (see `confirmation.py`)."""


class Gate:
    """Wraps an app; also writes the access log: method, path and status, never a query or a header."""

    def __init__(self, app: ASGIApp, rules: GateRules) -> None:
        self._app, self._rules = app, rules
        self._expected = f"Bearer {rules.token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection's request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            elif scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        began, status = time.perf_counter(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                extra = list(_HEADERS)
                if self._rules.tls:
                    extra.append((b"strict-transport-security", b"max-age=31536000"))
                message = {**message, "headers": [*message.get("headers", ()), *extra]}
            await send(message)

        try:
            self._check(scope)
            body = await self._body(scope, receive)
        except ApiError as error:
            await error.response()(scope, receive, sending)
        except ConnectionResetError:
            return
        else:
            await self._app(scope, _replay(body, receive), sending)
        finally:
            client = scope.get("client") or ("-",)
            path = "".join(char if char.isprintable() else "?" for char in scope["path"])[:200]
            elapsed_ms = 1000 * (time.perf_counter() - began)
            _access.info("%s %s %s %d %.0f ms", client[0], scope["method"], path, status, elapsed_ms)

    def _check(self, scope: Scope) -> None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        host = _one(headers, b"host")
        name = host_of(host)
        server = scope.get("server") or ("",)
        if name is None or not (name in self._rules.hosts or name == server[0]):
            message = f"this service is not called {host[:100]!r}: see allowed_hosts in [service]"
            raise ApiError(400, "host", message, headers={"Connection": "close"})
        origins = _all(headers, b"origin")
        ours = f"{'https' if self._rules.tls else 'http'}://{host.lower()}"
        if any(origin.lower() != ours for origin in origins):
            raise ApiError(403, "origin", "requests of other sites are refused")
        if scope["path"] in OPEN_PATHS:
            return
        given = [value for key, value in headers if key == b"authorization"]
        # One comparison in constant time, whatever was sent.
        fits = hmac.compare_digest(given[0] if len(given) == 1 else b"", self._expected)
        if not fits:
            message = (
                "a token is needed: Authorization: Bearer TOKEN" if not given else "the token is not the one of this service"
            )
            raise ApiError(401, "token", message, headers={"WWW-Authenticate": "Bearer"})
        self._rules.heard(_one(headers, CLIENT_HEADER.encode()))

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body, at most `max_body` bytes, within `body_s`.

        Raises:
            ConnectionResetError: the client is gone.
        """
        close = {"Connection": "close"}  # what is left of the body is not read
        too_large = ApiError(413, "too_large", f"a body of at most {self._rules.max_body} bytes is taken", headers=close)
        told = _one(scope["headers"], b"content-length")
        if told.isdigit() and int(told) > self._rules.max_body:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self._rules.body_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ConnectionResetError
                    body += message.get("body", b"")
                    if len(body) > self._rules.max_body:
                        raise too_large
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            message_ = f"the body did not arrive within {self._rules.body_s:g} s"
            raise ApiError(408, "slow", message_, headers=close) from None


def host_of(header: str) -> str | None:
    """The name or address in a `Host` header, lower case, without its port; None where it is none."""
    try:
        parts = urlsplit(f"//{header}")
        _ = parts.port
    except ValueError:
        return None
    if not parts.hostname or parts.path or parts.query or parts.fragment or "@" in header:
        return None
    return parts.hostname.lower().rstrip(".")


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _all(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key == name]


def _one(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    found = _all(headers, name)
    return found[0] if len(found) == 1 else ""


def _replay(body: bytes, receive: Receive) -> Receive:
    told = False

    async def replayed() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
