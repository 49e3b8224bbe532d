"""A benchmark's figures as rows of text, for a page and for Markdown alike."""

from __future__ import annotations

import shlex
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from brokertuner_tui.bench.day import DayFigures
from brokertuner_tui.bench.figures import CellFigures, MethodFigures
from brokertuner_tui.bench.keep import Results
from brokertuner_tui.bench.plan import OURS, Plan, version_of
from brokertuner_tui.bench.results import Confirmation, Unit
from brokertuner_tui.bench.targets import Target
from brokertuner_tui.html.scale import whole


@dataclass(frozen=True, slots=True)
class Table:
    """Columns, and rows of as many cells; all but the first `texts` columns are numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1
    ours: int | None = None
    """Which row is our method's."""


def methods(figures: CellFigures) -> Table:
    """Every method of a workload and version: how it ends, what it costs."""
    columns = ("method", "on time/s", "95 %", "p99 ms", "95 %", "while tuning", "trials to 95 %", "s to 95 %", "restarts")
    rows = tuple((one.method, *_final(one), *_cost(one)) for one in figures.methods)
    return Table((*columns, "failed", "dead", "thinking, s"), rows, ours=_place([one.method for one in figures.methods]))


def day(figures: DayFigures) -> Table:
    """Every method of a load that changes: its share of the best known in each phase."""
    phases = [phase.profile for phase in figures.methods[0].phases] if figures.methods else []
    rows = tuple(
        (
            one.method,
            *(_share(phase.share) for phase in one.phases),
            _share(one.mean_share),
            _share(one.last_round),
            "" if one.to_constant is None else f"{one.to_constant:.3f}",
            str(one.restarts),
            str(one.failed),
            str(one.trials),
        )
        for one in figures.methods
    )
    columns = ("method", *phases, "mean", "last round", "to best constant", "restarts", "failed", "trials")
    return Table(columns, rows, ours=_place([one.method for one in figures.methods]))


def goals(found: Sequence[Target]) -> Table:
    """What our method is meant to reach."""
    rows = tuple(
        ("met" if target.met else "short", target.name, target.wanted, target.found, "; ".join(target.short[:5]))
        for target in found
    )
    return Table(("", "target", "wanted", "found", "where it is short"), rows, texts=5)


def facts(plan: Plan, results: Results) -> dict[str, str]:
    """What was run, on what, when, and how it is run again."""
    started = [unit.started_at for unit in results.units.values()]
    spent = sum(unit.seconds for unit in results.units.values())
    days = sorted({time.strftime("%Y-%m-%d", time.localtime(at)) for at in started})
    found = {
        "date": " to ".join(dict.fromkeys((days[0], days[-1]))) if days else "nothing has run yet",
        "machine": "a model of recorded trials: no broker was run" if plan.surrogate else plan.machine,
        "the machine's host": _stolen(results),
        "Mosquitto": ", ".join(sorted({cell.version for cell in plan.cells()}, key=version_of)),
        "workloads": ", ".join(sorted(plan.workloads)),
        "methods": ", ".join(plan.methods),
        "each": f"{plan.trials} trials of {plan.step_interval_s:g} s, {plan.seeds} seed{'s' * (plan.seeds != 1)}, "
        f"confirmed in {plan.windows} windows, in turns with all others",
        "took": f"{spent / 3600:.1f} h of trials in {len(results.units)} of {_expected(plan)} units",
        "command": command(plan),
    }
    return {name: text for name, text in found.items() if text}


def _stolen(results: Results) -> str:
    """How much the host kept for others; empty where nothing is known."""
    records: list[Unit | Confirmation] = [*results.units.values(), *results.confirmations.values()]
    known = sorted(((record.stolen, record.cell) for record in records if record.stolen is not None), key=lambda one: one[0])
    if not known:
        return ""
    most, cell = known[-1]
    where = f"{cell.workload}, {cell.version}, seed {cell.seed}"
    half = statistics.median(share for share, _ in known)
    least = "" if len(known) == len(records) else f", of {len(known)} of {len(records)} units and confirmations"
    return f"kept {100 * half:.1f} % of the CPU time for others (median; most: {100 * most:.1f} %, {where}){least}"


def command(plan: Plan) -> str:
    """The command line that asks for this; the programs' paths, which are this machine's own, by their versions."""
    words = ["brokertuner-tui", "bench"]
    for name in sorted(plan.workloads):
        words += ["--workload", name]
    words += ["--methods", ",".join(plan.methods), "--trials", str(plan.trials), "--seeds", str(plan.seeds)]
    if any(len(workload.phases) > 1 for workload in plan.workloads.values()):
        words += ["--rounds", str(plan.rounds)]
    words += ["--step-interval", f"{plan.step_interval_s:g}", "--confirm-windows", str(plan.windows)]
    if plan.surrogate:
        words.append("--surrogate")
    for version in () if plan.surrogate else sorted(plan.versions, key=version_of):
        words += ["--mosquitto", f"mosquitto-{version}"]
    return shlex.join(words)


def how(plan: Plan) -> list[str]:
    """What the figures mean, a sentence or two each."""
    said = [
        "On-time goodput is deliveries a second that reached a subscriber within the workload's SLO, each counted once, by "
        "sequence number at the receiving end. All methods have the same broker, load, space of eleven knobs, warm-up, reward "
        "and number of trials; trial 1 is the default. They run one after the other in an order that changes with the seed.",
        f"Then the setting that each method would leave in force is measured in {plan.windows} windows, in turns with those of "
        "all others. Methods with the same setting have each other's windows, too. Intervals hold 95 % (Student's t; of a "
        "median: the binomial one). The best known is the highest confirmed mean of any method in a cell.",
        "While tuning: mean over all trials, failed ones as 0, as a share of the best known. Trials and seconds to 95 %: until "
        "one trial was within 5 % of the best known, the median over the seeds. Dead: trials that bring less than 1 % of it.",
    ]
    if plan.surrogate:
        said.insert(0, "These figures come from a model of recorded trials. They prove nothing about a broker.")
    return said


def _expected(plan: Plan) -> int:
    return sum(len(plan.order(cell)) for cell in plan.cells())


def _place(names: Sequence[str]) -> int | None:
    return names.index(OURS) if OURS in names else None


def _final(one: MethodFigures) -> tuple[str, str, str, str]:
    goodput, p99 = one.final, one.p99
    return (
        "" if goodput is None else whole(goodput.mean),
        "" if goodput is None else f"{whole(max(0.0, goodput.low))} to {whole(goodput.high)}",
        "" if p99 is None else f"{p99.median:.3g}",
        "" if p99 is None else f"{p99.low:.3g} to {p99.high:.3g}",
    )


def _cost(one: MethodFigures) -> tuple[str, ...]:
    if not one.seeds:  # the default, where only its confirmation was measured
        return ("",) * 7
    return (
        _share(one.tuning_share),
        "never" if one.trials_to_near is None else f"{one.trials_to_near:g}",
        "" if one.seconds_to_near is None else f"{one.seconds_to_near:.0f}",
        f"{one.restarts:.3g}",
        f"{one.failed:.2g}",
        f"{one.dead:.2g}",
        f"{one.thinking_s:.2g}" if one.thinking_s >= 0.001 else "0",
    )


def _share(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"
