"""One change of the broker at a time, once: busy, too soon, or asked for before with the same key."""

from __future__ import annotations

import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from brokertuner_tui.broker.interface import Applied, ApplyFailed, BrokerDrifted
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import Value, needs_restart
from brokertuner_tui.knobs.catalogue import changed as differing
from brokertuner_tui.service.confirmation import Confirmation
from brokertuner_tui.service.errors import ApiError
from brokertuner_tui.service.hosted import Hosted
from brokertuner_tui.service.journal import Change, Journal, JournalError, Kind
from brokertuner_tui.store.plain import finite

_log = logging.getLogger(__name__)
T = TypeVar("T")
KEY = re.compile(r"[A-Za-z0-9._-]{1,64}")
CUT = "the agent was ended in the middle of this change; it was not applied again"


@dataclass(frozen=True, slots=True)
class UnderWay:
    """The change that is being made."""

    key: str
    since: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Done:
    """A change with its outcome."""

    change: Change
    replayed: bool
    """Whether it was made before, and this is only its outcome again."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a change would do."""

    how: str
    """`reload`, `restart` or `none`."""
    changed: tuple[str, ...]
    knobs: Mapping[str, Value]
    """All eleven, as they would be."""


class Changes:
    """Makes changes in a thread of its own. `submit`, `get` and `plan` may be called by any thread.

    Args:
        interval_s: at least this long from the beginning of one change to the next.
        rollback_s: see `Confirmation`.
    """

    def __init__(self, host: Hosted, journal: Journal, *, interval_s: float = 1.0, rollback_s: float = 120.0) -> None:
        self.confirmation = Confirmation(host, journal, rollback_s=rollback_s)
        self._host, self._journal, self._interval_s = host, journal, interval_s
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="changes")
        self._under_way: tuple[UnderWay, Kind, Mapping[str, Value], Future[Done]] | None = None
        self._last_began = float("-inf")

    @property
    def under_way(self) -> UnderWay | None:
        """The change that is being made just now."""
        current = self._under_way
        return current[0] if current is not None else None

    def resolve(self) -> None:
        """At the start: what was under way when the last agent was ended gets its outcome; nothing is applied.

        Raises:
            JournalError: it cannot be written.
        """
        for change in self._journal.pending():
            in_force = self._host.good
            if change.kind == "apply" and dict(in_force) == dict(change.knobs):
                self._journal.end(change.key, "applied", in_force)
                continue
            error = {"code": "not_applied", "message": f"{CUT}; the broker runs with the knobs given here", "field": None}
            self._journal.end(change.key, "unknown_after_crash_resolved", in_force, error=error)
            _log.warning("change %s: %s", change.key, CUT)

        self.confirmation.resolve()

    def get(self, key: str) -> Change | None:
        """The change with this key."""
        current, noted = self._under_way, self._journal.get(key)
        if noted is None and current is not None and current[0].key == key:  # about to be written
            return Change(key, current[1], current[2], {**self._host.good, **current[2]}, "under_way", current[0].since)
        return noted

    def plan(self, wanted: Mapping[str, Value]) -> Plan:
        """What applying `wanted` now would do; touches nothing."""
        before = self._host.good
        after = {**before, **wanted}
        names = differing(before, after)
        down = self._host.status().knobs is None
        how = "restart" if down or needs_restart(before, after) else "reload" if names else "none"
        return Plan(how, names, after)

    def confirm(self, key: str) -> Future[Mapping[str, Value]]:
        """See `Confirmation.confirm`; the future has the knobs, an ApiError or a TunerError."""
        return self._worker.submit(self.confirmation.confirm, key)

    def submit(
        self, kind: Kind, wanted: Mapping[str, Value], key: str | None, *, later: bool = False, client: str = ""
    ) -> Future[Done]:
        """Begins a change; the future has its outcome, or an ApiError.

        Args:
            later: it counts once `confirm` is called; until then the agent may roll it back.
            client: who is to confirm it, as it calls itself.

        Raises:
            ApiError: 409 another change is under way, or the key was used for something else; 429 too soon.
        """
        with self._lock:
            if key is not None and (told := self._told_before(kind, wanted, key)) is not None:
                return told
            if self._under_way is not None:
                raise ApiError(409, "busy", f"another change is under way: {self._under_way[0].key}")
            wait_s = self._last_began + self._interval_s - time.monotonic()
            if wait_s > 0:
                message = f"at most one change every {self._interval_s:g} s: try again in {wait_s:.2f} s"
                headers = {"Retry-After": str(max(1, round(wait_s + 0.5)))}
                raise ApiError(429, "too_soon", message, headers=headers, retry_after_s=round(wait_s, 3))
            self._last_began = time.monotonic()
            name = key or f"auto-{secrets.token_hex(8)}"
            future = self._worker.submit(self._carry_out, name, kind, wanted, later, client)
            self._under_way = (UnderWay(name, time.time()), kind, dict(wanted), future)
        future.add_done_callback(self._ended)
        return future

    def between(self, work: Callable[[], T]) -> T:
        """What quick `work` gives, done in the thread that makes the changes, while none is made."""
        return self._worker.submit(work).result()

    def close(self) -> None:
        """Waits for the change that is under way; none is taken after that."""
        self._worker.shutdown(wait=True)

    def _told_before(self, kind: Kind, wanted: Mapping[str, Value], key: str) -> Future[Done] | None:
        current = self._under_way
        if current is not None and current[0].key == key:
            _same(current[1], current[2], kind, wanted, key)
            return current[3]
        change = self._journal.get(key)
        if change is None:
            return None
        _same(change.kind, change.wanted, kind, wanted, key)
        future: Future[Done] = Future()
        future.set_result(Done(change, True))
        return future

    def _ended(self, future: Future[Done]) -> None:
        with self._lock:
            if self._under_way is not None and self._under_way[3] is future:
                self._under_way = None

    # -- the worker's thread -------------------------------------------------------------------------------------------

    def _carry_out(self, key: str, kind: Kind, wanted: Mapping[str, Value], later: bool, client: str) -> Done:
        good = self._host.good
        try:
            self._journal.begin(key, kind, wanted, {**good, **wanted})
        except JournalError as error:
            raise ApiError(503, "journal", f"{error}; nothing was changed", log="", restored=None) from error
        try:
            applied = self._make(kind, {**good, **wanted})
            confirmed = self._confirmed(kind, key, later, client)
        except TunerError as error:
            return self._note(self._failed(key, error))
        except Exception as error:  # whatever it was: the client is told, and the journal has an outcome
            _log.exception("change %s failed", key)
            return self._note(self._failed(key, TunerError(f"{type(error).__name__}: {error}")))
        _log.info("change %s: %s in %.3f s: %s", key, applied.how, applied.total_s, ", ".join(applied.changed) or "no knob")
        return self._note(Outcome(key, applied, None, applied.knobs, confirmed))

    def _confirmed(self, kind: Kind, key: str, later: bool, client: str) -> bool:
        """Whether what is in force needs no further word. A restart, or ours again, changes nothing about that."""
        if kind in ("apply", "theirs"):
            return self.confirmation.changed(key, later=later, client=client)
        self.confirmation.settled()
        return self.confirmation.waiting is None

    def _make(self, kind: Kind, knobs: Mapping[str, Value]) -> Applied:
        if kind == "apply":
            return self._host.apply(knobs)
        return self._host.restart() if kind == "restart" else self._host.reconcile(kind)

    def _failed(self, key: str, error: TunerError) -> Outcome:
        self.confirmation.settled()
        restored = error.restored if isinstance(error, ApplyFailed) else None
        log = error.log if isinstance(error, ApplyFailed) else ""
        _log.warning("change %s: %s", key, error)
        told = {
            "code": "drifted" if isinstance(error, BrokerDrifted) else "not_applied",
            "message": " ".join(str(error).split()),
            "field": None,
            "log": log,
            "restored": finite(restored) if restored is not None else None,
            "differences": finite(error.differences) if isinstance(error, BrokerDrifted) else [],
        }
        return Outcome(key, None, told, self._host.good)

    def _note(self, outcome: Outcome) -> Done:
        try:
            self._journal.end(
                outcome.key,
                "applied" if outcome.error is None else "failed",
                outcome.knobs,
                applied=finite(outcome.applied) if outcome.applied is not None else None,
                error=outcome.error,
                confirmed=outcome.confirmed,
            )
        except JournalError as problem:  # it was done all the same, and memory knows; the next start reads it back
            _log.error("%s", problem)
        change = self._journal.get(outcome.key)
        assert change is not None
        return Done(change, False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a change ended."""

    key: str
    applied: Applied | None
    error: Mapping[str, object] | None
    knobs: Mapping[str, Value]
    confirmed: bool = True


def _same(old_kind: str, old: Mapping[str, Value], kind: str, wanted: Mapping[str, Value], key: str) -> None:
    if (old_kind, dict(old)) != (kind, dict(wanted)):
        raise ApiError(409, "key_reused", f"the key {key} was used for another change", field="Idempotency-Key")
