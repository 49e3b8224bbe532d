"""Runs as tables and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from brokertuner_tui import insight
from brokertuner_tui.cli import measuring, output
from brokertuner_tui.cli.comparison import comparison_table, knobs_table
from brokertuner_tui.cli.learned import learned_view
from brokertuner_tui.cli.output import one_line
from brokertuner_tui.cli.runs_read import WholeRun
from brokertuner_tui.cli.tables import add_numbers, new_table
from brokertuner_tui.errors import UsageError
from brokertuner_tui.knobs.catalogue import defaults
from brokertuner_tui.knobs.conf import conf_value
from brokertuner_tui.store.export import run_data, winner
from brokertuner_tui.store.plain import finite, iso_time
from brokertuner_tui.store.rows import RunRow, TrialRow
from brokertuner_tui.tuning.events import Measured


def list_entry(row: RunRow) -> dict[str, Any]:
    """A run in `runs list --json`."""
    info = row.info
    return {
        "run": row.id,
        "state": row.state,
        "reason": row.reason,
        "trials": row.trials,
        "workload": info.workload,
        "preset": info.preset,
        "mode": mode_of(row),
        "resumed": row.resumed,
        "seed": info.seed,
        "started": iso_time(info.started_at),
        "ended": None if row.ended_at is None else iso_time(row.ended_at),
        "seconds": row.seconds,
        "mosquitto": ".".join(map(str, info.mosquitto_version)),
        "default": finite(row.default),
        "best": finite(row.best),
        "better": row.better,
        "conf": row.conf_path,
    }


def list_table(rows: list[RunRow]) -> Table:
    """A row a run."""
    is_wide = output.is_wide()
    table = new_table("Run", *(["Started"] if is_wide else []), "State", "Mode", "Workload", "Preset")
    add_numbers(table, "Trials", "Default", "Best")
    for row in rows:
        started = [local(row.info.started_at)] if is_wide else []
        unsure = "" if row.better in (None, True) else " ?"
        workload = one_line(row.info.workload)
        figures = (str(row.trials), _rate(row.default), _rate(row.best) + unsure)
        again = f" (resumed {row.resumed}×)" if row.resumed and is_wide else ""
        table.add_row(row.id, *started, f"{row.state}{again}", mode_of(row), workload, row.info.preset, *figures)
    return table


def mode_of(row: RunRow) -> str:
    """Who applied, in a word."""
    tuning = row.info.config.get("tuning", {})
    return "read-only" if isinstance(tuning, dict) and tuning.get("read_only") else row.info.mode


def show_data(run: WholeRun, trials: int) -> dict[str, Any]:
    """`runs show --json`: the run, with its last trials."""
    data = run_data(run.row, run.trials[len(run.trials) - min(trials, len(run.trials)) :], run.confirmations)
    return data | {"insight": finite(insight.to_json(run.learned))}


def show_view(run: WholeRun, trials: int) -> Group:
    """Summary, default against best, the knobs, what was learned, the last trials."""
    row, parts = run.row, list[RenderableType]()
    parts.append(_summary(row, run.trials))
    if row.default is not None and row.best is not None:
        parts.append(comparison_table(row.default, row.best))
        if row.better is False:
            parts.append(Text("The difference is within the uncertainty of the measurement.\n"))
    try:
        knobs, trial = winner(row, run.trials)
        title = f"best, trial {trial}" if trial is not None else "best"
        parts.append(knobs_table(knobs, defaults(row.info.mosquitto_version), title=title, pinned=row.info.pinned))
    except UsageError:
        parts.append(Text("No trial ended well.\n"))
    parts += learned_view(run.learned)
    if trials and run.trials:
        parts.append(_trials(run.trials[-trials:]))
    return Group(*parts)


def _summary(row: RunRow, trials: Sequence[TrialRow]) -> Table:
    info = row.info
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    took = "" if row.seconds is None else f", {row.seconds:,.0f} s"
    facts = {
        "run": row.id,
        "state": f"{row.state}: {row.reason}" if row.reason else row.state,
        "started": f"{local(info.started_at)}{took}",
        "mode": mode_of(row),
        "workload": f"{info.workload}, preset {info.preset}, seed {info.seed}",
        "broker": f"{info.broker_kind}, Mosquitto {'.'.join(map(str, info.mosquitto_version))} at {info.mosquitto_path}",
        "trials": f"{row.trials}, of which {row.ok_trials} ended well",
        "restarts": f"broker {row.broker_restarts}, load {row.workload_restarts}",
    }
    facts |= measuring.facts(trials)
    if row.resumed:
        facts["resumed"] = "once" if row.resumed == 1 else f"{row.resumed} times"
    if row.left is not None:
        facts["left in force"] = row.left
    if row.conf_path is not None:
        facts["config file"] = row.conf_path
    for name, text in facts.items():
        table.add_row(name, one_line(text))
    return table


def _trials(trials: list[TrialRow]) -> Table:
    is_wide = output.is_wide()
    table = new_table("Trial", "Kind", "Verdict")
    table.caption, table.caption_justify = "* the best until then; ± two standard errors", "left"
    add_numbers(table, "On time/s", *(["Delivered/s"] if is_wide else []), "p99 ms", "Reward")
    if is_wide:
        table.add_column("Applied", no_wrap=True)
    table.add_column("Changed, or went wrong", overflow="fold")
    for trial in trials:
        window, applied = trial.window, trial.applied
        on_time, delivered, p99 = ("", "", "")
        if window is not None:
            on_time, delivered = f"{window.on_time_per_s:,.0f}", f"{window.received_per_s:,.0f}"
            on_time += f" ±{2 * window.on_time_stderr:,.0f}" if window.on_time_stderr > 0 else ""
            p99 = _ms(window.p99_ms) if window.received else ""
            if is_wide and window.p99_low_ms is not None and window.p99_high_ms is not None:
                p99 += f" ({_ms(window.p99_low_ms)} to {_ms(window.p99_high_ms)})"
        changes = ", ".join(f"{name}={conf_value(trial.knobs[name])}" for name in trial.changed if name in trial.knobs)
        table.add_row(
            f"{trial.number}{' *' if trial.number == trial.best_trial else ''}",
            trial.kind,
            trial.verdict,
            on_time,
            *([delivered] if is_wide else []),
            p99,
            "" if trial.reward is None else f"{trial.reward:.3f}",
            *([("" if applied is None else f"{applied.how}, {1000 * applied.total_s:.0f} ms")] if is_wide else []),
            one_line(measuring.what_was_done(trial, changes)),
        )
    return table


def _ms(ms: float) -> str:
    return f"{ms:,.0f}" if ms >= 99.5 else f"{ms:.3g}"


def local(at: float) -> str:
    """A time for people: their own clock."""
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")


def _rate(figure: Measured | None) -> str:
    return "" if figure is None else f"{figure.on_time_per_s:,.0f}/s"
