"""Asking an agent for a change that is to be made once, whatever the network does."""

from __future__ import annotations

import contextlib
import socket
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import psutil

from brokertuner_tui.broker.interface import BrokerUnavailable
from brokertuner_tui.connection.http import Answer, Lost
from brokertuner_tui.connection.link import AgentLink
from brokertuner_tui.connection.tracker import ConnectionState
from brokertuner_tui.errors import ConnectionFailed, TunerError
from brokertuner_tui.knobs.catalogue import Value

_PATIENCE_S = 10.0
"""How long a change waits for a connection that was lost under it; after that the tuner goes on waiting, not the change."""
_POLL_S = 0.05
_ASK_S = 5.0
_GOODBYE_S = 1.0

Path = Literal["/apply_knobs?confirm=later", "/restart_broker", "/reconcile"]


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is to be done once, however often it has to be said."""

    path: Path
    body: Mapping[str, Value | str]
    key: str


class Asking:
    """Used by one thread; `hurry` by any.

    Args:
        change_s: how long an answer to a change may take.
    """

    def __init__(self, link: AgentLink, change_s: float) -> None:
        self.link, self._change_s = link, change_s
        self._hurried = False
        self._claimed = False
        self._pending: Change | None = None
        """Asked for, outcome not known: found out before anything else is asked."""

    def hurry(self) -> None:
        """From now on nothing waits for a connection that is lost."""
        self._hurried = True

    def confirm(self, key: str) -> Answer:
        """Says that the change has proven itself, until there is an answer.

        Raises:
            BrokerUnavailable: the agent cannot be reached.
        """
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            if not self._await_link(deadline):
                raise BrokerUnavailable(f"the agent at {self.link.target} cannot be reached: the change is not confirmed")
            try:
                return self.link.request("POST", f"/changes/{key}/confirm", timeout_s=self._change_s)
            except Lost:
                continue
            except ConnectionFailed as error:
                raise BrokerUnavailable(str(error), passes=error.passes) from error

    def ask(self, path: Path, body: Mapping[str, Value | str]) -> tuple[Change, Answer]:
        """Has a change made; gives it with its answer.

        Raises:
            BrokerUnavailable: it is not known what came of it.
        """
        deadline = time.monotonic() + _PATIENCE_S
        if self._pending is not None:  # of an outage before: it is brought to its end, so that it cannot come late
            try:
                self._bring_about(self._pending, deadline)
            except BrokerUnavailable:
                if self._pending is not None:
                    raise
        return self._bring_about(Change(path, body, uuid.uuid4().hex), deadline)

    def _bring_about(self, change: Change, deadline: float) -> tuple[Change, Answer]:
        """Says `change` until its outcome is known; the key sees to it that it is done once.

        Raises:
            BrokerUnavailable: not known by `deadline`; the change stays pending if it may have arrived.
        """
        known = self._pending is change
        while True:
            if not self._await_link(deadline):
                raise self._away(change)
            try:
                answer = self._outcome(change) if known else None
                if answer is None:
                    self._pending, known = change, True
                    headers = {"Idempotency-Key": change.key}
                    answer = self.link.request("POST", change.path, change.body, timeout_s=self._change_s, headers=headers)
            except Lost:
                continue
            except ConnectionFailed as error:
                raise BrokerUnavailable(str(error), passes=error.passes) from error
            self._refuse_if_leased(answer)
            if answer.status in (409, 429) and answer.code != "key_reused":
                self._wait_for_turn(answer, deadline)
                known = False
                continue
            if answer.status == 504 or answer.data.get("state") == "under_way":  # it goes on there
                if time.monotonic() < deadline:
                    continue
                raise BrokerUnavailable(f"the agent at {self.link.target}: a change has not ended yet")
            self._pending = None
            return change, answer

    def _await_link(self, deadline: float) -> bool:
        """Waits until the agent can be asked; whether it can."""
        while not self.link.await_usable(min(_POLL_S, max(0.0, deadline - time.monotonic()))):
            given_up = self.link.connection.state is ConnectionState.GIVEN_UP
            if given_up or self._hurried or time.monotonic() >= deadline:
                return False
        return True

    def _outcome(self, change: Change) -> Answer | None:
        """What became of a change that was asked for before; None: it never arrived.

        Raises:
            Lost: the connection broke.
        """
        deadline = time.monotonic() + self._change_s
        while True:
            answer = self.link.request("GET", f"/changes/{change.key}", timeout_s=_ASK_S)
            if answer.status == 404:
                return None
            if answer.data.get("state") != "under_way" or time.monotonic() > deadline:
                return answer
            time.sleep(_POLL_S)

    def claim(self) -> None:
        """Takes the broker for this tuner: changes of other tuners are refused while the agent hears of this one.

        Raises:
            TunerError: another tuner has it.
            ConnectionFailed: the agent cannot be reached.
        """
        answer = self.link.request("POST", "/tuner", timeout_s=_ASK_S)
        if answer.code == "leased" and (gone := _gone_from_here(answer)):
            answer = self.link.request("POST", f"/tuner?instead_of={gone}", timeout_s=_ASK_S)
        self._refuse_if_leased(answer)
        self._claimed = answer.ok

    def leave(self) -> None:
        """Says goodbye, so that another tuner can have the broker at once."""
        if self._claimed and self.link.connection.state.usable:
            with contextlib.suppress(ConnectionFailed):
                self.link.request("DELETE", "/tuner", timeout_s=_GOODBYE_S)
        self._claimed = False

    def _refuse_if_leased(self, answer: Answer) -> None:
        """Another tuner has the broker: waiting for it makes no sense."""
        if answer.status == 409 and answer.code == "leased":
            self._pending, self._claimed = None, False
            raise TunerError(f"the agent at {self.link.target}: {answer.message}")

    def _wait_for_turn(self, answer: Answer, deadline: float) -> None:
        """Another change is under way, or ours comes too soon after the one before."""
        self._pending = None  # this one was not taken
        try:
            wait_s = float(answer.error.get("retry_after_s") or answer.headers.get("retry-after") or 0.1)
        except ValueError:
            wait_s = 1.0
        if time.monotonic() + wait_s > deadline:
            raise BrokerUnavailable(f"the agent at {self.link.target}: {answer.message}")
        time.sleep(wait_s)

    def _away(self, change: Change) -> BrokerUnavailable:
        connection = self.link.connection
        asked = "; whether the change was made is found out as soon as it is back" if self._pending is change else ""
        return BrokerUnavailable((connection.last_error or f"the agent at {self.link.target} cannot be reached") + asked)


def _gone_from_here(answer: Answer) -> str:
    """The id of the tuner that has the broker, if it ran on this machine and does not any more; else nothing."""
    told = answer.error.get("tuner")
    if not isinstance(told, dict) or told.get("host") != socket.gethostname() or not str(told.get("id", "")).isalnum():
        return ""
    try:
        return "" if psutil.pid_exists(int(told["pid"])) else str(told["id"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return ""
