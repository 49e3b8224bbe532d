"""In which state a run is; whenever that changes, it is kept and told."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from brokertuner_tui.tuning import events
from brokertuner_tui.tuning.events import State
from brokertuner_tui.tuning.operations import Tell

if TYPE_CHECKING:  # importing the store imports SQLAlchemy
    from brokertuner_tui.tuning.recorder import Recorder


class CurrentState:
    """Starts as `STARTING`. Used by the session's thread."""

    def __init__(self, recorder: Recorder, tell: Tell) -> None:
        self._recorder, self._tell = recorder, tell
        self.now = State.STARTING

    @property
    def is_paused(self) -> bool:
        """Whether no trial is run until somebody, or something, has it go on."""
        return self.now is State.PAUSED

    def enter(self, state: State, reason: str = "") -> None:
        """Goes over to `state`; nothing happens where that is the one already."""
        if state is not self.now:
            self.now = state
            self._recorder.state(state, reason)
            self._tell(events.StateChanged(time.time(), state, reason))

    def pause(self, reason: str) -> None:
        """Enters `PAUSED`."""
        self.enter(State.PAUSED, reason)
