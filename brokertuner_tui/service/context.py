"""What every route works with."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from brokertuner_tui import __version__
from brokertuner_tui.service.changes import Changes
from brokertuner_tui.service.errors import ApiError
from brokertuner_tui.service.hosted import Hosted
from brokertuner_tui.service.lease import Lease
from brokertuner_tui.service.stream import Streams

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Agent:
    """This process, as `/state` tells it."""

    version: str = __version__
    pid: int = field(default_factory=os.getpid)
    started_at: float = field(default_factory=time.time)
    boot_id: str = field(default_factory=lambda: secrets.token_hex(8))


@dataclass(frozen=True, slots=True)
class Service:
    """What every route works with."""

    host: Hosted
    changes: Changes
    streams: Streams
    save_dir: Path
    """Where the store is."""
    allow_changes: bool
    answer_s: float
    """How long a request may wait for what is quick."""
    change_s: float
    """How long a request may wait for a change of the broker, or for the load's process."""
    agent: Agent = field(default_factory=Agent)
    lease: Lease = field(default_factory=Lease)

    def must_allow(self, what: str) -> None:
        """Raises 403 while changes are off."""
        if not self.allow_changes:
            raise ApiError(403, "changes_off", f"{what}: changes are off; start the service with --allow-changes")

    def must_not_only_read(self, *, unless: bool = False) -> None:
        """Raises 409 where the session changes nothing of the broker, whoever asks."""
        status = self.host.session_status()
        if status is not None and status.read_only and not unless:
            raise ApiError(409, "read_only", "the session only reads (tuning.read_only): nothing was changed")

    async def of_thread(self, work: Callable[[], T]) -> T:
        """What `work`, which may block, gives.

        Raises:
            ApiError: 504 not within `answer_s`.
        """
        return await waited(asyncio.to_thread(work), self.answer_s, "this takes too long")


async def of_future(future: Future[T], within_s: float, late: str) -> T:
    """What a worker's future gives; the work goes on when the wait is over.

    Raises:
        ApiError: 504 not in time.
    """
    return await waited(asyncio.wrap_future(future), within_s, late)


async def waited(work: asyncio.Future[T] | asyncio.Task[T] | object, within_s: float, late: str) -> T:
    """Waits without ending the work when the wait ends."""
    inner: asyncio.Future[T] = asyncio.ensure_future(work)  # type: ignore[arg-type]
    inner.add_done_callback(_seen)
    try:
        return await asyncio.wait_for(asyncio.shield(inner), within_s)
    except TimeoutError:
        if inner.done():
            return inner.result()
        raise ApiError(504, "timeout", late) from None


def _seen(future: asyncio.Future[T]) -> None:
    """Whoever waited may be gone: an exception that nobody reads is no accident."""
    if not future.cancelled():
        future.exception()
