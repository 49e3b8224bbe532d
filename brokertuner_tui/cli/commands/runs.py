"""`runs list|show|export`: what was tuned before."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from brokertuner_tui.cli import output
from brokertuner_tui.cli.group import QuickCommand, QuickGroup
from brokertuner_tui.cli.options import ConfigFile, Json, SaveDir
from brokertuner_tui.errors import UsageError

app = typer.Typer(cls=QuickGroup, no_args_is_help=True)

RunKey = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, the beginning of one, or `last`.", show_default=False)]


@app.callback()
def _group() -> None:
    """List, show and export what was tuned before."""


@app.command("list", cls=QuickCommand)
def list_runs(save_dir: SaveDir = None, config: ConfigFile = None, json: Json = False) -> None:
    """List all runs, the newest first."""
    from brokertuner_tui.cli import runs_read, runs_table

    rows = runs_read.all_runs(save_dir, config)
    if json:
        output.put_json([runs_table.list_entry(row) for row in rows])
    elif rows:
        output.put_table(runs_table.list_table(rows))
    else:
        output.say(f"no runs in {runs_read.where(save_dir, config)} yet; `brokertuner-tui train` makes one")


@app.command(cls=QuickCommand)
def show(
    run: RunKey,
    trials: Annotated[int, typer.Option("--trials", metavar="N", min=0, help="How many of the last trials to show.")] = 10,
    save_dir: SaveDir = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Show a run: what it found, how sure that is, its last trials."""
    from brokertuner_tui.cli import runs_read, runs_table

    found = runs_read.whole_run(run, save_dir, config)
    if json:
        output.put_json(runs_table.show_data(found, trials))
    else:
        output.put_table(runs_table.show_view(found, trials))


@app.command(cls=QuickCommand)
def export(
    run: RunKey,
    conf: Annotated[
        Path | None, typer.Option("--conf", metavar="FILE", help="The winning broker_tuner.conf (- is stdout, here and below).")
    ] = None,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="All trials, one line each.")] = None,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Everything there is of the run.")] = None,
    save_dir: SaveDir = None,
    config: ConfigFile = None,
) -> None:
    """Write what a run found into files, each whole or not at all."""
    wanted = {"conf": conf, "csv": csv, "json": json}
    if not any(wanted.values()):
        raise UsageError("nothing to export: give --conf FILE, --csv FILE or --json FILE (- is stdout)")
    if sum(str(path) == "-" for path in wanted.values()) > 1:
        raise UsageError("only one of --conf, --csv and --json can go to stdout")
    from brokertuner_tui.cli import runs_export, runs_read

    runs_export.export(runs_read.whole_run(run, save_dir, config), wanted)
