"""What the host of a virtual machine kept for others: a setting can look bad for no other reason."""

from __future__ import annotations

import psutil


class Stolen:
    """Measures from its making on."""

    def __init__(self) -> None:
        self._before = _seconds()

    def share(self) -> float | None:
        """Of the time of all CPUs, 0 to 1 (`steal` of /proc/stat, as in proc_stat(5)); None where the system does not say."""
        now = _seconds()
        if self._before is None or now is None:
            return None
        stolen, whole = (after - before for after, before in zip(now, self._before, strict=True))
        return min(1.0, max(0.0, stolen / whole)) if whole > 0 else 0.0


def _seconds() -> tuple[float, float] | None:
    """CPU seconds since boot that were stolen, and all."""
    times = psutil.cpu_times()
    if not hasattr(times, "steal"):
        return None
    # A guest's time is in that of its user as well.
    whole = sum(getattr(times, name) for name in times._fields if not name.startswith("guest"))
    return times.steal, whole
