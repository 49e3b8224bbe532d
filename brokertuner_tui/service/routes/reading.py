"""What can be looked at: nothing here changes anything."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Query, Response
from starlette.responses import JSONResponse

from brokertuner_tui.broker.probe import Probe, ProbeError
from brokertuner_tui.knobs.catalogue import CATALOGUE, Knob
from brokertuner_tui.mqtt.tls import TlsFileError
from brokertuner_tui.service import metrics, models
from brokertuner_tui.service.context import Service
from brokertuner_tui.service.errors import ApiError
from brokertuner_tui.service.routes.answers import OPEN, answers
from brokertuner_tui.service.stream import Stream
from brokertuner_tui.store.plain import finite

_ANSWER_S = 2.0
_OLD_S = 5.0
"""Telemetry is read three times a second."""


def router(service: Service) -> APIRouter:
    """The endpoints."""
    api = APIRouter(tags=["look"])
    host = service.host

    @api.get("/healthz", response_model=models.Health, responses=answers(always=OPEN))
    async def healthz() -> Response:
        """Says that the process serves; needs no token."""
        return JSONResponse({"status": "ok"})

    @api.get(
        "/readyz",
        response_model=models.Ready,
        responses={**answers(504), 503: {"model": models.Ready, "description": "Not ready; see `reasons`."}},
    )
    async def readyz() -> Response:
        """Says whether the broker is verified and results can be written."""
        reasons = await service.of_thread(lambda: _unready(service))
        return JSONResponse({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)

    @api.get(
        "/metrics",
        response_class=Response,
        responses={**answers(), 200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Text."}},
    )
    async def prometheus() -> Response:
        """Everything as Prometheus scrapes it."""
        return Response(metrics.text(host, service.streams.count), media_type=metrics.CONTENT_TYPE)

    @api.get("/state", response_model=models.State, responses=answers())
    async def state() -> Response:
        """The agent, its broker, and what is under way."""
        return JSONResponse(state_of(service))

    @api.get("/knobs", response_model=models.Knobs, responses=answers())
    async def knobs() -> Response:
        """The knobs in force, and what each of them is."""
        told = {
            "knobs": dict(host.good),
            "baseline": dict(host.baseline),
            "catalogue": [_entry(knob, host) for knob in CATALOGUE],
        }
        return JSONResponse(told)

    @api.get("/telemetry", responses={**answers(503), 200: {"model": dict[str, Any], "description": "A sample."}})
    async def telemetry() -> Response:
        """The latest sample."""
        sample = host.latest()
        if sample is None:
            raise ApiError(503, "no_sample", "there is no telemetry yet")
        return JSONResponse(finite(sample))

    @api.get(
        "/telemetry/stream",
        response_class=Response,
        responses={
            **answers(422, 503),
            200: {"content": {"text/event-stream": {"schema": models.EVENT_SCHEMA}}, "description": "Samples as they come."},
        },
    )
    async def stream(limit: int | None = Query(None, ge=1, le=1_000_000, description="End after so many.")) -> Any:
        """Samples, and what changes of a session, as server-sent events; a slow reader misses some, the newest always comes."""
        return _Passed(service.streams.open(limit))

    @api.get("/runs", response_model=models.Runs, responses=answers(422, 503, 504))
    async def runs(limit: int = Query(50, ge=1, le=1000)) -> Response:
        """Runs in the store, the newest first."""
        return JSONResponse({"runs": await service.of_thread(lambda: _runs(service.save_dir, limit))})

    return api


class _Passed(Response):
    """A stream as FastAPI wants it."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._stream(scope, receive, send)


def state_of(service: Service) -> dict[str, Any]:
    """`/state`."""
    host = service.host
    status, endpoint = host.status(), host.endpoint
    change, sample = service.changes.under_way, host.latest()
    broker = finite(status) | {
        "kind": host.kind,
        "program": host.program,
        "baseline": dict(host.baseline),
        "last_good": dict(host.last_good) if host.last_good is not None else None,
        "endpoint": {
            "host": endpoint.host,
            "port": endpoint.port,
            "protocol": endpoint.protocol,
            "transport": endpoint.transport,
            "path": endpoint.path,
            "tls": endpoint.tls is not None,
        },
    }
    return {
        "agent": asdict(service.agent),
        "allow_changes": service.allow_changes,
        "broker": broker,
        "change": finite(change),
        "unconfirmed": finite(service.changes.confirmation.waiting),
        "rolled_back": finite(service.changes.confirmation.rolled_back),
        "session": finite(host.session_status()),
        "load": finite(host.load_status()),
        "connections": {name: finite(status) for name, status in (sample.connections if sample else {}).items()},
    }


def _entry(knob: Knob, host: Any) -> dict[str, Any]:
    return {
        "name": knob.name,
        "unit": knob.unit,
        "type": knob.type,
        "min": knob.low,
        "max": knob.high,
        "default": knob.default_for(host.status().version),
        "special": {str(value): meaning for value, meaning in knob.special.items()},
        "effect": knob.applies,
        "meaning": knob.meaning,
    }


def _unready(service: Service) -> list[str]:
    reasons = []
    status = service.host.status()
    if status.state != "listening" or status.knobs is None:
        reasons.append(f"the broker is {status.state}" + (f": {status.error}" if status.error else ""))
    elif (silent := _silent(service)) is not None:
        reasons.append(silent)
    sample = service.host.latest()
    if sample is None or time.monotonic() - sample.at_s > _OLD_S:
        reasons.append("there is no telemetry")
    session = service.host.session_status()
    if session is not None and session.state in ("failed", "cancelled", "completed"):
        reasons.append(f"the tuning session is {session.state}")
    try:
        with tempfile.TemporaryFile(dir=service.save_dir) as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        reasons.append(f"the store cannot be written: {error.strerror}")
    return reasons


def _silent(service: Service) -> str | None:
    """Why a broker that runs serves nobody: one that hangs still has its process and its port."""
    try:
        with Probe(service.host.endpoint, time.monotonic() + min(_ANSWER_S, service.answer_s / 2)) as probe:
            probe.hello()
    except (ProbeError, TlsFileError) as error:
        return f"the broker does not answer: {error}"
    return None


def _runs(save_dir: Path, limit: int) -> list[dict[str, Any]]:
    path = save_dir / "store.db"
    if not path.exists() or not path.stat().st_size:
        return []
    from brokertuner_tui.store.errors import StoreError
    from brokertuner_tui.store.store import Store

    try:
        with Store.open(path, read_only=True) as store:
            rows = store.runs()[:limit]
    except StoreError as error:
        raise ApiError(503, "store", str(error)) from error
    return [finite(row) for row in rows]
