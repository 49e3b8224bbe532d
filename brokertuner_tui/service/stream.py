"""Samples to any number of clients by server-sent events: latest wins, so that no client makes a queue grow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from starlette.types import Receive, Scope, Send

from brokertuner_tui.service.errors import ApiError
from brokertuner_tui.service.hosted import SessionStatus
from brokertuner_tui.store.plain import finite
from brokertuner_tui.telemetry.sample import Sample

HEARTBEAT_S = 5.0
_SEND_S = 15.0
"""A client that does not read for this long has gone."""
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"x-accel-buffering", b"no"),
]


class Streams:
    """All open streams.

    Args:
        subscribe: see `Hosted.subscribe`.
        most: streams at once.
        session: see `Hosted.session_status`; told when it has changed, after the sample that follows.
    """

    def __init__(
        self,
        subscribe: Callable[[Callable[[Sample], None]], Callable[[], None]],
        most: int,
        session: Callable[[], SessionStatus | None] = lambda: None,
    ) -> None:
        self._subscribe, self._most, self.session = subscribe, most, session
        self._open: set[_Slot] = set()
        self._closed = False

    @property
    def count(self) -> int:
        """Streams that are open."""
        return len(self._open)

    def open(self, limit: int | None) -> Stream:
        """A response that streams; after `limit` samples it ends.

        Raises:
            ApiError: 503 there are too many.
        """
        if self._closed or len(self._open) >= self._most:
            raise ApiError(
                503, "too_many_streams", f"{self._most} streams are open, and that is the most", headers={"Retry-After": "5"}
            )
        slot = _Slot(asyncio.get_running_loop())
        self._open.add(slot)
        return Stream(self, slot, limit)

    def attach(self, slot: _Slot) -> Callable[[], None]:
        """Feeds `slot`; gives what ends that."""
        end = self._subscribe(slot.put)

        def detach() -> None:
            end()
            self._open.discard(slot)

        return detach

    def close(self) -> None:
        """Ends every stream. Called in the event loop's thread."""
        self._closed = True
        for slot in list(self._open):
            slot.end()


class _Slot:
    """Holds the newest sample for one client."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._sample: Sample | None = None
        self._wake = asyncio.Event()
        self.ended = False

    def put(self, sample: Sample) -> None:
        """Called by the sampler's thread."""
        self._sample = sample
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake.set)

    def end(self) -> None:
        """The client is gone, or the service ends."""
        self.ended = True
        self._wake.set()

    async def take(self, within_s: float) -> Sample | None:
        """The newest sample that was not taken yet; None when there is none in time."""
        try:
            async with asyncio.timeout(within_s):
                await self._wake.wait()
        except TimeoutError:
            return None
        self._wake.clear()
        sample, self._sample = self._sample, None
        return sample


class Stream:
    """The ASGI response of one stream."""

    def __init__(self, streams: Streams, slot: _Slot, limit: int | None) -> None:
        self._streams, self._slot, self._limit = streams, slot, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Streams until the client or the service is gone, or the limit is reached."""
        detach = self._streams.attach(self._slot)
        watcher = asyncio.create_task(self._watch(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await self._write(send)
        finally:
            detach()
            watcher.cancel()

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._slot.end()

    async def _write(self, send: Send) -> None:
        number = 0
        told: SessionStatus | None = None
        await _send(send, b": brokertuner-tui\n\n", more=True)
        while not self._slot.ended and (self._limit is None or number < self._limit):
            sample = await self._slot.take(HEARTBEAT_S)
            if sample is not None:
                number += 1
                await _send(send, _event("sample", number, sample), more=True)
                session = self._streams.session()
                if session is not None and session != told:
                    told = session
                    await _send(send, _event("session", number, session), more=True)
            elif not self._slot.ended:
                await _send(send, b": alive\n\n", more=True)
        await _send(send, b"", more=False)


def _event(name: str, number: int, data: object) -> bytes:
    text = json.dumps(finite(data), allow_nan=False, separators=(",", ":"))
    return f"event: {name}\nid: {number}\ndata: {text}\n\n".encode()


async def _send(send: Send, data: bytes, *, more: bool) -> None:
    async with asyncio.timeout(_SEND_S):  # raises TimeoutError: the server then closes the connection
        await send({"type": "http.response.body", "body": data, "more_body": more})
