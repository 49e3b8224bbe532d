"""How long a window has to be: as long as it takes to decide about its setting.

A window of a load of our own making is looked at while it is open. What is to be decided is whether its setting comes up to
the best one so far:

- it is *cut* when even the optimistic end of what it may deliver on time is less than half of what the best delivers: what is
  learned from it (that this is no good) will not change;
- it goes on beyond its time while it cannot be told from the best, and more of it would tell more;
- else it ends when its time is over.

Of a bursty load a window is as many whole periods as its time needs: one that ends anywhere would show the place in the period,
and none at all where it fell between two bursts.

A figure is judged with care. The load settles before a window opens (a round trip and the SLO included); a window is looked
at only when messages that were sent in it have had their SLO to arrive, and a bursty load has had a whole period. If its later
half does better than the whole of it, the later half counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, hypot

from brokertuner_tui.workload.profile import Profile
from brokertuner_tui.workload.window import SoFar

CLEARLY_WORSE = "clearly worse"
"""How the reason begins of a trial whose window was cut."""
_CLEARLY = 0.5
"""Less than this share of the best is clearly bad."""
_WORTH = 0.02
"""A difference of this share of the best, or less, is not worth a longer window."""
_ROUNDING = 1e-6
_SLO_SHARE = 1.2
"""Of the SLO has to be over in the window before it is judged."""


@dataclass(frozen=True, slots=True)
class Best:
    """What the best setting so far has shown under the same profile, deliveries on time a second."""

    per_s: float
    """Mean of its windows."""
    stderr: float
    """Of that mean."""
    spread: float
    """Standard deviation of one window's figure (of the usual length) from the next one's."""


def is_clearly_bad(so_far: SoFar, best: Best, profile: Profile, *, least_s: float) -> bool:
    """Whether a window need not be finished.

    Args:
        least_s: no window is shorter.
    """
    if so_far.seconds < max(least_s, _fair_s(profile)):
        return False
    hopeful = max(so_far.on_time_per_s, so_far.latest_per_s) + 2 * max(so_far.stderr, best.spread)
    return hopeful < _CLEARLY * (best.per_s - 2 * best.stderr)


def is_worth_more(so_far: SoFar, best: Best) -> bool:
    """Whether a setting may still be better or worse than the best, and a longer window would narrow that down."""
    gap = abs(so_far.on_time_per_s - best.per_s)
    return gap < 2 * hypot(so_far.stderr, best.stderr) and 2 * so_far.stderr > _WORTH * best.per_s


def _fair_s(profile: Profile) -> float:
    """What has to be over before a window says anything."""
    slo_s = max(part.slo_ms for part in profile.members) / 1000
    return max(_SLO_SHARE * slo_s, profile.period_s)


def whole_s(seconds: float, profile: Profile) -> float:
    """How long a window is that shall last for `seconds` at least."""
    period_s = profile.period_s
    return max(1, ceil(seconds / period_s - _ROUNDING)) * period_s if period_s > 0 else seconds
