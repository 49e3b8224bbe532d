"""Runs a benchmark from what was typed to the tables."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

from brokertuner_tui.bench.beds import check_can_run
from brokertuner_tui.bench.document import document
from brokertuner_tui.bench.keep import RESULTS, Folder, read_plan, read_results
from brokertuner_tui.bench.methods import registry
from brokertuner_tui.bench.plan import Plan, machine_told
from brokertuner_tui.bench.run import Bench, jobs_left
from brokertuner_tui.cli import logs, output, settings
from brokertuner_tui.cli.bench_ask import Asked
from brokertuner_tui.cli.bench_progress import Display
from brokertuner_tui.cli.bench_table import tables
from brokertuner_tui.cli.signals import StopSignals
from brokertuner_tui.errors import ExitCode, UsageError


def run(asked: Asked, *, out: Path | None, html: Path | None, save_dir: Path | None, as_json: bool) -> int:
    """Does what is left of it, and prints what it came to; gives the exit code.

    Raises:
        UsageError: something that was typed is not possible; nothing was begun.
        TunerError: results cannot be kept, or there is no Mosquitto.
    """
    if html is not None and not html.absolute().parent.is_dir():
        raise UsageError(f"--html {html}: there is no folder {html.absolute().parent}")
    kept = read_plan(out) if out is not None else None
    plan = asked.plan(kept)
    if out is None or kept is None or jobs_left(_grown(kept, plan, out), read_results(out / RESULTS)[0]):
        if plan.machine and plan.machine != machine_told():
            raise UsageError(f"--out {out}: holds what {plan.machine} did; here is {machine_told()}; choose another folder")
        registry.check(plan.methods)
        check_can_run(plan)
    logs.start()
    folder_path = out if out is not None else _new_folder(asked, save_dir)
    with Folder(folder_path, plan) as folder, StopSignals() as signals:
        display = Display()
        bench = Bench(folder, on_progress=display.progress, stop=lambda: signals.received is not None)
        try:
            whole = bench.run()
        finally:
            display.end()
        for problem in bench.problems:
            output.complain(str(problem))
        if not whole:
            left = len(jobs_left(folder.plan, folder.results))
            output.say(f"stopped; {left} of {_total(folder)} steps are left: {_go_on(folder_path)} goes on")
            return signals.exit_code
        if as_json:
            output.put_json(document(folder.plan, folder.results, bench.problems))
        else:
            output.put_table(*tables(folder.plan, folder.results, wide=output.is_wide()))
        if html is not None:
            _write_page(folder_path, html)
    if out is None:
        output.say(f"kept in {folder_path}")
    return ExitCode.FAILED if bench.problems else ExitCode.DONE


def _grown(kept: Plan, plan: Plan, out: Path) -> Plan:
    try:
        return kept.grown(plan)
    except ValueError as error:
        raise UsageError(f"--out {out}: holds another benchmark: {error}; choose another folder") from None


def _new_folder(asked: Asked, save_dir: Path | None) -> Path:
    loaded = settings.load(config=asked.config, save_dir=save_dir)
    return settings.save_dir_of(loaded) / "bench" / time.strftime("%Y%m%d-%H%M%S")


def _total(folder: Folder) -> int:
    plan = folder.plan
    return sum(len(plan.order(cell)) + 1 for cell in plan.cells())


def _go_on(folder: Path) -> str:
    return f"`{output.PROGRAM} bench --out {shlex.quote(str(folder))}`"


def _write_page(folder: Path, html: Path) -> None:
    from brokertuner_tui.bench import page

    page.write(folder, html)
    output.say(f"page: {html}")
