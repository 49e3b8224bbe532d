"""What is about to be changed, and what to go back to: on the disk before a broker is touched, gone once it is confirmed.

As long as the file is there, what is in force has not proven itself. Whoever finds it after its owner has gone goes back to
the last known good, whatever step the owner had come to (`LastGood.unfinished`).
"""

from __future__ import annotations

import base64
import json
import logging
import math
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from brokertuner_tui.errors import TunerError, UsageError
from brokertuner_tui.files import check_disk, remove_leftovers, replace_file, sync_folder
from brokertuner_tui.knobs.catalogue import KnobValues, Value, changed
from brokertuner_tui.knobs.validation import check_all
from brokertuner_tui.paths import private_folder
from brokertuner_tui.process.lock import this_process
from brokertuner_tui.process.owner import Owner

_log = logging.getLogger(__name__)
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Intent:
    """One change that was begun and not confirmed yet."""

    last_good: Mapping[str, Value]
    """All eleven: what to go back to."""
    file: bytes | None
    """What the knob file held while `last_good` was in force; None: there was none, or it is not kept."""
    in_force: Mapping[str, Value]
    """Before the change: `last_good`, or the outcome of another change that was not confirmed either."""
    wanted: Mapping[str, Value]
    at: float
    """When it was begun, seconds since the epoch."""
    owner: Owner
    run: str = ""
    """That the owner was at; empty: none (an agent, or the Gymnasium environment)."""

    def told(self) -> str:
        """The change in words, for the operator."""
        names = ", ".join(changed(self.last_good, self.wanted)) or "no knob"
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.at))
        run = f" (run {self.run})" if self.run else ""
        return f"the change of {names} that process {self.owner.pid}{run} began at {when} and never confirmed"

    def as_json(self) -> bytes:
        """For the disk."""
        data = asdict(self) | {
            "format": _FORMAT,
            "file": base64.b64encode(self.file).decode() if self.file is not None else None,
        }
        return json.dumps(data, indent=1, allow_nan=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Intent:
        """From what `as_json` gave, taken strictly: it decides what a broker runs with.

        Raises:
            ValueError: it is not that.
        """
        try:
            told = json.loads(data)
            if not isinstance(told, dict) or told.pop("format", None) != _FORMAT or set(told) != set(cls.__dataclass_fields__):
                raise ValueError("other fields than expected")
            knobs = {name: _knobs(told[name]) for name in ("last_good", "in_force", "wanted")}
            file = base64.b64decode(told["file"], validate=True) if told["file"] is not None else None
            return cls(file=file, at=_number(told["at"]), owner=_owner(told["owner"]), run=_text(told["run"]), **knobs)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, UsageError) as error:
            raise ValueError(f"not an intent: {error}") from None


def _knobs(value: object) -> dict[str, Value]:
    if not isinstance(value, dict) or not all(type(one) in (int, bool) for one in value.values()):
        raise ValueError("knobs are numbers and booleans by name")
    return check_all(value)


def _number(value: object) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):  # type: ignore[arg-type]
        raise ValueError("a time is a number")
    return float(value)  # type: ignore[arg-type]


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError("text is a printable string")
    return value


def _owner(value: Any) -> Owner:
    if not isinstance(value, dict) or type(value.get("pid")) is not int or len(value) != 4:
        raise ValueError("an owner is a process")
    return Owner(value["pid"], _number(value["created_at"]), _text(value["boot_id"]), _text(value["host"]))


class LastGood:
    """The knobs that have proven themselves last, in memory; and on the disk while something else is, or may be, in force.

    Whoever uses it holds the broker's lock: an intent that is found was left by somebody who has gone. One thread.

    Args:
        path: of the intent's file; its folder is made when it is needed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._owner: Owner | None = None
        self.knobs: dict[str, Value] | None = None
        """None before anything was proven."""
        self.file: bytes | None = None
        """See `Intent.file`."""

    def unfinished(self) -> tuple[Intent | None, str]:
        """The change that somebody left unconfirmed; the sentence tells of a file that could not be trusted.

        Such a file is set aside.

        Raises:
            TunerError: it cannot be read, or not be set aside.
        """
        remove_leftovers(self.path)
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None, ""
        except OSError as error:
            raise TunerError(f"{self.path} cannot be read: {error.strerror}: nobody knows what to go back to") from None
        try:
            return Intent.from_json(data), ""
        except ValueError as error:
            aside = self.path.with_suffix(".damaged")
            try:
                os.replace(self.path, aside)
                sync_folder(aside.parent)
            except OSError as problem:
                raise TunerError(f"{self.path} is {error}, and cannot be set aside: {problem.strerror}") from None
            return None, (
                f"an unconfirmed change was left, but what was noted of it cannot be trusted ({error}): it was set aside as "
                f"{aside}, and the broker goes on from its own config"
            )

    def starts_with(self, knobs: KnobValues, file: bytes | None = None) -> None:
        """These are the last known good from now on. What is on the disk stays."""
        self.knobs, self.file = dict(knobs), file

    def announce(self, in_force: KnobValues, wanted: KnobValues) -> None:
        """Notes what is about to be changed; on the disk when this returns.

        Raises:
            OSError: it cannot be written: touch nothing.
            TunerError: its folder cannot be made, or the disk failed.
        """
        assert self.knobs is not None, "there is something to go back to before anything is changed"
        self._owner = self._owner or Owner.this_process()
        run = this_process().run
        intent = Intent(self.knobs, self.file, dict(in_force), dict(wanted), time.time(), self._owner, run)
        private_folder(self.path.parent)
        try:
            replace_file(self.path, intent.as_json())
        except OSError as error:
            check_disk(error, self.path)
            raise

    def reached(self, knobs: KnobValues) -> None:
        """These are verified to be in force: where they are the last known good, nothing is left to be confirmed."""
        if knobs != self.knobs:
            return
        try:
            self._clear()
        except OSError as error:  # no harm: whoever finds it goes back to what is in force
            _log.warning("%s cannot be removed: %s", self.path, error.strerror)

    def confirm(self, knobs: KnobValues, file: bytes | None = None) -> None:
        """These, in force, have proven themselves: the next start keeps them. Durable when this returns.

        Raises:
            TunerError: the disk did not take it: the next start goes back to the last known good before.
        """
        try:
            self._clear()
        except OSError as error:
            check_disk(error, self.path)
            raise TunerError(f"the change cannot be confirmed: {self.path} cannot be removed: {error.strerror}") from None
        self.starts_with(knobs, file)

    def forget(self) -> None:
        """Whatever was noted does not count any more.

        Raises:
            OSError: the file cannot be removed.
        """
        self._clear()

    def _clear(self) -> None:
        try:
            self.path.unlink()
        except FileNotFoundError:
            return
        sync_folder(self.path.parent)
