"""What was asked to be changed, and what came of it: durable before anything is touched, so that no kill applies it twice."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from brokertuner_tui.errors import TunerError
from brokertuner_tui.files import replace_file, sync_folder
from brokertuner_tui.knobs.catalogue import Value
from brokertuner_tui.store.plain import finite

_log = logging.getLogger(__name__)

Kind = Literal["apply", "restart", "ours", "theirs"]
"""The last two: a drift was settled, by bringing ours back or by going on with what is there."""
State = Literal["under_way", "applied", "failed", "unknown_after_crash_resolved", "rolled_back"]
FILE_NAME = "changes.jsonl"
KEPT = 1000
"""Changes that are remembered; older keys are forgotten."""


class JournalError(TunerError):
    """The journal cannot be written or read: nothing is changed without it."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change that was asked for."""

    key: str
    kind: Kind
    wanted: Mapping[str, Value]
    """What the request said, checked; empty for a restart."""
    knobs: Mapping[str, Value]
    """All eleven: the ones aimed at while it is under way, then those in force."""
    state: State
    at: float
    """When it began, seconds since the epoch."""
    applied: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    confirmed: bool = True
    """Whether nobody has to say a further word; see `confirmation.py`."""


class Journal:
    """A file of JSON lines: an intent before a change, an outcome after it. One thread writes; `get` may be called by any.

    Args:
        folder: made by the caller; one service at a time (see `store.lock`).

    Raises:
        JournalError: it cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._changes: dict[str, Change] = {}
        self._lines = 0
        try:
            existed = self._path.exists()
            self._read()
            self._rewrite() if existed else replace_file(self._path, b"")
        except OSError as error:
            raise JournalError(f"the journal of changes cannot be used: {self._path}: {error.strerror}") from error

    def get(self, key: str) -> Change | None:
        """The change with this key."""
        return self._changes.get(key)

    def pending(self) -> list[Change]:
        """Changes without an outcome: the process was ended in the middle of them."""
        return [change for change in self._changes.values() if change.state == "under_way"]

    def last_good(self) -> dict[str, Value] | None:
        """The knobs of the last change that came into force and was confirmed; None where none ever did."""
        for change in reversed(self._changes.values()):
            if change.state == "applied" and change.confirmed:
                return dict(change.knobs)
        return None

    def unconfirmed(self) -> list[Change]:
        """Changes that came into force after the last one that was confirmed, the oldest first."""
        found: list[Change] = []
        for change in reversed(self._changes.values()):
            if change.state == "applied":
                if change.confirmed:
                    break
                found.insert(0, change)
        return found

    def confirm(self, key: str) -> Change:
        """Notes that a change was confirmed; so are those before it, which it replaced.

        Raises:
            JournalError: it could not be written.
        """
        change = replace(self._changes.pop(key), confirmed=True)
        self._changes[key] = change  # it counts as the last one now
        self._append({"event": "confirmed", **_plain(change)})
        return change

    def begin(self, key: str, kind: Kind, wanted: Mapping[str, Value], knobs: Mapping[str, Value]) -> Change:
        """Notes an intent; on the disk when this returns.

        Raises:
            JournalError: it could not be written: touch nothing.
        """
        change = Change(key, kind, dict(wanted), dict(knobs), "under_way", time.time())
        self._append({"event": "intent", **_plain(change)})
        self._changes[key] = change
        return change

    def end(
        self,
        key: str,
        state: State,
        knobs: Mapping[str, Value],
        *,
        applied: Mapping[str, Any] | None = None,
        error: Mapping[str, Any] | None = None,
        confirmed: bool = True,
    ) -> Change:
        """Notes what came of it. In memory it counts even where the disk does not take it.

        Raises:
            JournalError: it could not be written.
        """
        change = replace(self._changes[key], state=state, knobs=dict(knobs), applied=applied, error=error, confirmed=confirmed)
        self._changes[key] = change
        self._append({"event": "outcome", **_plain(change)})
        if self._lines > 4 * KEPT:
            try:
                self._rewrite()
            except OSError as problem:
                raise JournalError(f"{self._path}: {problem.strerror}") from problem
        return change

    def _append(self, record: Mapping[str, Any]) -> None:
        data = (json.dumps(record, allow_nan=False, separators=(",", ":")) + "\n").encode()
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                before = os.fstat(descriptor).st_size
                try:
                    written = os.write(descriptor, data)
                    if written != len(data):
                        raise OSError(28, "no space left for a whole line")
                    os.fsync(descriptor)
                except OSError:
                    os.ftruncate(descriptor, before)  # half a line would spoil the next one
                    raise
            finally:
                os.close(descriptor)
        except OSError as error:
            raise JournalError(f"the journal of changes cannot be written: {self._path}: {error.strerror}") from error
        self._lines += 1

    def _read(self) -> None:
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
                change = _change(record)
                again = record["event"] in ("intent", "confirmed")
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                # The last line may be half of one: the machine lost its power while it was written.
                _log.warning("%s, line %d cannot be read and is left out", self._path, number)
                continue
            if again:
                self._changes.pop(change.key, None)
            self._changes[change.key] = change

    def _rewrite(self) -> None:
        """Keeps what is remembered, one line a change."""
        changes = list(self._changes.values())
        good = next((change for change in reversed(changes) if change.state == "applied" and change.confirmed), None)
        kept = changes[-KEPT:]
        if good is not None and good not in kept:
            kept.insert(0, good)
        self._changes = {change.key: change for change in kept}
        lines = [json.dumps({"event": "kept", **_plain(change)}, allow_nan=False, separators=(",", ":")) for change in kept]
        replace_file(self._path, "".join(f"{line}\n" for line in lines).encode())
        sync_folder(self._path.parent)
        self._lines = len(lines)


def _plain(change: Change) -> dict[str, Any]:
    plain: dict[str, Any] = finite(change)
    return plain


def _change(record: Mapping[str, Any]) -> Change:
    names = ("key", "kind", "wanted", "knobs", "state", "at", "applied", "error")
    change = Change(**{name: record[name] for name in names}, confirmed=bool(record.get("confirmed", True)))
    outcomes = (change.applied, change.error)
    if not (
        all(isinstance(text, str) for text in (change.key, change.kind, change.state))
        and isinstance(change.at, int | float)
        and all(isinstance(knobs, dict) for knobs in (change.wanted, change.knobs))
        and all(outcome is None or isinstance(outcome, dict) for outcome in outcomes)
    ):
        raise ValueError("not a change")
    return change
