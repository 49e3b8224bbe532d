"""What can be known of live traffic in one window, and what cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NOTHING_BACK = "no message of the probe ever came back"
"""How the remark begins that nothing can be said at all."""
QUIET_PER_S = 2.0
"""Below this many messages a second the broker counts as quiet: what `$SYS` says is then mostly of ourselves."""
FEWEST_JUDGED = 20
"""Probe messages that a window has to judge; with fewer, one late message would be worth 5 % and more."""


@dataclass(frozen=True, slots=True)
class Sequenced:
    """Topics that were listened to and whose payloads carry a number that grows by one."""

    topics: int
    received: int
    """Messages with a number, each once."""
    lost: int
    """Numbers that were overtaken and did not come."""
    duplicated: int

    @property
    def share(self) -> float:
        """Of the numbered messages that should have come, those that did; 1 where there were none."""
        return self.received / (self.received + self.lost) if self.received + self.lost > 0 else 1.0


@dataclass(frozen=True, slots=True)
class LiveFigures:
    """Beside the probe's own figures (the window's). None: not known; `remarks` says why, for the operator."""

    judged: int
    """Probe messages of the window whose fate is known: in time, late, or missing beyond the SLO."""
    probe_per_s: float
    """What the probe sent, messages a second, all QoS together."""
    sys_seconds: float
    """Time between the two publications of `$SYS` that the next figures are differences of; 0 without."""
    offered_per_s: float | None
    """PUBLISH packets a second that the broker counted as received, less ours."""
    delivered_per_s: float | None
    """PUBLISH packets a second that it counted as sent, less those to us. Resends count, so this is no proof of delivery."""
    dropped_per_s: float | None
    """What it counted as dropped: full queues, and few other kinds of loss."""
    bytes_in_per_s: float | None
    bytes_out_per_s: float | None
    clients: int | None
    """Connected ones, less ours."""
    probe_share: float | None
    """Of all packets that the broker received, those of the probe."""
    sequenced: Sequenced | None
    remarks: tuple[str, ...]

    @property
    def source(self) -> str:
        """Where the figures come from, in a few words."""
        return ("probe, $SYS" if self.offered_per_s is not None else "probe alone") + (", topics" if self.sequenced else "")

    @property
    def too_few(self) -> str:
        """Why a window with fewer than `FEWEST_JUDGED` says nothing."""
        if kept_out := next((remark for remark in self.remarks if remark.startswith(NOTHING_BACK)), None):
            return kept_out
        return f"{self.judged} probe messages are too few to judge by: a longer live.window_sec, or more of live.probe_rate"

    @property
    def quiet(self) -> bool:
        """Whether `$SYS` says that there is next to no traffic."""
        return self.offered_per_s is not None and self.offered_per_s < QUIET_PER_S

    @property
    def fan_out(self) -> float | None:
        """Deliveries a message; None where that is not known, or there is too little traffic to tell."""
        if self.offered_per_s is None or self.delivered_per_s is None or self.quiet:
            return None
        return self.delivered_per_s / self.offered_per_s

    @property
    def not_dropped(self) -> float:
        """The share of deliveries that was not dropped, as far as the broker counts drops; 1 where it says nothing."""
        if not self.dropped_per_s or self.delivered_per_s is None:
            return 1.0
        return self.delivered_per_s / (self.delivered_per_s + self.dropped_per_s)

    def delivered_share(self, usual_fan_out: float | None) -> float:
        """Deliveries as a share of what the offered messages should have caused, in [0, 1]; 1 where it is not known.

        Args:
            usual_fan_out: deliveries a message under the settings that this is compared with.
        """
        share = self.not_dropped
        if usual_fan_out and self.fan_out is not None:
            share = min(share, self.fan_out / usual_fan_out)
        return min(1.0, max(0.0, share))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LiveFigures:
        """From what `dataclasses.asdict` gave, lists for tuples too."""
        sequenced = data["sequenced"]
        values = dict(data) | {"remarks": tuple(data["remarks"])}
        return cls(**values | {"sequenced": Sequenced(**sequenced) if sequenced is not None else None})
