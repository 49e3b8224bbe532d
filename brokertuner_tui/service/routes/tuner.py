"""Which tuner has the broker."""

from __future__ import annotations

from fastapi import APIRouter, Query, Response
from starlette.responses import JSONResponse

from brokertuner_tui.service import models
from brokertuner_tui.service.context import Service
from brokertuner_tui.service.routes.answers import answers

_GONE = "The id of a tuner of the same machine that has the broker, and that the asking one has seen to be dead."


def router(service: Service) -> APIRouter:
    """The endpoints; what they do is done by `LeaseGate`, for every change alike."""
    api = APIRouter(tags=["change"])

    @api.post("/tuner", response_model=models.Ok, responses=answers(409))
    async def take(instead_of: str = Query("", max_length=200, description=_GONE)) -> Response:
        """A tuner that names itself has the broker from now on: changes of others are refused while it is heard of."""
        service.must_allow("tuner")
        return JSONResponse({"status": "ok"})

    @api.delete("/tuner", response_model=models.Ok, responses=answers())
    async def leave() -> Response:
        """It says goodbye: the broker is free at once."""
        return JSONResponse({"status": "ok"})

    return api
