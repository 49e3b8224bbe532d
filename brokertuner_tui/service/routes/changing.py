"""What changes the broker."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi import Path as PathParameter
from starlette.responses import JSONResponse

from brokertuner_tui.errors import TunerError
from brokertuner_tui.service import models
from brokertuner_tui.service.bodies import json_object, knob_values, only, wrong
from brokertuner_tui.service.changes import KEY, Done
from brokertuner_tui.service.confirmation import CLIENT_HEADER
from brokertuner_tui.service.context import Service, of_future
from brokertuner_tui.service.errors import ApiError
from brokertuner_tui.service.journal import Change, Kind
from brokertuner_tui.service.routes.answers import answers
from brokertuner_tui.service.traps import refuse_traps

_PATTERN = f"^{KEY.pattern}$"
_LATER = (
    "`later`: it counts once `POST /changes/KEY/confirm` says so; until then the agent goes back to what was good before when "
    "it hears nothing more of whoever asked (`[service] rollback_sec`), or is started again."
)
_KEY = Header(
    None,
    alias="Idempotency-Key",
    pattern=_PATTERN,
    description="Asked again with the same key, the change is not made again: the first outcome is told.",
)


def router(service: Service) -> APIRouter:
    """The endpoints."""
    api = APIRouter(tags=["change"])

    @api.post(
        "/apply_knobs",
        response_model=models.ApplyAnswer,
        responses=answers(409, 415, 422, 429, 503, 504),
        openapi_extra=models.body_of(models.KNOBS_SCHEMA),
    )
    async def apply_knobs(
        request: Request,
        dry_run: bool = Query(False, description="Only check, and tell what it would do."),
        confirm: Literal["now", "later"] = Query("now", description=_LATER),
        idempotency_key: str | None = _KEY,
    ) -> Response:
        """Brings knobs into force and verifies them; those that are not named stay as they are."""
        if not dry_run:
            service.must_allow("apply_knobs")
            service.must_not_only_read()
        wanted = knob_values(await json_object(request))
        plan = service.changes.plan(wanted)
        refuse_traps(service.host, plan.knobs)
        would = {"how": plan.how, "changed": list(plan.changed)}
        if dry_run:
            told: dict[str, Any] = {"key": None, "applied": None, "knobs": dict(plan.knobs), "replayed": False}
            return JSONResponse({"status": "ok", "dry_run": True, "would": would, **told})
        client = request.headers.get(CLIENT_HEADER, "")
        done = await _done(service, "apply", wanted, idempotency_key, later=confirm == "later", client=client)
        applied = done.change.applied
        if applied is not None:
            would = {"how": "restart" if applied["how"] == "start" else applied["how"], "changed": list(applied["changed"])}
        told = {"key": done.change.key, "applied": applied, "knobs": dict(done.change.knobs), "replayed": done.replayed}
        return JSONResponse({"status": "ok", "dry_run": False, "would": would, **told})

    @api.post("/restart_broker", response_model=models.RestartAnswer, responses=answers(409, 422, 429, 503, 504))
    async def restart_broker(idempotency_key: str | None = _KEY) -> Response:
        """Restarts the broker with the knobs in force; also brings back one that has died."""
        service.must_allow("restart_broker")
        service.must_not_only_read()
        done = await _done(service, "restart", {}, idempotency_key)
        return JSONResponse({"status": "ok", "key": done.change.key, "applied": done.change.applied, "replayed": done.replayed})

    @api.post(
        "/reconcile",
        response_model=models.ReconcileAnswer,
        responses=answers(409, 415, 422, 429, 503, 504),
        openapi_extra=models.body_of(models.KEEP_SCHEMA),
    )
    async def reconcile(request: Request, idempotency_key: str | None = _KEY) -> Response:
        """After somebody else has changed the config: brings ours back, or goes on with what is there now."""
        service.must_allow("reconcile")
        body = await json_object(request)
        only(body, ("keep",), ("keep",))
        keep = body["keep"]
        if keep not in ("ours", "theirs"):
            raise wrong("keep must be 'ours' or 'theirs'", "keep")
        service.must_not_only_read(unless=keep == "theirs")
        done = await _done(service, keep, {}, idempotency_key)
        told: dict[str, Any] = {"applied": done.change.applied, "knobs": dict(done.change.knobs), "replayed": done.replayed}
        return JSONResponse({"status": "ok", "key": done.change.key, **told})

    @api.get("/changes/{key}", response_model=models.ChangeAnswer, responses=answers(404, 422))
    async def change(key: str = PathParameter(pattern=_PATTERN)) -> Response:
        """What came of a change, also after the agent was started again."""
        found = service.changes.get(key)
        if found is None:
            raise ApiError(404, "no_such_change", f"no change {key!r} is known here")
        return JSONResponse(_told(found))

    @api.post("/changes/{key}/confirm", response_model=models.ConfirmAnswer, responses=answers(404, 409, 422, 503, 504))
    async def confirm_change(key: str = PathParameter(pattern=_PATTERN)) -> Response:
        """The change has proven itself: it is what the agent goes back to from now on."""
        service.must_allow("confirm")
        try:
            knobs = await of_future(service.changes.confirm(key), service.change_s, "the agent is busy")
        except TunerError as error:
            raise ApiError(503, "not_confirmed", str(error)) from error
        return JSONResponse({"status": "ok", "key": key, "knobs": dict(knobs)})

    return api


async def _done(service: Service, kind: Kind, wanted: Any, key: str | None, *, later: bool = False, client: str = "") -> Done:
    future = service.changes.submit(kind, wanted, key, later=later, client=client)
    late = f"not verified within {service.change_s:g} s; it goes on: GET /changes" + (f"/{key} tells" if key else "/KEY tells")
    done = await of_future(future, service.change_s, late)
    error = done.change.error
    if error is not None:
        raise ApiError(503, **{"log": "", "restored": None, **error})
    return done


def _told(change: Change) -> dict[str, Any]:
    names = ("key", "kind", "state", "at", "applied", "error", "confirmed")
    return {name: getattr(change, name) for name in names} | {"knobs": dict(change.knobs)}
