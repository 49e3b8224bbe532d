"""What fails for a passing reason (a connection, a deadline, something busy) is tried again; nothing else is."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from brokertuner_tui.errors import TunerError
from brokertuner_tui.process.backoff import BackoffPolicy
from brokertuner_tui.tuning.events import Level

T = TypeVar("T")
_BUSY = {errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRINUSE}


class Retry(Protocol):
    """`attempt` for a task, with everything but these two given."""

    def __call__(self, what: str, action: Callable[[], T]) -> T:
        """What `action` gives."""


@dataclass(frozen=True, slots=True)
class Tries:
    """How often, and how long in between."""

    times: int
    wait_s: float


@dataclass(frozen=True, slots=True)
class Patience:
    """How a session deals with what does not work at once."""

    start: Tries = Tries(5, 10.0)
    """What a run needs before it can begin."""
    task: Tries = Tries(3, 5.0)
    """What it does beside its trials."""
    backoff: BackoffPolicy = field(default_factory=BackoffPolicy)
    """Of broker and load."""


def is_passing(error: BaseException) -> bool:
    """Whether it may be otherwise in a moment."""
    if isinstance(error, TunerError):
        return error.passes
    if isinstance(error, (ConnectionError, TimeoutError)):
        return True
    return isinstance(error, OSError) and error.errno in _BUSY


def attempt(
    action: Callable[[], T],
    what: str,
    tries: Tries,
    *,
    pause: Callable[[float], bool],
    tell: Callable[[str, Level], None],
) -> T:
    """What `action` gives; it is tried again while it fails for a passing reason.

    Args:
        what: begins the sentence that is told after an attempt: `the agent was not saved`.
        pause: waits that many seconds; False: somebody wants something else, so nothing is tried again.

    Raises:
        TunerError, OSError: the last attempt's.
    """
    number = 1
    while True:
        try:
            return action()
        except (TunerError, OSError) as error:
            if number >= tries.times or not is_passing(error):
                raise
            tell(f"{what} (attempt {number} of {tries.times}, the next in {tries.wait_s:g} s): {error}", "warning")
            if not pause(tries.wait_s):
                raise
            number += 1
