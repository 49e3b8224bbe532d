"""Whether broker, load, agent and store let a run work; until they do, it waits, or is paused by itself."""

from __future__ import annotations

import time
from collections.abc import Callable

from brokertuner_tui.connection.tracker import ConnectionState
from brokertuner_tui.errors import ConnectionFailed, TunerError
from brokertuner_tui.process.backoff import Care
from brokertuner_tui.tuning import events
from brokertuner_tui.tuning.current_state import CurrentState
from brokertuner_tui.tuning.operations import Operations, Tell

_AWAY_S = 0.05


class Readiness:
    """Used by the session's thread.

    Args:
        keep_open: whether a person sits here, who can mend what does not come up by itself.
        listen: waits that many seconds; False: there is a command to be obeyed first.
        interrupted: whether something else is to be done now.
        late: whether the run has to end now, so that it ends in time.
    """

    def __init__(
        self,
        operations: Operations,
        state: CurrentState,
        tell: Tell,
        *,
        keep_open: bool,
        listen: Callable[[float], bool],
        interrupted: Callable[[], bool],
        late: Callable[[], bool],
    ) -> None:
        self._operations, self._state, self._tell, self._keep_open = operations, state, tell, keep_open
        self._listen, self._interrupted, self._late = listen, interrupted, late
        self.held = False
        """Paused by us, not by the operator: the store is full, or the broker was stopped."""
        self.waits = False
        """For the next attempt to bring back broker or load."""

    def is_ready(self) -> bool:
        """Whether broker and load are up; waits a moment for an attempt that is not due yet.

        Raises:
            TunerError: see `given_up`.
        """
        care = self._operations.look_after()
        self.waits = care is Care.WAITING
        if self.waits:
            self._listen(_AWAY_S)
        elif care is Care.STOPPED:
            self.hold(self._operations.trouble, "it runs again; restart it here to start it")
        elif care is Care.GIVEN_UP:
            self.given_up()
        return care.up

    def given_up(self) -> None:
        """Broker or load does not come up: a person has to see to that.

        Raises:
            TunerError: nobody sits here.
        """
        if not self._keep_open:
            raise TunerError(self._operations.trouble)
        if not self._state.is_paused:
            self.held = True  # what somebody brings back is worked with again
            self._state.pause(self._operations.trouble)

    def hold(self, reason: str, until: str) -> None:
        """No trial makes sense now: waits until one does, or until the operator decides otherwise."""
        self.held = True
        self._state.pause(reason)
        message = f"paused: {reason}; tuning goes on by itself when {until}"
        self._tell(events.Notice(time.time(), message, "warning"))

    def await_agent(self) -> None:
        """Nothing is measured and nothing is asked of the broker until its agent can be reached, or somebody says otherwise.

        Raises:
            ConnectionFailed: it was given up, and nobody sits here who could have it tried again.
        """
        while self._operations.agent_is_away() and not self._interrupted() and not self._late():
            connection = self._operations.testbed.connection
            if connection is not None and connection.state is ConnectionState.GIVEN_UP:
                reason = f"the connection was given up after {connection.attempts} attempts: {connection.last_error}"
                if not self._keep_open:
                    raise ConnectionFailed(reason)
                return self._state.pause(reason)
            if self._state.is_paused:
                return None
            time.sleep(_AWAY_S)
        return None

    def await_all(self) -> None:
        """Waits for agent, broker and load while there are attempts to come, and nothing else to be done.

        Raises:
            TunerError: one of them was given up, and nobody sits here.
        """
        self.await_agent()
        while (care := self._operations.look_after()) is Care.WAITING and self._listen(_AWAY_S) and not self._late():
            pass
        if care is Care.GIVEN_UP and not self._keep_open:
            raise TunerError(self._operations.trouble)
