"""What is known of live traffic, as rows and as JSON: with where each figure comes from, and what it cannot show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from brokertuner_tui.store.plain import finite
from brokertuner_tui.workload.window import Window

UNKNOWN = "not known"


def rows(windows: Sequence[Window]) -> list[tuple[str, str]]:
    """Name and figure, of the last window of live traffic; none where there is no such window."""
    window = _last(windows)
    if window is None or window.live is None:
        return []
    live = window.live
    found = [("probe: in time", f"{100 * window.share_in_time:.1f} % of {live.judged:,}")]
    if live.sequenced is not None:
        seen = live.sequenced
        found.append(("listened: topics with a sequence", f"{seen.topics:,}"))
        found.append(("listened: received, lost, twice", f"{seen.received:,}, {seen.lost:,}, {seen.duplicated:,}"))
    found += [
        ("$SYS: offered a second", _number(live.offered_per_s)),
        ("$SYS: delivered a second", _number(live.delivered_per_s)),
        ("$SYS: dropped a second", _number(live.dropped_per_s)),
        ("$SYS: bytes in, out a second", f"{_number(live.bytes_in_per_s)}, {_number(live.bytes_out_per_s)}"),
        ("$SYS: clients", UNKNOWN if live.clients is None else f"{live.clients:,}"),
        ("$SYS: seconds covered", f"{live.sys_seconds:.1f}" if live.sys_seconds else UNKNOWN),
        ("probe: share of the packets", UNKNOWN if live.probe_share is None else f"{100 * live.probe_share:.2f} %"),
    ]
    return found


def remarks(windows: Sequence[Window]) -> tuple[str, ...]:
    """What the figures cannot show, one sentence each."""
    window = _last(windows)
    return window.live.remarks if window is not None and window.live is not None else ()


def as_data(windows: Sequence[Window]) -> dict[str, Any]:
    """For JSON: `live`, or nothing where there was no live traffic."""
    window = _last(windows)
    if window is None or window.live is None:
        return {}
    made: dict[str, Any] = finite({"live": asdict(window.live) | {"share_in_time": window.share_in_time}})
    return made


def _last(windows: Sequence[Window]) -> Window | None:
    return windows[-1] if windows else None


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.0f}"
