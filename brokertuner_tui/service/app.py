"""The FastAPI app, put together."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from brokertuner_tui import __version__
from brokertuner_tui.service.context import Service
from brokertuner_tui.service.errors import ApiError
from brokertuner_tui.service.gate import OPEN_PATHS, Gate, GateRules
from brokertuner_tui.service.routes import changing, load, reading, session

_log = logging.getLogger(__name__)


class _App(FastAPI):
    """With the security scheme of the gate in its document."""

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


def make_app(service: Service, rules: GateRules) -> FastAPI:
    """The app: every endpoint, behind the gate."""
    app = _App(
        title="brokertuner-tui",
        version=__version__,
        description="The agent of one Mosquitto broker: its knobs, telemetry, load, and tuning session.",
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    for routes in (reading, changing, session, load):
        app.include_router(routes.router(service))
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unforeseen)
    app.add_middleware(Gate, rules=rules)
    return app


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
    headers = {"Allow": _allowed(request)} if error.status_code == 405 else error.headers
    return ApiError(error.status_code, known.get(error.status_code, "http"), message, headers=headers).response()


def _allowed(request: Request) -> str:
    """Every method of this path (Starlette names those of the first route alone)."""
    found: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return ", ".join(sorted(found))


async def _unforeseen(request: Request, error: Exception) -> Response:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return ApiError(500, "internal", f"{type(error).__name__}: this is a bug; the log has more").response()
