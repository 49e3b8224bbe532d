"""A benchmark as tables."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from brokertuner_tui.bench.day import DayFigures, days
from brokertuner_tui.bench.figures import CellFigures, Median, MethodFigures, summary
from brokertuner_tui.bench.keep import Results
from brokertuner_tui.bench.plan import OURS, Plan
from brokertuner_tui.bench.targets import Target, targets
from brokertuner_tui.cli.tables import add_numbers, new_table
from brokertuner_tui.tuning.statistics import Interval


def tables(plan: Plan, results: Results, *, wide: bool) -> list[RenderableType]:
    """One for each workload and version, then what ours was meant to reach.

    Args:
        wide: there is room for 120 columns.
    """
    made: list[RenderableType] = []
    for figures in summary(plan, results):
        made += [_head(plan, figures), _cell_table(figures, wide=wide), Text()]
    for day in days(plan, results):
        made += [*_day(day), Text()]
    if found := targets(plan, results):
        made += [Text(f"What {OURS} is meant to reach"), _target_table(found)]
    if plan.surrogate:
        made.append(Text("On the surrogate: a model of recorded trials, not a broker."))
    return made or [Text("nothing has been measured yet")]


def _head(plan: Plan, figures: CellFigures) -> Text:
    seeds = max((one.seeds for one in figures.methods), default=0)
    known = "" if figures.best_per_s is None else f", best known {figures.best_per_s:,.0f}/s on time"
    return Text(f"{figures.workload}, Mosquitto {figures.version}: {seeds} x {plan.trials} trials{known}")


def _cell_table(figures: CellFigures, *, wide: bool) -> Table:
    table = new_table("Method")
    add_numbers(table, "On time/s", "95 % interval" if wide else "±", "p99 ms")
    if wide:
        add_numbers(table, "interval")
    add_numbers(table, "Tuning", "To 95 %", "s", "Restarts", "Failed", "Dead", "Think s")
    for one in figures.methods:
        cells = [_mean(one.final), _range(one.final) if wide else _half(one.final), _median(one.p99)]
        if wide:
            cells.append("" if one.p99 is None else f"{one.p99.low:.3g} to {one.p99.high:.3g}")
        table.add_row(one.method, *cells, *_tuning(one))
    return table


def _tuning(one: MethodFigures) -> list[str]:
    if not one.seeds:  # the default where only its confirmation was measured
        return [""] * 7
    return [
        _share(one.tuning_share),
        "never" if one.trials_to_near is None else f"{one.trials_to_near:g}",
        "" if one.seconds_to_near is None else f"{one.seconds_to_near:.0f}",
        f"{one.restarts:.3g}",
        f"{one.failed:.2g}",
        f"{one.dead:.2g}",
        f"{one.thinking_s:.2g}",
    ]


def _day(day: DayFigures) -> Iterator[RenderableType]:
    yield Text(
        f"{day.workload}, Mosquitto {day.version}, seed {day.seed}: on time in wall time, of the best known in each phase"
    )
    names = [phase.profile for phase in day.methods[0].phases] if day.methods else []
    table = new_table("Method")
    add_numbers(table, *names, "Mean", "Last round", "To constant", "Restarts", "Failed", "Trials")
    for one in day.methods:
        ratio = "" if one.to_constant is None else f"{one.to_constant:.3f}"
        counts = (str(one.restarts), str(one.failed), str(one.trials))
        shares = [_share(phase.share) for phase in one.phases]
        table.add_row(one.method, *shares, _share(one.mean_share), _share(one.last_round), ratio, *counts)
    for constant in day.constants[:1]:
        name = f"best constant ({constant.method}, {constant.found_under})"
        table.add_row(name, *(_share(share) for share in constant.shares), _share(constant.mean_share), "", "1", "", "", "")
    yield table


def _target_table(found: list[Target]) -> Table:
    table = new_table("")
    table.add_column("Target", ratio=3)
    table.add_column("Wanted", ratio=2)
    table.add_column("Found", ratio=3)
    for target in found:
        short = f"\n{'; '.join(target.short[:5])}" if target.short else ""
        table.add_row("met" if target.met else "short", target.name, target.wanted, f"{target.found}{short}")
    return table


def _mean(figure: Interval | None) -> str:
    return "" if figure is None else f"{figure.mean:,.0f}"


def _half(figure: Interval | None) -> str:
    return "" if figure is None else f"{(figure.high - figure.low) / 2:,.0f}"


def _range(figure: Interval | None) -> str:
    return "" if figure is None else f"{max(0.0, figure.low):,.0f} to {figure.high:,.0f}"


def _median(figure: Median | None) -> str:
    return "" if figure is None else f"{figure.median:.3g}"


def _share(share: float | None) -> str:
    return "" if share is None or not math.isfinite(share) else f"{share:.3f}"
