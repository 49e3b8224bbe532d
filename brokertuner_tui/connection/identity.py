"""Who a tuner says it is, with every request to an agent."""

from __future__ import annotations

import json
import uuid

from brokertuner_tui.connection.policy import ReconnectPolicy
from brokertuner_tui.process.lock import this_process

TUNER_HEADER = "x-brokertuner-tuner"


class TunerIdentity:
    """Of one link: another link of the same process is another tuner."""

    def __init__(self, policy: ReconnectPolicy) -> None:
        self._id = uuid.uuid4().hex
        # Not gone before it would have come back by itself after one lost connection.
        self._silence_s = policy.heartbeat_timeout_s + policy.connect_timeout_s + policy.base_interval_s

    def headers(self) -> dict[str, str]:
        """For one request; the run is known later than the first one."""
        who = this_process()
        told = {"id": self._id, "pid": who.pid, "since": who.since, "host": who.host, "run": who.run}
        return {TUNER_HEADER: json.dumps(told | {"silence_s": self._silence_s})}
