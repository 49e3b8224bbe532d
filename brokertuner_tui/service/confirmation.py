"""A change whose maker wants to see first what comes of it: confirmed in time, or rolled back by the agent itself.

Only a change that was asked for with `confirm=later` is one; any other counts as confirmed at once. As long as its maker is
heard of (any request, heartbeats too), the agent waits. After `rollback_s` of silence, and at the agent's own next start
(`broker/intent.py`), the last known good is put back and verified.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import Value
from brokertuner_tui.knobs.catalogue import changed as differing
from brokertuner_tui.service.errors import ApiError
from brokertuner_tui.service.hosted import Hosted
from brokertuner_tui.service.journal import Journal, JournalError
from brokertuner_tui.service.rounds import Rounds

_log = logging.getLogger(__name__)
CLIENT_HEADER = "x-brokertuner-client"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A change that is in force and not confirmed."""

    key: str
    since: float
    """Seconds since the epoch."""
    client: str
    """Who is to confirm it, as it calls itself; empty: it does not."""


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What the agent took back by itself; told until something is confirmed again."""

    at: float
    """Seconds since the epoch."""
    reason: str
    keys: tuple[str, ...]


class Confirmation:
    """Knows what waits. `heard`, `waiting` and `rolled_back` are for any thread, the rest for the one that makes the changes.

    Args:
        rollback_s: of silence, until the agent takes an unconfirmed change back.
    """

    def __init__(
        self, host: Hosted, journal: Journal, *, rollback_s: float = 120.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._host, self._journal, self._rollback_s, self._clock = host, journal, rollback_s, clock
        self._heard_at = clock()
        self._again_at = float("-inf")
        self.waiting: Waiting | None = None
        """What is in force and not confirmed."""
        self.rolled_back: RolledBack | None = None
        """What was taken back last."""

    def resolve(self) -> None:
        """At the start: what was not confirmed when the last agent ended is not in force any more.

        Raises:
            JournalError: it cannot be written.
        """
        if keys := self._note_rolled_back():
            reason = (
                self._host.recovered or "the agent was ended before the change was confirmed: the last known good is in force"
            )
            self.rolled_back = RolledBack(time.time(), reason, keys)
            _log.warning("%s", reason)

    def heard(self, client: str) -> None:
        """Somebody who calls itself so has sent a request."""
        waiting = self.waiting
        if waiting is not None and client and client == waiting.client:
            self._heard_at = self._clock()

    def changed(self, key: str, *, later: bool, client: str) -> bool:
        """After a change that came into force; whether it needs no (further) word.

        Raises:
            TunerError: it could not be confirmed.
        """
        self.rolled_back = None
        if later and self._host.last_good is not None:
            self.settled()
            if dict(self._host.good) != dict(self._host.last_good):
                self._heard_at = self._clock()
                self.waiting = Waiting(key, time.time(), client)
                return False
        self._host.confirm()
        self.waiting = None
        return True

    def settled(self) -> None:
        """After anything that may have put the last known good back."""
        if self._host.last_good is None or dict(self._host.good) == dict(self._host.last_good):
            self.waiting = None

    def confirm(self, key: str) -> Mapping[str, Value]:
        """The change with this key has proven itself; gives the knobs. May be said again.

        Raises:
            ApiError: 404 there is no such change; 409 it was rolled back, did not come into force, or another came after it.
            TunerError: that cannot be noted; it waits on.
        """
        change = self._journal.get(key)
        if change is None:
            raise ApiError(404, "no_such_change", f"no change {key!r} is known here")
        if change.state == "rolled_back":
            reason = self.rolled_back.reason if self.rolled_back is not None else "it was rolled back"
            raise ApiError(409, "rolled_back", f"the change {key} is not in force any more: {reason}")
        if change.state != "applied":
            raise ApiError(409, "not_applied", f"the change {key} did not come into force")
        if self.waiting is None or self.waiting.key != key:
            if change.confirmed:
                return change.knobs
            raise ApiError(409, "superseded", f"the change {key} is not the one in force any more")
        self._host.confirm()
        self._journal.confirm(key)
        self.waiting = self.rolled_back = None
        return change.knobs

    def overdue(self) -> bool:
        """Whether nobody has been heard of for too long. Any thread."""
        now = self._clock()
        return self.waiting is not None and now - self._heard_at > self._rollback_s and now >= self._again_at

    def roll_back(self) -> None:
        """Puts the last known good back, if that is due (still)."""
        waiting, good = self.waiting, self._host.last_good
        if waiting is None or good is None or not self.overdue():
            return
        names = ", ".join(differing(good, self._host.good))
        reason = f"the change of {names} was rolled back: its tuner was silent for more than {self._rollback_s:g} s"
        try:
            self._host.apply(good)
        except TunerError as error:
            _log.error("%s; that failed and is tried again: %s", reason, error)
            self._again_at = self._clock() + min(self._rollback_s, 10.0)
            self.settled()
            return
        self.waiting = None
        keys: tuple[str, ...] = (waiting.key,)
        with contextlib.suppress(JournalError):  # it is done all the same; the next start notes it
            keys = self._note_rolled_back()
            key = f"rollback-{secrets.token_hex(8)}"
            self._journal.begin(key, "apply", {}, good)
            self._journal.end(key, "applied", good)
        self.rolled_back = RolledBack(time.time(), reason, keys)
        _log.warning("%s", reason)

    def _note_rolled_back(self) -> tuple[str, ...]:
        keys = tuple(change.key for change in self._journal.unconfirmed())
        for key in keys:
            error = {"code": "rolled_back", "message": "it was not confirmed, and rolled back", "field": None}
            self._journal.end(key, "rolled_back", self._host.good, error=error)
        return keys


class SilenceLook:
    """A thread that has an overdue change rolled back between two changes.

    Args:
        between: has work done by the thread that makes the changes (`Changes.between`).
        every_s: from one look to the next.
    """

    def __init__(
        self, confirmation: Confirmation, between: Callable[[Callable[[], None]], None], *, every_s: float = 0.5
    ) -> None:
        self._confirmation, self._between = confirmation, between
        self._rounds = Rounds("silence", every_s, self._look)

    def close(self) -> None:
        """Ends it, before the changes are closed."""
        self._rounds.close()

    def _look(self) -> None:
        if self._confirmation.overdue():
            self._between(self._confirmation.roll_back)
