"""How long to wait for a connection, how to see that it is dead, and how often to try again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

CAP_S = 60.0
"""No policy waits longer than this between two attempts."""

PolicyName = Literal["default", "high-availability", "unstable-network"]


@dataclass(frozen=True, slots=True)
class ReconnectPolicy:
    """The interval before attempt n + 1 of an outage is `interval_s(n)`, shortened by up to `jitter` of it.

    Raises:
        ValueError: the numbers make no sense together.
    """

    connect_timeout_s: float
    heartbeat_s: float
    """Between two health checks."""
    heartbeat_timeout_s: float
    """A connection that has been silent for this long is dead, whatever the socket says."""
    base_interval_s: float
    factor: float
    cap_s: float
    jitter: float
    """Share of the interval that chance may take away, so that many clients do not come back in one moment."""
    max_attempts: int | None
    """Failed attempts in a row before it is given up; None: never."""

    def __post_init__(self) -> None:
        """Checks the numbers."""
        if min(self.connect_timeout_s, self.heartbeat_s, self.base_interval_s) <= 0:
            raise ValueError("times must be greater than 0")
        if self.heartbeat_timeout_s <= self.heartbeat_s:
            raise ValueError("the heartbeat's timeout must be longer than its interval")
        if not self.base_interval_s <= self.cap_s <= CAP_S:
            raise ValueError(f"the cap must lie between the base interval and {CAP_S:g} s")
        if self.factor < 1 or not 0 <= self.jitter < 1:
            raise ValueError("the factor must be at least 1, the jitter at least 0 and below 1")
        if self.max_attempts is not None and self.max_attempts < 1:
            raise ValueError("there must be at least one attempt")

    def interval_s(self, failures: int) -> float:
        """The longest wait after `failures` failed attempts in a row (0 counts as 1): it grows up to the cap."""
        try:
            return min(self.cap_s, self.base_interval_s * self.factor ** max(0, failures - 1))
        except OverflowError:
            return self.cap_s

    def shortest_s(self, failures: int) -> float:
        """The shortest wait after `failures` failed attempts in a row: the policy's rate is one attempt in this time."""
        return (1 - self.jitter) * self.interval_s(failures)


POLICIES: Mapping[PolicyName, ReconnectPolicy] = {
    # An hour or so of trying, seen dead after 3 s.
    "default": ReconnectPolicy(
        connect_timeout_s=5.0,
        heartbeat_s=0.5,
        heartbeat_timeout_s=3.0,
        base_interval_s=0.5,
        factor=2.0,
        cap_s=30.0,
        jitter=0.2,
        max_attempts=120,
    ),
    # A good network and a quick eye: an hour of trying, every 5 s at the least.
    "high-availability": ReconnectPolicy(
        connect_timeout_s=2.0,
        heartbeat_s=0.25,
        heartbeat_timeout_s=1.5,
        base_interval_s=0.25,
        factor=1.5,
        cap_s=5.0,
        jitter=0.2,
        max_attempts=720,
    ),
    # Silence is normal, an outage may take a day: patient, sparing, and it never gives up.
    "unstable-network": ReconnectPolicy(
        connect_timeout_s=15.0,
        heartbeat_s=1.0,
        heartbeat_timeout_s=15.0,
        base_interval_s=1.0,
        factor=2.0,
        cap_s=60.0,
        jitter=0.3,
        max_attempts=None,
    ),
}
