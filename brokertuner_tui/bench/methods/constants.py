"""Settings that somebody chose beforehand, once for all loads."""

from __future__ import annotations

from brokertuner_tui.bench.method import Task
from brokertuner_tui.env.outcome import Outcome
from brokertuner_tui.knobs.catalogue import KnobValues, Value
from brokertuner_tui.workload.profile import Profile

FORUM: dict[str, Value] = {
    "max_inflight_messages": 2000,
    "max_queued_messages": 100_000,
    "queue_qos0_messages": False,
    "persistence": False,
    "set_tcp_nodelay": True,
}
"""What people who run a busy Mosquitto advise each other, as one constant.

The advice is of the kind that is found in threads about "Outgoing messages are being dropped for client", in guides to many
clients on one broker, and in configs that are passed on: raise max_inflight_messages from 20 to 1,000 up to 5,000, raise
max_queued_messages from 1,000 to 10,000 up to 1,000,000 (less often: 0, no limit, mostly with a warning), set_tcp_nodelay for
latency, no persistence where speed counts more than what survives a restart. Limits in bytes and the largest packet are left
alone. Of the advised ranges this takes values that serve the benchmark's loads well, so that it is a constant that
is hard to beat: with the 1,000 in flight that is advised most often, its far clients would not keep up.
"""


class Constant:
    """One setting, for ever."""

    def __init__(self, name: str, knobs: KnobValues) -> None:
        self.name = name
        self._knobs = dict(knobs)

    def ask(self, profile: Profile) -> dict[str, Value]:
        """The constant."""
        return dict(self._knobs)

    def tell(self, knobs: KnobValues, outcome: Outcome, reward: float | None) -> None:
        """Nothing is learned."""

    def best(self, profile: Profile) -> dict[str, Value]:
        """The constant."""
        return dict(self._knobs)

    def close(self) -> None:
        """Nothing to end."""


def default(task: Task) -> Constant:
    """The broker's own setting."""
    return Constant("default", task.defaults)


def forum(task: Task) -> Constant:
    """`FORUM`; what it does not name is the broker's own."""
    return Constant("forum", {**task.defaults, **FORUM})
