"""The publications of `$SYS` one after the other, so that a window can take differences of whole ones.

`$SYS` comes every one or two seconds at best, every eleven by default. A difference is taken between the first publication
within the window and the last one, whatever the window's own seconds are; after a restart of the broker the counters begin
anew, and no difference spans it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from brokertuner_tui.telemetry.sample import SysRates

RECEIVED, SENT, DROPPED = "publish/messages/received", "publish/messages/sent", "publish/messages/dropped"
PACKETS_IN, BYTES_IN, BYTES_OUT = "messages/received", "bytes/received", "bytes/sent"
COUNTERS = (RECEIVED, SENT, DROPPED, PACKETS_IN, BYTES_IN, BYTES_OUT)

COMPLETE_S = 0.2
"""After its first topic, a publication is taken for complete."""
SILENT_S = 3.0
"""A broker with `$SYS` gives the last values to a new subscriber at once; one that has given none by now has none for us."""
LONGEST_PERIOD_S = 30.0
"""Publications further apart than this are not waited for."""
_USUAL_PERIOD_S = 11.0
"""Until two have come: Mosquitto's default of 10, which 2.0 makes 11."""
_SLACK = 1.3


@dataclass(frozen=True, slots=True)
class Publication:
    """The counters as one publication left them."""

    at: float
    """time.monotonic() of its first topic."""
    uptime_s: int
    counters: Mapping[str, int]
    clients: int
    topics: int
    """How many topics it brought: so many messages went to each client that listens to all of `$SYS`."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What was counted between two publications."""

    seconds: float
    counts: Mapping[str, int]
    own_messages: int
    """Messages of `$SYS` to ourselves among them."""
    clients: int


class Publications:
    """Fed with readings; says what was counted since a moment. No thread, no network; its user serialises the calls."""

    def __init__(self) -> None:
        self._seen: deque[Publication] = deque(maxlen=600)
        self._raw: Mapping[str, str] = {}
        self._began: float | None = None
        self._heard = False
        self.period_s = _USUAL_PERIOD_S
        self.version = ""
        self.restarts = 0
        """Restarts of the broker that were seen."""

    def note(self, now: float, sys: SysRates) -> None:
        """Takes in a reading that was taken at `now` (time.monotonic())."""
        self._began = now if self._began is None else self._began
        if not sys.raw:
            return
        self._heard = True
        self.version = sys.version or self.version
        if sys.age_s == float("inf") or sys.age_s < COMPLETE_S:
            return  # retained values of unknown age, or a publication that is still coming
        at = now - sys.age_s
        last = self._seen[-1] if self._seen else None
        if last is not None and at - last.at < COMPLETE_S:
            return
        uptime = sys.uptime_s
        if last is not None and uptime < last.uptime_s:
            self._seen.clear()
            self._raw, last = {}, None
            self.restarts += 1
        if last is not None:
            self.period_s = at - last.at
        # Only what has changed is published; `uptime` always is.
        topics = sum(sys.raw[name] != self._raw.get(name) for name in sys.raw)
        counters = {name: _number(sys.raw.get(name, "0")) for name in COUNTERS}
        self._seen.append(Publication(at, uptime, counters, sys.clients_connected, topics))
        self._raw = dict(sys.raw)

    def silent(self, now: float) -> bool:
        """Whether `$SYS` says nothing: switched off, forbidden, or so rarely that it is of no use."""
        if self._began is None or now - self._began < SILENT_S:
            return False
        if not self._heard:
            return True
        last = self._seen[-1].at if self._seen else self._began
        return now - last > max(_SLACK * _USUAL_PERIOD_S, 2.5 * self.period_s)

    def patience_s(self) -> float:
        """How long two publications may take to come."""
        return _SLACK * 2 * min(self.period_s, LONGEST_PERIOD_S)

    def since(self, opened: float) -> Difference | None:
        """Between the first publication since `opened` and the last one; None with fewer than two."""
        inside = [publication for publication in self._seen if publication.at >= opened]
        if len(inside) < 2:
            return None
        first, last = inside[0], inside[-1]
        counts = {name: max(0, last.counters[name] - first.counters[name]) for name in COUNTERS}
        return Difference(last.at - first.at, counts, sum(each.topics for each in inside[1:]), last.clients)

    def why_unknown(self, now: float) -> str:
        """For the operator: why `since` gives nothing."""
        if self.silent(now) and not self._heard:
            return "$SYS says nothing: sys_interval is 0, or an ACL forbids it; rewards come from the probe alone"
        if self.silent(now):
            return "$SYS does not come any more: sys_interval is 0, or very long; rewards come from the probe alone"
        return "$SYS came less than twice in this window: what is delivered is not known"


def blind_spots(version: str) -> tuple[str, ...]:
    """What the counters of this version miss, one sentence each. `version` is what `$SYS/broker/version` says."""
    numbers = _version(version)
    spots = []
    if numbers is not None and numbers < (2, 0, 15):
        spots.append(f"Mosquitto {'.'.join(map(str, numbers))} does not count QoS 2 and retained messages as received")
    if numbers is not None and numbers >= (2, 1, 0):
        spots.append("sent is counted before a full output queue may drop the message, and resends count again")
    else:
        spots.append("sent is counted when it is written to a socket, and resends count again")
    spots.append(
        "dropped misses QoS 0 for clients that are away, messages beyond size and memory limits, expiry and disconnections"
    )
    return tuple(spots)


def counts_qos2(version: str) -> bool:
    """Whether `publish/messages/received` counts QoS 2 (not before 2.0.15)."""
    numbers = _version(version)
    return numbers is None or numbers >= (2, 0, 15)


def _version(text: str) -> tuple[int, int, int] | None:
    words = text.split()
    parts = words[-1].split(".") if words else []
    if len(parts) < 3 or not all(part.isdecimal() for part in parts[:3]):
        return None
    return int(parts[0]), int(parts[1]), int(parts[2])


def _number(text: str) -> int:
    word = text.split()[0] if text.split() else "0"
    return int(word) if word.lstrip("-").isdecimal() else 0
