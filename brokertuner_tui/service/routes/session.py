"""What a tuning session can be asked for."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from brokertuner_tui.knobs.catalogue import NAMES
from brokertuner_tui.service import models
from brokertuner_tui.service.bodies import json_object, knob_value, only, wrong
from brokertuner_tui.service.context import Service
from brokertuner_tui.service.errors import ApiError
from brokertuner_tui.service.routes.answers import answers
from brokertuner_tui.store.plain import finite
from brokertuner_tui.tuning.commands import ApplyProposal, Command, Pause, Pin, Resume, SkipProposal, Step, Unpin

_TAKEN: dict[str, Any] = {"status_code": 202, "response_model": models.Ok}


def _must_be_settled(service: Service) -> None:
    """Raises 409 while the session waits for a word on a drift."""
    status = service.host.session_status()
    if status is not None and status.drift:
        raise ApiError(
            409,
            "drifted",
            "somebody else has changed the broker: POST /reconcile says what counts",
            differences=finite(status.drift),
        )


def _must_wait(service: Service, *, changes: bool) -> None:
    """Raises 409 where no proposal can be answered so."""
    status = service.host.session_status()
    if status is None:
        return  # the command itself is refused
    if status.proposal is None:
        applies = status.mode != "recommend" and not status.read_only
        why = (
            f"the mode is {status.mode}: the agent applies by itself"
            if applies
            else "the next window has not been measured yet"
        )
        raise ApiError(409, "no_proposal", f"no proposal waits: {why}")
    if changes:
        service.must_not_only_read()


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
        _must_be_settled(service)
        return send(Resume())

    @api.post("/step", responses=answers(409), **_TAKEN)
    async def step() -> Response:
        """One trial, then paused."""
        service.must_allow("step")
        _must_be_settled(service)
        return send(Step())

    @api.post("/proposal/apply", responses=answers(409), **_TAKEN)
    async def apply_proposal() -> Response:
        """What was proposed is brought into force and measured next; `/state` and the stream tell what came of it."""
        service.must_allow("proposal")
        _must_wait(service, changes=True)
        return send(ApplyProposal())

    @api.post("/proposal/skip", responses=answers(409), **_TAKEN)
    async def skip_proposal() -> Response:
        """Another one is proposed."""
        service.must_allow("proposal")
        _must_wait(service, changes=False)
        return send(SkipProposal())

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
