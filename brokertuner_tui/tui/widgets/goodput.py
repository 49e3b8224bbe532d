"""On-time goodput: the one number that matters, against the default and the best, and how it got there."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget

from brokertuner_tui.tui import ink
from brokertuner_tui.tui.format import compact, goodput, milliseconds, nice_ceiling, per_second, percent, sparkline
from brokertuner_tui.tui.ink import BEST, BETTER, BOLD, QUIET, WORSE, line
from brokertuner_tui.tui.model import Model, Point
from brokertuner_tui.tui.sentences import spread
from brokertuner_tui.tui.widgets.pane import Pane
from brokertuner_tui.workload import live

if TYPE_CHECKING:
    from brokertuner_tui.workload.window import Window

PLOT_FROM = 6
"""Lines that it takes to draw the chart; below that, a sparkline."""


def offered_per_s(model: Model) -> float:
    """What the load asks for, deliveries a second; 0 for a closed loop, which asks for as much as there is."""
    profile = model.profile
    if profile is not None and profile.name == live.NAME:
        return 0.0  # it is not ours to offer
    return profile.rate * profile.fan_out if profile else 0.0


def top_of_scale(model: Model) -> float:
    """The end of the chart's fixed scale: what is offered, or the most that was seen; it never shrinks."""
    if model.profile is not None and model.profile.name == live.NAME:
        return 100.0
    seen = max((point.received_per_s or 0.0 for point in model.points), default=0.0)
    return nice_ceiling(max(seen, offered_per_s(model)) * 1.02)


def trials_in_scale(model: Model) -> int:
    """The end of the chart's trial axis: the whole run, or for long ones, twice as much as there is, in steps."""
    total, there = max(model.total, 2), len(model.points)
    shown = 60
    while shown < there:
        shown *= 2
    return min(total, shown) if total > 60 else total


def summary(model: Model, width: int, *, latency: bool = False) -> Content:
    """The figure of the last trial that was measured, and what it is to be compared with."""
    last = next((trial for trial in reversed(model.trials) if trial.outcome.window is not None), None)
    window = last.outcome.window if last else None
    if last is None or window is None:
        waiting = "the first trial measures the defaults" if model.run else "nothing has been measured yet"
        return line((f"{waiting} {ink_dots(model)}".rstrip(), QUIET))
    if window.live is not None:
        return _live_summary(model, window, width)
    rate = window.on_time_per_s
    parts = [line((per_second(rate), BOLD), " on time", (spread(window), QUIET))]
    reference = model.reference
    if reference is not None:
        parts.append(_against(rate, reference.on_time_per_s, reference.stderr, window.on_time_stderr))
    if latency:
        parts.append(line(("p99 ", QUIET), milliseconds(window.p99_ms)))
    best = model.best
    if best is not None and best.outcome.window is not None:
        parts.append(line(("━ best ", BEST), (compact(best.outcome.window.on_time_per_s), BEST)))
    if not latency and reference is not None:
        late = f" of {compact(reference.received_per_s)}" if reference.on_time_per_s < 0.9 * reference.received_per_s else ""
        parts.append(line((f"┄ default {compact(reference.on_time_per_s)}{late}", QUIET)))
    shares = (window.lost / max(window.expected, 1), "lost"), (window.late / max(window.received, 1), "late")
    for share, word in shares:
        parts.append(line((f"{word} ", QUIET), (percent(share), WORSE if share > 0.01 else "")))
    if not latency:
        if window.received - window.on_time > 0.01 * max(window.received, 1):
            parts.append(line((f"{per_second(window.received_per_s)} delivered", QUIET)))
        parts.append(line((f"{per_second(window.sent_per_s)} sent", QUIET)))
    return ink.fit(parts, width)


def _live_summary(model: Model, window: Window, width: int) -> Content:
    """The same of live traffic: shares instead of rates, each with where it comes from."""
    figures = window.live
    assert figures is not None
    band = f" ±{2 * window.goodput_stderr:.1f}"
    parts = [line((goodput(window.goodput, in_percent=True), BOLD), " in time", (band, QUIET), (f" ({figures.source})", QUIET))]
    reference, best = model.reference, model.best
    if reference is not None:
        parts.append(_against(window.goodput, reference.on_time_per_s, reference.stderr, window.goodput_stderr))
    parts.append(line(("probe p99 ", QUIET), milliseconds(window.p99_ms)))
    if best is not None and best.outcome.window is not None:
        parts.append(line(("━ best ", BEST), (goodput(best.outcome.window.goodput, in_percent=True), BEST)))
    if figures.offered_per_s is not None and figures.delivered_per_s is not None:
        amounts = f"{per_second(figures.offered_per_s)} offered, {per_second(figures.delivered_per_s)} delivered"
        parts.append(line(("$SYS ", QUIET), amounts))
    if figures.dropped_per_s:
        parts.append(line((f"{per_second(figures.dropped_per_s)} dropped", WORSE)))
    if figures.sequenced is not None and figures.sequenced.topics:
        parts.append(line(("topics ", QUIET), f"{percent(1 - figures.sequenced.share)} lost"))
    return ink.fit(parts, width)


def remark(model: Model) -> str:
    """What the last window of live traffic cannot show, the most important first; empty for a load of ours."""
    last = next((trial for trial in reversed(model.trials) if trial.outcome.window is not None), None)
    window = last.outcome.window if last else None
    return "; ".join(window.live.remarks) if window is not None and window.live is not None else ""


def ink_dots(model: Model) -> str:
    """What goes on before there is anything to show."""
    return f"({model.phase.phase})" if model.phase else ""


def _against(rate: float, default: float, *errors: float) -> Content:
    noise = 2 * sum(error**2 for error in errors) ** 0.5
    if default < 1:
        return line(("▲ the default has none", BETTER)) if rate >= 1 else line(("· like the default, none", QUIET))
    ratio = f"{rate / default:.2f}× default"
    if abs(rate - default) <= max(noise, 0.01 * default):
        return line((f"· {ratio}", QUIET))
    return line((f"▲ {ratio}", BETTER) if rate > default else (f"▼ {ratio}", WORSE))


def spark_line(model: Model, width: int) -> Content:
    """All trials, a column each, on the chart's scale."""
    unit = "%" if model.profile is not None and model.profile.name == live.NAME else "/s"
    scale = f"  0–{compact(top_of_scale(model))}{unit}, {len(model.points)} trials"
    room = max(8, width - len(scale))
    shown = model.points[-room:]
    top = top_of_scale(model)
    parts: list[tuple[str, str]] = []
    for point in shown:
        if point.on_time_per_s is not None:
            best = model.best is not None and point.trial == model.best.trial
            parts.append((sparkline([point.on_time_per_s], 1, 0.0, top), BEST if best else "$primary"))
        else:
            parts.append(_mark(point))
    return line(*parts, (scale, QUIET))


def _mark(point: Point) -> tuple[str, str]:
    return ("✗", WORSE) if point.verdict == "failed" else ("?", QUIET)


class Summary(Widget):
    """The pane's first lines: the figures, and in a small pane the sparkline."""

    def render(self) -> Content:
        """See `Widget`."""
        pane = self.parent
        assert isinstance(pane, GoodputPane)
        width, compact_form = self.size.width, not pane.plots
        rows = [summary(pane.model, width, latency=compact_form)]
        if compact_form and self.size.height > 1:
            rows.append(spark_line(pane.model, width))
        elif self.size.height > 1 and (blind := remark(pane.model)):
            rows.append(line((blind, QUIET)).truncate(width, ellipsis=True))
        return ink.lines(rows)


class GoodputPane(Pane):
    """The figures above, the chart below; the chart comes with the run, when numpy has been imported for other reasons."""

    NAME = "on-time goodput"
    HELP = (
        "Messages a second that reached a subscriber within the SLO, each counted once. A late, lost or repeated message "
        "counts nothing. ± is two standard errors of the last window. The dotted line is the default, the long one the "
        "best so far, the faint curve what was delivered, late or not. ✗ marks a failed trial, ? one that says nothing."
    )
    POINTS: ClassVar[int] = 0

    def facts(self, model: Model) -> object:
        """See `Pane`."""
        last = model.trials[-1] if model.trials else None
        profile = model.profile
        waiting = model.phase.phase if model.phase and not model.trials else ""
        return (id(last), len(model.points), profile, model.pinned, model.best and model.best.trial, bool(model.run), waiting)

    def compose(self) -> ComposeResult:
        """See `Widget`."""
        yield Summary(id="goodput-summary")
        yield Container(id="goodput-plot")

    @property
    def plots(self) -> bool:
        """Whether there is room for the chart."""
        return self.content_size.height >= PLOT_FROM

    def render(self) -> Content:
        """The children draw."""
        return Content("")

    def on_resize(self) -> None:
        """See `Widget`."""
        self.set_class(self.plots, "-plots")
        self.changed()

    def changed(self) -> None:
        """See `Pane`."""
        self.set_class(bool(remark(self.model)), "-remarks")
        self.query_one(Summary).refresh()
        if self.plots and self.model.run is not None:
            self._draw_chart()

    def _draw_chart(self) -> None:
        from brokertuner_tui.tui.widgets.chart import TrialChart

        charts = self.query(TrialChart)
        if charts:
            charts.first().draw(self.model)
        else:
            chart = TrialChart()
            self.query_one("#goodput-plot").mount(chart)
            chart.call_after_refresh(lambda: chart.draw(self.model))
