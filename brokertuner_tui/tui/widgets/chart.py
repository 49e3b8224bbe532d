"""The chart of all trials. Imports numpy (through textual-plot), so it is imported when the run has begun, not before."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise

from textual.app import ComposeResult
from textual.color import Color
from textual.containers import Grid
from textual.geometry import Region
from textual.reactive import reactive
from textual_hires_canvas import Canvas
from textual_plot import HiResMode, PlotWidget
from textual_plot.axis_formatter import AxisFormatter
from textual_plot.plot_widget import Legend

from brokertuner_tui.env.outcome import Verdict
from brokertuner_tui.tui.format import compact
from brokertuner_tui.tui.model import Model, Point
from brokertuner_tui.tui.widgets.goodput import offered_per_s, top_of_scale, trials_in_scale
from brokertuner_tui.tuning.events import TrialKind


class _Ticks(AxisFormatter):
    """Ticks where we want them, with the app's own figures."""

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        """See `AxisFormatter`."""
        return [compact(tick) for tick in ticks]

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 8) -> list[float]:
        """See `AxisFormatter`; not used, since ticks are always set."""
        return [min_, max_]


def buffer_size(canvas: Canvas) -> tuple[int, int]:
    """Columns and lines that can be drawn on now; the widget's own size may be ahead of it."""
    size = canvas._canvas_size
    return (size.width, size.height) if size else (0, 0)


class _OpenCanvas(Canvas):
    """Draws two axes where textual-plot draws a box."""

    def draw_rectangle_box(self, x0: int, y0: int, x1: int, y1: int, thickness: int = 2, style: str = "white") -> None:
        """See `Canvas`."""
        width, height = buffer_size(self)
        self.draw_line(0, height - 1, width - 1, height - 1, char="─", style=style)
        self.draw_line(0, 0, 0, height - 1, char="│", style=style)
        self.set_pixel(0, height - 1, char="└", style=style)


class TrialChart(PlotWidget):
    """On-time goodput by trial on fixed axes, with what was delivered, the default, the best, and the trials that fell."""

    margin_top = reactive(0)
    margin_bottom = reactive(1)
    margin_left = reactive(6)

    def __init__(self) -> None:
        super().__init__(id="chart", allow_pan_and_zoom=False)
        self.can_focus = False
        self._shown: Model | None = None
        self._colors: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        """See `PlotWidget`; its canvas, with axes of our own."""
        with Grid():
            yield Canvas(1, 1, id="margin-top")
            yield Canvas(1, 1, id="margin-left")
            yield _OpenCanvas(1, 1, id="plot")
            yield Canvas(1, 1, id="margin-bottom")
        yield Legend(id="legend")

    def _render_plot(self) -> None:
        # The whole canvas is for the data, but the axes: there is no box to keep clear of.
        for canvas in self.query(_OpenCanvas):
            width, height = buffer_size(canvas)
            if width > 3 and height > 1:
                self._scale_rectangle = Region(1, 0, width - 2, height - 1)
                super()._render_plot()

    def combine_quad_with_pixel(self, quad: tuple[int, int, int, int], canvas: Canvas, x: int, y: int) -> str:
        """See `PlotWidget`: ticks, thin ones, and none where there is no axis."""
        if quad in ((2, 0, 0, 0), (0, 2, 0, 0)):
            return str(canvas.get_pixel(x, y)[0])
        if quad == (0, 0, 2, 0):
            return "┬"
        return "└" if y >= buffer_size(canvas)[1] - 1 else "┤"

    def notify_style_update(self) -> None:
        """The theme has changed."""
        super().notify_style_update()
        if self._shown is not None:
            self.draw(self._shown)

    def draw(self, model: Model) -> None:
        """Draws all of it."""
        self._shown, self._colors = model, self.app.get_css_variables()
        top, trials = top_of_scale(model), trials_in_scale(model)
        self.clear()
        self.set_x_formatter(_Ticks())
        self.set_y_formatter(_Ticks())
        self.set_xlimits(0.5, trials + 0.5)
        self.set_ylimits(0.0, top * 1.02)
        self.set_yticks([0.0, top / 2, top] if self.size.height > 6 else [0.0, top])
        self.set_xticks(_trial_ticks(trials))
        points = model.points[-trials:]
        if model.reference is not None:
            self._dotted(model.reference.on_time_per_s, trials, self._style("quiet"))
        offered = offered_per_s(model)
        if offered and not points:
            self._dotted(offered, trials, self._style("line"))
        for before, after in pairwise(points):
            if before.profile != after.profile:
                self._upright((before.trial + after.trial) / 2, top)
        self._curve(points, "received_per_s", self._style("quiet"))
        best = model.best.outcome.window.goodput if model.best and model.best.outcome.window else None
        if best is not None and model.best is not None:
            self.plot(
                [model.best.trial, trials + 0.5], [best, best], line_style=self._style("best"), hires_mode=HiResMode.BRAILLE
            )
        self._curve(points, "on_time_per_s", self._style("primary"))
        self._marks(points, model)

    def _style(self, role: str) -> str:
        """The theme's colour for a role, as Rich writes it."""
        return Color.parse(self._colors[role]).rich_color.name

    def _dotted(self, height: float, trials: int, style: str) -> None:
        step = trials / max(20, self.size.width)
        xs = [0.5 + step * index for index in range(int(trials / step))][::2]
        self.scatter(xs, [height] * len(xs), marker_style=style, hires_mode=HiResMode.BRAILLE)

    def _upright(self, x: float, top: float) -> None:
        """Another load from here on: what is to its left is not to be compared with what is to its right."""
        steps = max(8, 2 * self.size.height)
        self.scatter(
            [x] * steps,
            [top * index / steps for index in range(steps)],
            marker_style=self._style("line"),
            hires_mode=HiResMode.BRAILLE,
        )

    def _curve(self, points: Sequence[Point], name: str, style: str) -> None:
        # A gap where a trial says nothing, and where the load changes: a line drawn across it would say something.
        for (measured, _), group in groupby(points, key=lambda point: (getattr(point, name) is not None, point.profile)):
            run = list(group)
            if not measured:
                continue
            xs, ys = [point.trial for point in run], [getattr(point, name) for point in run]
            if len(run) == 1:
                self.scatter(xs, ys, marker_style=style, hires_mode=HiResMode.BRAILLE)
            else:
                self.plot(xs, ys, line_style=style, hires_mode=HiResMode.BRAILLE)

    def _marks(self, points: Sequence[Point], model: Model) -> None:
        for verdict, marker, role in ((Verdict.FAILED, "✗", "worse"), (Verdict.INCONCLUSIVE, "?", "quiet")):
            xs = [point.trial for point in points if point.verdict == verdict]
            if xs:
                self.scatter(xs, [0.0] * len(xs), marker=marker, marker_style=self._style(role))
        by_hand = [point for point in points if point.kind == TrialKind.MANUAL and point.on_time_per_s is not None]
        if by_hand:
            xs, ys = [point.trial for point in by_hand], [point.on_time_per_s or 0.0 for point in by_hand]
            self.scatter(xs, ys, marker="●", marker_style=self._style("hand"))
        best = model.best
        if best is not None and best.outcome.window is not None and points and best.trial >= points[0].trial:
            self.scatter([best.trial], [best.outcome.window.goodput], marker="◆", marker_style=self._style("best"))


def _trial_ticks(trials: int) -> list[float]:
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10**9) if trials / step <= 12)
    return [1.0, *(float(tick) for tick in range(step, trials + 1, step) if tick > 1)]
