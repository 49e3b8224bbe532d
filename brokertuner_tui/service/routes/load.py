"""The load on the broker's own host."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TypeVar

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from brokertuner_tui.errors import ConfigError, TunerError
from brokertuner_tui.service import models
from brokertuner_tui.service.bodies import json_object, number, only, profile, wrong
from brokertuner_tui.service.context import Service, of_future
from brokertuner_tui.service.errors import ApiError
from brokertuner_tui.service.hosted_load import HostedLoad
from brokertuner_tui.service.routes.answers import answers
from brokertuner_tui.store.plain import finite
from brokertuner_tui.workload.load import LoadStatus
from brokertuner_tui.workload.window import Window

T = TypeVar("T")
_LATE = "the load did not answer in time"
_MARGIN_S = 10.0


def router(service: Service) -> APIRouter:  # noqa: C901 (a table of endpoints)
    """The endpoints."""
    api = APIRouter(tags=["load"])
    ok = {"status": "ok"}

    def ours() -> HostedLoad:
        if service.host.load is None:
            raise ApiError(409, "session", "a tuning session has the load in its hands")
        return service.host.load

    async def done(future: Future[T], within_s: float | None = None) -> T:
        try:
            return await of_future(future, service.change_s if within_s is None else within_s, _LATE)
        except ConfigError as error:
            raise wrong(str(error), error.key) from error
        except TunerError as error:
            raise ApiError(503, "load", str(error)) from error

    @api.get("/load", response_model=LoadStatus, responses=answers())
    async def load() -> Response:
        """How the load on this side is."""
        status = service.host.load_status() or LoadStatus("stopped", None, None, 0, 0, 0, 0, 0, 0, 0.0)
        return JSONResponse(finite(status))

    @api.post(
        "/load",
        response_model=models.Ok,
        responses=answers(409, 415, 422, 503, 504),
        openapi_extra=models.body_of(models.LOAD_SCHEMA),
    )
    async def start(request: Request) -> Response:
        """Starts a load, or goes over to another profile; does not wait for its connections."""
        service.must_allow("load")
        await done(ours().start(profile(await json_object(request))))
        return JSONResponse(ok)

    @api.delete("/load", response_model=models.Ok, responses=answers(409, 503, 504))
    async def stop() -> Response:
        """Ends the load; always allowed."""
        await done(ours().stop())
        return JSONResponse(ok)

    @api.post(
        "/load/ready",
        response_model=models.Seconds,
        responses=answers(409, 415, 422, 503, 504),
        openapi_extra=models.body_of(models.READY_SCHEMA),
    )
    async def ready(request: Request) -> Response:
        """Waits until every client of the load is connected."""
        body = await json_object(request)
        only(body, ("deadline_s",), ("deadline_s",))
        deadline_s = number(body, "deadline_s", 5.0, 0.0, 600.0, above=True)
        try:
            seconds = await of_future(ours().wait_ready(deadline_s), deadline_s + _MARGIN_S, _LATE)
        except TunerError as error:
            alive = ours().status().pid is not None
            raise ApiError(504 if alive else 503, "not_ready" if alive else "load", str(error)) from error
        return JSONResponse({"seconds": seconds})

    @api.post("/load/window/open", response_model=models.Ok, responses=answers(409, 503, 504))
    async def open_window() -> Response:
        """Starts a measurement."""
        await done(ours().open_window())
        return JSONResponse(ok)

    @api.post(
        "/load/window/close",
        response_model=Window,
        responses=answers(409, 415, 422, 503, 504),
        openapi_extra=models.body_of(models.DRAIN_SCHEMA),
    )
    async def close_window(request: Request) -> Response:
        """Ends the measurement; with `drain_s`, stragglers are awaited for up to that long first."""
        body = await json_object(request, may_be_empty=True)
        only(body, ("drain_s",))
        drain_s = number(body, "drain_s", 0.0, 0.0, 600.0)
        window = await done(ours().close_window(drain_s), drain_s + _MARGIN_S)
        return JSONResponse(finite(window.as_dict()))

    @api.post("/load/expect_restart", response_model=models.Ok, responses=answers(409, 504))
    async def expect_restart() -> Response:
        """The broker is about to be restarted: the load reconnects at once. Before its own changes, the agent does this."""
        await service.of_thread(ours().expect_restart)
        return JSONResponse(ok)

    @api.post("/restart_workload", response_model=models.Ok, responses=answers(409, 503, 504))
    async def restart_workload() -> Response:
        """Ends the load's process and starts it again."""
        service.must_allow("restart_workload")
        try:
            await service.of_thread(service.host.restart_load)
        except TunerError as error:
            raise ApiError(503, "load", str(error)) from error
        return JSONResponse(ok)

    return api
