"""The FastAPI app, put together."""

from __future__ import annotations

import logging
import re
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from brokertuner_tui import __version__
from brokertuner_tui.service.context import Service
from brokertuner_tui.service.errors import ApiError
from brokertuner_tui.service.gate import OPEN_PATHS, Gate, GateRules
from brokertuner_tui.service.lease import LeaseGate
from brokertuner_tui.service.routes import changing, load, reading, session, tuner

_log = logging.getLogger(__name__)


class _App(FastAPI):
    """With the security scheme of the gate in its document."""

    _described: list[tuple[re.Pattern[str], dict[str, tuple[str, ...]]]] | None = None

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        if self.openapi_schema is None:
            document = super().openapi()
            document.setdefault("components", {})["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            document["security"] = [{"token": []}]
            for path in OPEN_PATHS:
                for operation in document["paths"][path].values():
                    operation["security"] = []
            self.openapi_schema = document
        return self.openapi_schema

    def described(self) -> list[tuple[re.Pattern[str], dict[str, tuple[str, ...]]]]:
        """Every path of the document, with its methods and their query parameters."""
        if self._described is None:
            self._described = [
                (
                    re.compile(re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(path))),
                    {name.upper(): _query(told) for name, told in item.items()},
                )
                for path, item in self.openapi()["paths"].items()
            ]
        return self._described


def _query(operation: dict[str, Any]) -> tuple[str, ...]:
    return tuple(one["name"] for one in operation.get("parameters", ()) if one["in"] == "query")


def make_app(service: Service, rules: GateRules) -> FastAPI:
    """The app: every endpoint, behind the gate."""
    app = _App(
        title="brokertuner-tui",
        version=__version__,
        description="The agent of one Mosquitto broker: its knobs, telemetry, load, and tuning session.",
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        openapi_url="/openapi.json",
        dependencies=[Depends(_known_query)],
    )
    for routes in (reading, changing, session, load, tuner):
        app.include_router(routes.router(service))
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unforeseen)
    app.add_middleware(LeaseGate, lease=service.lease)
    app.add_middleware(Gate, rules=rules)  # the last one is asked first
    app.described()  # takes a third of a second, which the first request need not wait for
    return app


def _described(request: Request) -> dict[str, tuple[str, ...]]:
    """What the document says of this path: its methods, and the query parameters of each."""
    app: _App = request.app
    for pattern, methods in app.described():
        if pattern.fullmatch(request.url.path):
            return methods
    return {}


async def _known_query(request: Request) -> None:
    """Refuses what no endpoint asked for: `?dryrun=true` must not change a broker."""
    known = _described(request).get(request.method, ())
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        plain = "".join(char if char.isprintable() else "?" for char in name)[:100]
        if name not in known:
            hint = f"known are {', '.join(known)}" if known else "there are none here"
            raise ApiError(422, "invalid", f"unknown parameter {plain!r}: {hint}", field=plain)
        if given.count(name) > 1:
            raise ApiError(422, "invalid", f"{plain} is given twice", field=plain)


async def _api_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error.response()


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = str(first["loc"][-1])
    return ApiError(422, "invalid", f"{name}: {first['msg']}", field=name).response()


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    known = {404: "not_found", 405: "method_not_allowed"}
    message = f"there is nothing at {request.url.path[:100]}" if error.status_code == 404 else str(error.detail)
    methods = _described(request) if error.status_code == 405 else {}
    headers = {"Allow": ", ".join(sorted(methods))} if methods else error.headers
    return ApiError(error.status_code, known.get(error.status_code, "http"), message, headers=headers).response()


async def _unforeseen(request: Request, error: Exception) -> Response:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return ApiError(500, "internal", f"{type(error).__name__}: this is a bug; the log has more").response()
