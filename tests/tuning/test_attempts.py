"""What passes is tried again, so often and so far apart; nothing else is."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from brokertuner_tui.broker.interface import BrokerStopped, BrokerUnavailable
from brokertuner_tui.connection.http import Untrusted
from brokertuner_tui.connection.link import Refused
from brokertuner_tui.errors import ConnectionFailed, TunerError, UsageError
from brokertuner_tui.tuning.attempts import Tries, attempt, is_passing
from brokertuner_tui.workload.load import LoadError, LoadImpossible

PASSING = (
    ConnectionFailed("away"),
    BrokerUnavailable("away"),
    LoadError("died"),
    ConnectionResetError(),
    TimeoutError(),
    OSError(errno.EBUSY, "busy"),
)
LASTING = (
    TunerError("broken"),
    UsageError("wrong"),
    Refused("token"),
    Untrusted("certificate"),
    BrokerStopped("by somebody"),
    LoadImpossible("no program"),
    OSError(errno.ENOSPC, "full"),
)


class Task:
    """Fails so often with the given error."""

    def __init__(self, error: Exception, times: int) -> None:
        self.error, self.left, self.calls = error, times, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "done"


def tried(task: Callable[[], str], *, patient: bool = True) -> tuple[str, list[float], list[str]]:
    waits: list[float] = []
    said: list[str] = []

    def pause(seconds: float) -> bool:
        waits.append(seconds)
        return patient

    result = attempt(task, "not saved", Tries(3, 5.0), pause=pause, tell=lambda message, _level: said.append(message))
    return result, waits, said


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_what_passes_is_tried_again_and_said(error: Exception) -> None:
    assert is_passing(error)
    task = Task(error, 2)
    result, waits, said = tried(task)
    assert (result, task.calls, waits) == ("done", 3, [5.0, 5.0])
    assert said == [f"not saved (attempt {number} of 3, the next in 5 s): {error}" for number in (1, 2)]


def test_the_last_attempt_is_the_last() -> None:
    task = Task(ConnectionFailed("away"), 9)
    with pytest.raises(ConnectionFailed):
        tried(task)
    assert task.calls == 3


@pytest.mark.parametrize("error", LASTING, ids=lambda error: type(error).__name__)
def test_what_does_not_pass_is_not_tried_again(error: Exception) -> None:
    assert not is_passing(error)
    task = Task(error, 1)
    with pytest.raises(type(error)):
        tried(task)
    assert task.calls == 1


def test_nothing_is_tried_again_when_somebody_wants_something_else() -> None:
    task = Task(ConnectionFailed("away"), 1)
    with pytest.raises(ConnectionFailed):
        tried(task, patient=False)
    assert task.calls == 1
