"""How long messages took, on a logarithmic scale, with the SLO marked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from textual.content import Content

from brokertuner_tui.tui import ink
from brokertuner_tui.tui.format import SPARKS, compact, grouped, milliseconds, percent
from brokertuner_tui.tui.ink import BOLD, HAND, LINE, QUIET, WORSE, Part, line
from brokertuner_tui.tui.model import Model
from brokertuner_tui.tui.widgets.pane import Pane

if TYPE_CHECKING:
    from brokertuner_tui.workload.window import Window

_LABEL, _VALUE = 4, 9
_FIRST_DECADE = -1  # 0.1 ms
_HISTOGRAM_FROM = 11
"""Lines from which the distribution is drawn."""


class Scale:
    """A logarithmic axis of `width` cells from 0.1 ms to a power of ten beyond everything on it."""

    def __init__(self, width: int, slo_ms: float, max_ms: float) -> None:
        self.width = max(4, width)
        largest = max(slo_ms * 2, max_ms, 1.0)
        self.decades = max(3, math.ceil(math.log10(largest) - 1e-9) - _FIRST_DECADE)

    def at(self, ms: float) -> float:
        """Where a time lies, in cells from the left end."""
        share = (math.log10(max(ms, 1e-9)) - _FIRST_DECADE) / self.decades
        return min(float(self.width), max(0.0, share * self.width))

    def cell(self, ms: float) -> int:
        """The cell that a time falls into."""
        return min(self.width - 1, int(self.at(ms)))

    def axis(self) -> str:
        """Labels at the decades that there is room for."""
        text = [" "] * self.width
        end = -1
        for decade in range(self.decades + 1):
            ms = 10.0 ** (decade + _FIRST_DECADE)
            label = compact(ms) if ms >= 1 else f"{ms:g}"
            at = min(round(decade / self.decades * self.width), self.width - len(label))
            if at > end:
                text[at : at + len(label)] = label
                end = at + len(label)
        return "".join(text)


def _bar(scale: Scale, ms: float, slo_ms: float) -> Content:
    end, slo = scale.cell(ms), scale.cell(slo_ms)
    parts: list[Part] = []
    for index in range(scale.width):
        if index == slo:
            parts.append(("┃", HAND) if index > end else ("╋", HAND))
        elif index <= end:
            parts.append(("━", WORSE if index > slo else "$primary"))
        else:
            parts.append(("─", LINE))
    return line(*parts).simplify()


def _histogram(scale: Scale, window: Window, slo_ms: float, rows: int) -> list[Content]:
    counts = [0.0] * scale.width
    bounds = [bound for bound, _ in window.histogram]
    ratio = bounds[1] / bounds[0] if len(bounds) > 1 else 1.25
    below = bounds[0] / ratio if bounds else 0.0
    for bound, count in window.histogram:
        # A bucket is spread over the cells that it covers, by what it covers of each.
        start, end = scale.at(max(below, bound / ratio / ratio)), scale.at(bound)
        for index in range(int(start), min(scale.width, math.ceil(end))):
            covered = min(end, index + 1) - max(start, index)
            counts[index] += count * (covered / (end - start) if end > start else 1.0)
        below = bound
    peak = max(counts) or 1.0
    slo = scale.cell(slo_ms)
    result = []
    for row in range(rows, 0, -1):
        parts: list[Part] = [" " * (_LABEL)]
        for index, share in enumerate(counts):
            eighths = round(share / peak * rows * 8) - (row - 1) * 8
            if share > 0 and row == 1:
                eighths = max(eighths, 1)
            block = " " if eighths <= 0 else SPARKS[min(eighths, 8) - 1]
            if index == slo and block == " ":
                parts.append(("┃", HAND))
            else:
                parts.append((block, WORSE if index > slo else "$primary"))
        result.append(line(*parts).simplify())
    return result


def latency_view(model: Model, width: int, height: int) -> Content:
    """Percentiles as bars; with room, the distribution of the window on the same axis."""
    last = next((trial for trial in reversed(model.trials) if trial.outcome.window is not None), None)
    window = last.outcome.window if last else None
    if last is None or window is None:
        return line(("no window has been measured yet", QUIET))
    slo_ms = last.outcome.profile.slo_ms
    scale = Scale(width - _LABEL - _VALUE - 1, slo_ms, window.max_ms)
    figures = [("p50", window.p50_ms), ("p95", window.p95_ms), ("p99", window.p99_ms), ("max", window.max_ms)]
    rows = [
        line(
            (name.ljust(_LABEL), QUIET),
            _bar(scale, ms, slo_ms),
            (milliseconds(ms).rjust(_VALUE + 1), WORSE if ms > slo_ms else BOLD if name == "p99" else ""),
        )
        for name, ms in figures
    ]
    axis = [
        line((" " * _LABEL + scale.axis(), QUIET), (" ms", QUIET)),
        _slo_row(scale, slo_ms),
    ]
    foot = [_count_row(window, last.trial, width), _reference_row(model, window, width)]
    if model.run is not None and model.run.limits and height > len(rows) + len(axis) + len(foot):
        foot.append(_guard_row(model, width))
    spare = height - len(rows) - len(axis) - len(foot) - 1
    if height >= _HISTOGRAM_FROM and spare >= 2:
        rows += [Content(""), *_histogram(scale, window, slo_ms, min(spare - 1, 8))]
    return ink.lines([*rows, *axis, *foot])


def _slo_row(scale: Scale, slo_ms: float) -> Content:
    at, label = scale.cell(slo_ms), f"SLO {slo_ms:g} ms"
    if at + len(label) + 2 <= scale.width + _VALUE:
        return line(" " * (_LABEL + at), (f"▲ {label}", HAND))
    return line(" " * (_LABEL + at - len(label) - 1), (f"{label} ▲", HAND))


def _count_row(window: Window, trial: int, width: int) -> Content:
    parts = [line((f"{grouped(window.received)} in {window.seconds:.1f} s, trial {trial}", QUIET))]
    if window.received:
        share = window.on_time / window.received
        parts.insert(0, line((f"{percent(share)} within the SLO", "" if share > 0.99 else WORSE)))
    return ink.fit(parts, width)


def _guard_row(model: Model, width: int) -> Content:
    """What the guard minds, and whether it is kept."""
    assert model.run is not None, "only called in a run"
    verdict = model.judged.verdict if model.judged is not None else "pass"
    word, style = {"pass": ("guard: ", QUIET), "fail": ("SLO broken: ", WORSE)}.get(verdict, ("SLO unsure: ", HAND))
    return line((word, style), ", ".join(model.run.limits)).truncate(width, ellipsis=True)


def _reference_row(model: Model, window: Window, width: int) -> Content:
    reference = model.reference
    if reference is None:
        return Content("")
    better = window.p99_ms < reference.p99_ms
    parts = [
        line(
            ("p99 ", QUIET),
            milliseconds(window.p99_ms),
            (", with the defaults " if better else ", the defaults ", QUIET),
            milliseconds(reference.p99_ms),
        )
    ]
    if window.p99_low_ms is not None and window.p99_high_ms is not None:
        parts.append(line((f"95 %: {compact(window.p99_low_ms)}–{milliseconds(window.p99_high_ms)}", QUIET)))
    return ink.fit(parts, width)


class LatencyPane(Pane):
    """The pane."""

    NAME = "latency"
    HELP = (
        "From the publisher's send to the subscriber's receive, over the last window that was measured, on a logarithmic "
        "scale. What lies beyond the SLO is late and counts nothing. With more room: how the messages are distributed. "
        "Where [guard] sets limits, the last line has them: a setting that misses one is rolled back at once."
    )

    def facts(self, model: Model) -> object:
        """See `Pane`."""
        return (id(model.trials[-1]) if model.trials else None, model.reference, model.judged)

    def view(self, model: Model, width: int, height: int) -> Content:
        """See `Pane`."""
        return latency_view(model, width, height)
