"""A benchmark as one page for a browser, and as Markdown tables for a document."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

from brokertuner_tui.bench import charts, keep, tables
from brokertuner_tui.bench.day import DayFigures, days
from brokertuner_tui.bench.figures import CellFigures, summary
from brokertuner_tui.bench.keep import Results
from brokertuner_tui.bench.plan import OURS, Plan
from brokertuner_tui.bench.targets import Target, targets
from brokertuner_tui.html import page
from brokertuner_tui.html.markup import Markup, el
from brokertuner_tui.html.page import Cell, Section, num

_MANY = 8


def write(folder: Path, file: Path) -> None:
    """Writes the page of the benchmark in `folder` to `file`, whole or not at all; one that is there is replaced.

    Raises:
        UsageError: there is no benchmark, or it cannot be read; `file` is a folder.
        TunerError: `file` cannot be written.
    """
    from brokertuner_tui.store.export import write_out  # imports SQLAlchemy

    mask = os.umask(0o077)
    os.umask(mask)
    write_out(file.expanduser(), render(*keep.read(folder)), mode=0o666 & ~mask)


def render(plan: Plan, results: Results) -> str:
    """The page's whole text."""
    found = targets(plan, results)
    steady, changing = summary(plan, results), days(plan, results)
    facts = tables.facts(plan, results)
    again = facts.pop("command")
    head = [
        el("h1", "Ways to tune Mosquitto, compared"),
        el("p", f"Benchmark {plan.fingerprint}, {facts['date']}", class_="sub"),
        el("p", _verdict(plan, found, results), class_=f"verdict {_kind(plan, found)}".strip()),
        page.facts(facts),
    ]
    sections = [
        Section("targets", "Targets", [_table(tables.goals(found))]) if found else None,
        *(_steady(place, figures, plan, results) for place, figures in enumerate(steady)),
        *(_changing(place, figures) for place, figures in enumerate(changing)),
        Section("how", "How it was measured", [page.paragraphs(tables.how(plan)), page.to_copy("command", f"{again}\n")]),
    ]
    title = "Benchmark of ways to tune Mosquitto"
    return page.document(title, head, [section for section in sections if section is not None])


def write_markdown(folder: Path) -> str:
    """All tables of the benchmark in `folder`, with date, machine, versions and command.

    Raises:
        UsageError: there is no benchmark, or it cannot be read.
    """
    plan, results = keep.read(folder)
    facts = tables.facts(plan, results)
    again = facts.pop("command")
    parts = ["\n".join(f"- {name}: {_plain(text)}" for name, text in facts.items()), f"```sh\n{again}\n```"]
    if found := targets(plan, results):
        parts += ["## Targets", _markdown(tables.goals(found))]
    for figures in summary(plan, results):
        parts += [f"## {_plain(_title(figures))}", _markdown(tables.methods(figures))]
    for one in days(plan, results):
        parts += [f"## {_plain(_day_title(one))}", _markdown(tables.day(one)), *_constant(one)]
    return "\n\n".join([*parts, "## How it was measured", *tables.how(plan)]) + "\n"


def _steady(place: int, figures: CellFigures, plan: Plan, results: Results) -> Section:
    units = [
        unit
        for (cell, _), unit in results.units.items()
        if (cell.workload, cell.version) == (figures.workload, figures.version)
    ]
    workload = plan.workloads.get(figures.workload)
    slo_ms = workload.phases[0].profile.slo_ms if workload is not None else math.nan
    parts = [
        charts.final(figures),
        charts.latency(figures, slo_ms),
        charts.tuning(figures),
        charts.trajectories(figures, units),
        _table(tables.methods(figures)),
    ]
    return Section(f"steady-{place}", _title(figures), parts)


def _changing(place: int, figures: DayFigures) -> Section:
    about = [el("p", sentence, class_="note") for sentence in _constant(figures)]
    return Section(f"day-{place}", _day_title(figures), [charts.day(figures), _table(tables.day(figures)), *about])


def _constant(figures: DayFigures) -> list[str]:
    if not figures.constants:
        return []
    best = figures.constants[0]
    return [
        f"The best constant setting that any method found ({best.method}'s for {best.found_under}) comes to "
        f"{100 * best.mean_share:.0f} %, left alone for the whole day and measured in windows, so that it pays for nothing."
    ]


def _title(figures: CellFigures) -> str:
    return f"{figures.workload}, Mosquitto {figures.version}"


def _day_title(figures: DayFigures) -> str:
    return f"{figures.workload}, Mosquitto {figures.version}, seed {figures.seed}"


def _verdict(plan: Plan, found: Sequence[Target], results: Results) -> str:
    if not results.units:
        return "Nothing has run yet."
    begin = "On a model of recorded trials, which proves nothing about a broker: " if plan.surrogate else ""
    if not found:
        said = f"{OURS} has not been compared with a rival yet."
    else:
        met = sum(target.met for target in found)
        said = f"{OURS} meets {'all' if met == len(found) else f'{met} of'} {len(found)} targets."
    left = sum(not results.is_confirmed(cell) for cell in plan.cells())
    return begin + said + (f" {left} of {len(plan.cells())} cells are not finished." if left else "")


def _kind(plan: Plan, found: Sequence[Target]) -> str:
    return "good" if found and all(target.met for target in found) and not plan.surrogate else ""


def _table(made: tables.Table) -> Markup:
    columns: list[str | Cell] = [num(name) if place >= made.texts else name for place, name in enumerate(made.columns)]
    listed: list[tuple[str | None, list[str | Cell]]] = [
        ("ours" if row == made.ours else None, [num(text) if place >= made.texts else text for place, text in enumerate(cells)])
        for row, cells in enumerate(made.rows)
    ]
    return page.table(columns, listed, dense=len(made.columns) > _MANY)


def _markdown(made: tables.Table) -> str:
    rule = ["---" if place < made.texts else "--:" for place in range(len(made.columns))]
    bold = [
        [f"**{cell}**" if cell and row == made.ours else cell for cell in map(_plain, cells)]
        for row, cells in enumerate(made.rows)
    ]
    lines = [[_plain(name) for name in made.columns], rule, *bold]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _plain(text: str) -> str:
    """As it is to be read: no character of it means anything to Markdown."""
    one_line = "".join(character if character.isprintable() else " " for character in text)
    return "".join(f"\\{character}" if character in "\\`*_|<[" else character for character in one_line)
