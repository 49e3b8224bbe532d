"""The charts of a run: goodput and latency over its trials, and default against best."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from brokertuner_tui.env.outcome import Verdict
from brokertuner_tui.html.chart import NARROW, Key, Plot, Point, figure
from brokertuner_tui.html.markup import Markup, join
from brokertuner_tui.html.rows import Row, rows
from brokertuner_tui.html.scale import counting, linear, logarithmic, short, whole
from brokertuner_tui.store.rows import ConfirmationRow, TrialRow
from brokertuner_tui.student import t95
from brokertuner_tui.tuning.events import Measured, TrialKind
from brokertuner_tui.workload.window import Window

_Z95 = 1.96
"""Of a share of many messages; figures from slices of a window have Student's t."""
_KINDS = {
    TrialKind.DEFAULT: Key("the default", "default", "square"),
    TrialKind.WARM_UP: Key("warm-up", "ours", "ring"),
    TrialKind.AGENT: Key("the agent's choice", "ours", "circle"),
    TrialKind.BEST: Key("the best, measured again", "best", "diamond"),
    TrialKind.MANUAL: Key("set by hand", "hand", "triangle"),
}
_FAILED = Key("failed or rolled back", "failed", "cross")
_UNKNOWN = Key("inconclusive", "muted", "cross")


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive trials under one profile of the load."""

    profile: str
    slo_ms: float
    trials: tuple[TrialRow, ...]

    @property
    def first(self) -> int:
        """The number of its first trial."""
        return self.trials[0].number

    @property
    def last(self) -> int:
        """The number of its last trial."""
        return self.trials[-1].number


def stretches(trials: Sequence[TrialRow]) -> list[Stretch]:
    """The trials cut where the profile changes."""
    found: list[Stretch] = []
    for trial in trials:
        name, slo_ms = str(trial.profile.get("name", "")), float(trial.profile.get("slo_ms", math.nan))
        if found and found[-1].profile == name:
            found[-1] = replace(found[-1], trials=(*found[-1].trials, trial))
        else:
            found.append(Stretch(name, slo_ms, (trial,)))
    return found


def goodput_of(trial: TrialRow) -> float:
    """What the trial is compared by: NaN where nothing was measured."""
    return math.nan if trial.window is None else trial.window.goodput


def half_width(window: Window) -> float:
    """Half of the 95 % interval of the window's goodput, from what varied within it."""
    slices = len(window.on_time_slices)
    return (_Z95 if window.live is not None or slices < 2 else t95(slices - 1)) * window.goodput_stderr


def best_so_far(trials: Sequence[TrialRow]) -> Iterator[tuple[int, float]]:
    """After each trial: its number, and the mean goodput that the best setting of then had shown until then (NaN: none).

    The mean of all its measurements, since the highest of many single ones is only the luckiest.
    """
    by_number = {trial.number: trial for trial in trials}
    for place, trial in enumerate(trials):
        best = by_number.get(trial.best_trial) if trial.best_trial is not None else None
        if best is None:
            yield trial.number, math.nan
            continue
        same = [
            goodput_of(other)
            for other in trials[: place + 1]
            if other.window is not None and other.knobs == best.knobs and other.profile.get("name") == best.profile.get("name")
        ]
        yield trial.number, statistics.fmean(same) if same else math.nan


def default_level(trials: Sequence[TrialRow], profile: str) -> float:
    """Mean goodput of the default's trials under `profile`; NaN without one."""
    known = [goodput_of(trial) for trial in trials if trial.kind == TrialKind.DEFAULT and trial.profile.get("name") == profile]
    known = [value for value in known if math.isfinite(value)]
    return statistics.fmean(known) if known else math.nan


def goodput(trials: Sequence[TrialRow]) -> Markup:
    """Every trial with its 95 % interval, the default's level and the best so far."""
    parts = stretches(trials)
    in_percent = any(trial.window is not None and trial.window.live is not None for trial in trials)
    measured = [trial.window for trial in trials if trial.window is not None]
    heights = [window.goodput + half_width(window) for window in measured]
    levels = {part.profile: default_level(trials, part.profile) for part in parts}
    best = dict(best_so_far(trials))
    x, y = counting(trials[0].number, trials[-1].number), linear([*heights, *levels.values()])
    y_title = "in time and delivered, %" if in_percent else "on-time goodput, deliveries a second"
    says = f"On-time goodput of {len(trials)} trials; highest {whole(max(heights, default=math.nan))}."

    def draw(width: int) -> Markup:
        narrow = width <= NARROW
        axis = counting(trials[0].number, trials[-1].number, ticks=5) if narrow else x
        plot = Plot(says, axis, y, width=width, height=260 if narrow else 340, x_title="trial", y_title=y_title)
        _shade(plot, parts)
        for part in parts:
            ends = (part.first - 0.5, part.last + 0.5)
            if math.isfinite(levels[part.profile]):
                plot.level(levels[part.profile], "default", first=ends[0], last=ends[1])
            numbers = [trial.number for trial in part.trials]
            plot.line([(n - 0.5, best[n]) for n in numbers] + [(ends[1], best[part.last])], "best", steps=True)
        _mark(plot, trials)
        restarted = [trial for trial in trials if trial.applied is not None and trial.applied.how == "restart"]
        plot.rug([Point(trial.number, 0.0, f"Trial {trial.number}: the broker was restarted") for trial in restarted], "muted")
        return plot.svg()

    lines = [Key("best so far", "best", "line"), Key("the default's mean", "default", "dashes"), Key("restart", "muted", "bar")]
    note = "Error bars: 95 % interval within the window. The best so far is the mean of all measurements of that setting."
    return figure("On-time goodput over the trials", draw, keys=[*_keys(trials), *lines], note=note)


def latency(trials: Sequence[TrialRow]) -> Markup | None:
    """p50 and p99 of every trial on a logarithmic axis, with the SLO; None where nothing was received."""
    known = [(trial, trial.window) for trial in trials if trial.window is not None and trial.window.received]
    known = [(trial, window) for trial, window in known if _is_drawn(window.p50_ms) and _is_drawn(window.p99_ms)]
    if not known:
        return None
    parts = stretches(trials)
    ends = [end for _, window in known for end in (window.p50_ms, window.p99_ms, window.p99_low_ms, window.p99_high_ms)]
    values = [end for end in ends if end is not None]
    says = f"Latency of {len(known)} trials; p99 from {short(min(values))} to {short(max(values))} ms."

    def draw(width: int) -> Markup:
        narrow = width <= NARROW
        x = counting(trials[0].number, trials[-1].number, ticks=5 if narrow else 10)
        y = logarithmic([*values, *(part.slo_ms for part in parts)])
        plot = Plot(
            says, x, y, width=width, height=240 if narrow else 300, x_title="trial", y_title="latency, ms (logarithmic)"
        )
        _shade(plot, parts)
        for part in parts:
            if _is_drawn(part.slo_ms):
                plot.level(part.slo_ms, "slo", first=part.first - 0.5, last=part.last + 0.5)
        for trial, window in known:
            plot.line([(trial.number, window.p50_ms), (trial.number, window.p99_ms)], "thin muted")
        plot.marks([Point(t.number, w.p50_ms, f"Trial {t.number}: p50 {w.p50_ms:.3g} ms") for t, w in known], "low", "circle")
        plot.marks([_late(trial, window) for trial, window in known], "high", "triangle")
        return plot.svg()

    limits = sorted({part.slo_ms for part in parts if _is_drawn(part.slo_ms)})
    slo = f"SLO, {limits[0]:g} ms" if len(limits) == 1 else "SLO"
    keys = [Key("p50", "low", "circle"), Key("p99", "high", "triangle"), *([Key(slo, "slo", "dashes")] if limits else [])]
    return figure(
        "Latency over the trials",
        draw,
        keys=keys,
        note="Of what was delivered in the window; what never came has none. Bars of p99: 95 %.",
    )


def comparison(confirmation: ConfirmationRow, slo_ms: float) -> Markup:
    """Default and best as they were measured in turns: on-time goodput, and p99 beside the SLO (NaN: not known)."""
    default, best = confirmation.default, confirmation.best
    windows = {which: [window for of, window in confirmation.windows if of == which] for which in ("default", "best")}
    unit = "in time and delivered, %" if best.in_percent else "deliveries a second, on time"
    # Of live traffic each window's figure is relative to the default's fan-out: only the mean is known here.
    single = {which: () if best.in_percent else tuple(w.on_time_per_s for w in found) for which, found in windows.items()}
    goodput_rows = [
        _compared("default", "default", "square", default, single["default"]),
        _compared("best", "best", "diamond", best, single["best"]),
    ]
    parts = [
        figure(
            "On-time goodput",
            rows(
                f"On-time goodput: {'; '.join(f'{row.name} {row.says}' for row in goodput_rows)}.", goodput_rows, x_title=unit
            ),
            note=f"Mean and 95 % interval of {best.windows} windows each, measured in turns. Pale: the single windows.",
        )
    ]
    if _is_drawn(default.p99_ms) and _is_drawn(best.p99_ms):
        late = {which: tuple(w.p99_ms for w in found if _is_drawn(w.p99_ms)) for which, found in windows.items()}
        p99_rows = [
            Row(
                "default",
                default.p99_ms,
                says=f"{default.p99_ms:.4g} ms",
                single=late["default"],
                role="default",
                shape="square",
            ),
            Row("best", best.p99_ms, says=f"{best.p99_ms:.4g} ms", single=late["best"], role="best", shape="diamond"),
        ]
        slo = (slo_ms, f"SLO, {slo_ms:g} ms") if _is_drawn(slo_ms) else None
        says = f"p99 latency: default {p99_rows[0].says}, best {p99_rows[1].says}."
        draw = rows(says, p99_rows, x_title="p99 latency, ms (logarithmic)", is_log=True, reference=slo)
        parts.append(figure("p99 latency", draw, note="Median of the windows; pale: the single windows."))
    return join(parts)


def _compared(name: str, role: str, shape: str, figure: Measured, single: tuple[float, ...]) -> Row:
    unit = " %" if figure.in_percent else "/s"
    says = f"{whole(figure.on_time_per_s)}{unit} [{whole(figure.low)}, {whole(figure.high)}]"
    return Row(name, figure.on_time_per_s, figure.low, figure.high, says, role, single, shape)


def _is_drawn(value: float) -> bool:
    return math.isfinite(value) and value > 0


def _key_of(trial: TrialRow) -> Key:
    if trial.window is not None:
        return _KINDS.get(TrialKind(trial.kind), _KINDS[TrialKind.AGENT])
    return _UNKNOWN if trial.verdict == Verdict.INCONCLUSIVE else _FAILED


def _keys(trials: Sequence[TrialRow]) -> list[Key]:
    there = {_key_of(trial) for trial in trials}
    return [key for key in (*_KINDS.values(), _FAILED, _UNKNOWN) if key in there]


def _mark(plot: Plot, trials: Sequence[TrialRow]) -> None:
    for trial in trials:
        key = _key_of(trial)
        plot.marks([_point(trial)], key.role, key.shape)


def _point(trial: TrialRow) -> Point:
    window = trial.window
    if window is None:
        return Point(trial.number, 0.0, f"Trial {trial.number}, {trial.verdict}: {trial.reason}")
    unit = "/s" if window.live is None else " %"
    half = half_width(window)
    p99 = f", p99 {window.p99_ms:.3g} ms" if window.received and _is_drawn(window.p99_ms) else ""
    says = f"Trial {trial.number}, {trial.kind}: {whole(window.goodput)}{unit} ± {whole(half)}{p99}"
    return Point(trial.number, window.goodput, says, max(0.0, window.goodput - half), window.goodput + half)


def _late(trial: TrialRow, window: Window) -> Point:
    says = f"Trial {trial.number}: p99 {window.p99_ms:.3g} ms"
    if window.p99_low_ms is None or window.p99_high_ms is None:
        return Point(trial.number, window.p99_ms, says)
    says += f" [{window.p99_low_ms:.3g}, {window.p99_high_ms:.3g}]"
    return Point(trial.number, window.p99_ms, says, window.p99_low_ms, window.p99_high_ms)


def _shade(plot: Plot, parts: Sequence[Stretch]) -> None:
    if len(parts) > 1:
        for place, part in enumerate(parts):
            plot.stretch(part.first - 0.5, part.last + 0.5, part.profile, shaded=place % 2 == 1)
