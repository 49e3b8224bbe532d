"""A benchmark's charts: how methods end, what they cost on the way, and how they get there."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from brokertuner_tui.bench.day import DayFigures
from brokertuner_tui.bench.figures import CellFigures, MethodFigures
from brokertuner_tui.bench.plan import DEFAULT, OURS
from brokertuner_tui.bench.results import Unit
from brokertuner_tui.html.chart import Key, Plot, figure, figure_of_many, small_figure
from brokertuner_tui.html.markup import Markup
from brokertuner_tui.html.rows import Row, rows
from brokertuner_tui.html.scale import counting, linear, short, whole

_SMALL = 280
_ROLES = {OURS: "best", DEFAULT: "default"}
_SHAPES = {OURS: "diamond", DEFAULT: "square"}


def final(figures: CellFigures) -> Markup | None:
    """Confirmed on-time goodput of every method's best setting, the highest first; None before any is confirmed."""
    known = [(one, one.final) for one in figures.methods if one.final is not None]
    known.sort(key=lambda pair: -pair[1].mean)
    given = [
        Row(
            one.method,
            goodput.mean,
            max(0.0, goodput.low),
            goodput.high,
            says=f"{whole(goodput.mean)}/s [{whole(max(0.0, goodput.low))}, {whole(goodput.high)}]",
            role=_role(one.method),
            shape=_shape(one.method),
        )
        for one, goodput in known
    ]
    if not given:
        return None
    best = (figures.best_per_s, "best known") if figures.best_per_s is not None else None
    says = f"Confirmed on-time goodput under {figures.workload}: {'; '.join(f'{row.name} {row.says}' for row in given)}."
    draw = rows(says, given, x_title="deliveries a second, on time", reference=best)
    return figure(
        "Where they end: confirmed on-time goodput", draw, note="Mean over all confirming windows, and its 95 % interval."
    )


def latency(figures: CellFigures, slo_ms: float) -> Markup | None:
    """p99 in the confirming windows beside the SLO (NaN: not known); None where nothing came."""
    known = [(one, one.p99) for one in figures.methods if one.p99 is not None and one.p99.median > 0]
    known.sort(key=lambda pair: pair[1].median)
    given = [
        Row(
            one.method,
            p99.median,
            max(p99.low, 1e-3),
            p99.high,
            says=f"{p99.median:.3g} ms [{p99.low:.3g}, {p99.high:.3g}]",
            role=_role(one.method),
            shape=_shape(one.method),
        )
        for one, p99 in known
    ]
    if not given:
        return None
    says = f"p99 latency under {figures.workload}: {'; '.join(f'{row.name} {row.says}' for row in given)}."
    slo = (slo_ms, f"SLO, {slo_ms:g} ms") if math.isfinite(slo_ms) else None
    draw = rows(says, given, x_title="p99 latency, ms (logarithmic)", is_log=True, reference=slo)
    return figure("p99 of the same windows", draw, note="Median over the windows, and its 95 % interval.")


def tuning(figures: CellFigures) -> Markup | None:
    """Mean on-time goodput over all trials, of the best known; None before that is known."""
    known = [(one, one.tuning_share) for one in figures.methods if one.tuning_share is not None]
    known.sort(key=lambda pair: -pair[1])
    if not known:
        return None
    given = [
        Row(one.method, 100 * share, says=_tuning_words(one, share), role=_role(one.method), bar=True) for one, share in known
    ]
    says = f"On-time goodput while tuning under {figures.workload}: {'; '.join(f'{row.name} {row.says}' for row in given)}."
    draw = rows(says, given, x_title="mean over all trials, % of the best known", at_least=100.0)
    return figure("What they cost on the way: on-time goodput while tuning", draw)


def trajectories(figures: CellFigures, units: Sequence[Unit]) -> Markup | None:
    """Goodput trial by trial, a small chart for each method: the median over the seeds, and their range."""
    by_method = {one.method: [unit for unit in units if unit.method == one.method] for one in figures.methods}
    drawn = {method: found for method, found in by_method.items() if found}
    if not drawn:
        return None
    highest = [trial.on_time_per_s for found in drawn.values() for unit in found for trial in unit.trials]
    highest.append(figures.best_per_s or 0.0)
    charts = [small_figure(method, _trajectory(method, found, highest, figures.best_per_s)) for method, found in drawn.items()]
    keys = [Key("median over the seeds", "plain", "line"), Key("from the lowest to the highest", "plain", "band")]
    keys.append(Key("best known", "reference", "dashes"))
    return figure_of_many("How they get there: on-time goodput, trial by trial", charts, keys=keys)


def day(figures: DayFigures) -> Markup | None:
    """The mean share of each method over the phases, and the best constant setting as the mark to beat."""
    known = [(one, one.mean_share) for one in figures.methods if one.mean_share is not None]
    known.sort(key=lambda pair: -pair[1])
    if not known:
        return None
    given = [
        Row(one.method, 100 * share, says=f"{100 * share:.0f} %", role=_role(one.method), bar=True) for one, share in known
    ]
    best = figures.constants[0] if figures.constants else None
    mark = (100 * best.mean_share, "best constant") if best is not None else None
    says = f"Mean over the phases of {figures.workload}: {'; '.join(f'{row.name} {row.says}' for row in given)}."
    draw = rows(says, given, x_title="mean over the phases, % of each one's best known", reference=mark, at_least=100.0)
    return figure("On-time goodput in wall time", draw, note="Restarts, settling and bad trials are paid for.")


def _tuning_words(one: MethodFigures, share: float) -> str:
    return f"{100 * share:.0f} %, {one.dead:.2g} dead of {one.trials:g}"


def _trajectory(method: str, units: Sequence[Unit], highest: Sequence[float], best: float | None) -> Markup:
    by_number: dict[int, list[float]] = {}
    for unit in units:
        for trial in unit.trials:
            by_number.setdefault(trial.number, []).append(trial.on_time_per_s)
    numbers = sorted(by_number)
    medians = [(float(number), statistics.median(by_number[number])) for number in numbers]
    first, last = (short(medians[place][1]) for place in (0, -1))
    says = f"On-time goodput of {method} over {len(numbers)} trials: from {first} to {last} a second."
    x, y = counting(numbers[0], numbers[-1], ticks=4), linear(highest, ticks=4)
    plot = Plot(says, x, y, width=_SMALL, height=170, x_title="trial", y_title="on time/s")
    if len(units) > 1:
        plot.band([(number, min(by_number[number]), max(by_number[number])) for number in numbers], _role(method))
    if best is not None:
        plot.level(best, "reference")
    plot.line(medians, _role(method))
    return plot.svg()


def _role(method: str) -> str:
    return _ROLES.get(method, "low")


def _shape(method: str) -> str:
    return _SHAPES.get(method, "circle")
