"""What a tuning session can be asked for."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from brokertuner_tui.knobs.catalogue import NAMES
from brokertuner_tui.service import models
from brokertuner_tui.service.bodies import json_object, knob_value, only, wrong
from brokertuner_tui.service.context import Service
from brokertuner_tui.service.routes.answers import answers
from brokertuner_tui.tuning.commands import Command, Pause, Pin, Resume, Step, Unpin

_TAKEN: dict[str, Any] = {"status_code": 202, "response_model": models.Ok}


def router(service: Service) -> APIRouter:
    """The endpoints."""
    api = APIRouter(tags=["session"])

    def send(command: Command) -> Response:
        service.host.command(command)
        return JSONResponse({"status": "ok"}, 202)

    @api.post("/pause", responses=answers(409), **_TAKEN)
    async def pause() -> Response:
        """The session changes nothing on the broker any more; always allowed."""
        return send(Pause())

    @api.post("/resume", responses=answers(409), **_TAKEN)
    async def resume() -> Response:
        """The session goes on."""
        service.must_allow("resume")
        return send(Resume())

    @api.post("/step", responses=answers(409), **_TAKEN)
    async def step() -> Response:
        """One trial, then paused."""
        service.must_allow("step")
        return send(Step())

    @api.post("/pin", responses=answers(409, 415, 422), openapi_extra=models.body_of(models.PIN_SCHEMA), **_TAKEN)
    async def pin(request: Request) -> Response:
        """The agent leaves a knob at a value (null: what is in force), or may move it again (`pinned` false)."""
        service.must_allow("pin")
        body = await json_object(request)
        only(body, ("knob", "value", "pinned"), ("knob",))
        name, pinned = body["knob"], body.get("pinned", True)
        if not isinstance(name, str) or name not in NAMES:
            raise wrong(f"unknown knob: known are {', '.join(NAMES)}", "knob")
        if not isinstance(pinned, bool):
            raise wrong("pinned must be true or false", "pinned")
        value = body.get("value")
        checked = knob_value(name, value) if value is not None else None
        return send(Pin(name, checked) if pinned else Unpin(name))

    return api
