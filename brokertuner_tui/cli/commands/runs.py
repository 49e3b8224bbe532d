"""`runs`: what was tuned before, and what becomes of runs that were interrupted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from brokertuner_tui.cli import output
from brokertuner_tui.cli.group import QuickCommand, QuickGroup
from brokertuner_tui.cli.options import ConfigFile, Json, Mosquitto, SaveDir
from brokertuner_tui.errors import ExitCode, UsageError

app = typer.Typer(cls=QuickGroup, no_args_is_help=True)

RunKey = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, the beginning of one, or `last`.", show_default=False)]


@app.callback()
def _group() -> None:
    """List, show, export, resume, cancel or prune runs."""


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
    simplest: Annotated[
        Path | None,
        typer.Option("--simplest", metavar="FILE", help="The same without the knobs that showed no worth, if it does as well."),
    ] = None,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="All trials, one line each.")] = None,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Everything there is of the run.")] = None,
    save_dir: SaveDir = None,
    config: ConfigFile = None,
) -> None:
    """Write what a run found into files, each whole or not at all."""
    wanted = {"conf": conf, "simplest": simplest, "csv": csv, "json": json}
    if not any(wanted.values()):
        raise UsageError("nothing to export: give --conf FILE, --simplest FILE, --csv FILE or --json FILE (- is stdout)")
    if sum(str(path) == "-" for path in wanted.values()) > 1:
        raise UsageError("only one of --conf, --simplest, --csv and --json can go to stdout")
    from brokertuner_tui.cli import runs_export, runs_read

    runs_export.export(runs_read.whole_run(run, save_dir, config), wanted)


@app.command(cls=QuickCommand)
def recover(save_dir: SaveDir = None, config: ConfigFile = None, json: Json = False) -> None:
    """Release what killed tuners have left: end their processes, undo unconfirmed changes, mark their runs as interrupted.

    Every session does the same for its own store when it starts. Nothing is run again.
    """
    from brokertuner_tui.cli import runs_recover

    done = runs_recover.recover(save_dir, config)
    if json:
        output.put_json(done.as_dict())
        return
    for run, reason in done.interrupted:
        output.put(f"run {run} was interrupted: {reason}\n")
    for what in done.ended:
        output.put(f"{what} was ended\n")
    if done.broker:
        output.put(f"{done.broker}\n")
    if done == runs_recover.Recovered():
        output.say("nothing was left behind")
    for run, _ in done.interrupted:
        output.say(f"`{output.PROGRAM} runs resume {run}` goes on with it")


@app.command(cls=QuickCommand)
def resume(
    run: RunKey,
    total_timesteps: Annotated[
        int | None, typer.Option("--total-timesteps", metavar="N", help="Go on until there are N trials (default: as it was).")
    ] = None,
    max_seconds: Annotated[
        float | None, typer.Option("--max-seconds", metavar="S", help="End in time, counted from now.")
    ] = None,
    save_dir: SaveDir = None,
    mosquitto: Mosquitto = None,
    config: ConfigFile = None,
    json: Json = False,
    telemetry: Annotated[bool, typer.Option("--telemetry", help="With --json: also samples and phases.")] = False,
) -> None:
    """Go on with a run that was interrupted, cancelled or has failed, exactly where its last trial ended, without a screen.

    Settings and load are the run's own; the output is that of `train`.
    """
    if telemetry and not json:
        raise UsageError("--telemetry is for --json")
    from brokertuner_tui.cli import settings
    from brokertuner_tui.cli.runs_resume import resumed
    from brokertuner_tui.cli.tune import tune

    more = {"tuning.total_timesteps": total_timesteps, "tuning.max_seconds": max_seconds}
    loaded, workload, found = resumed(run, save_dir=save_dir, config=config, more=more, mosquitto=mosquitto)
    where = settings.save_dir_of(loaded)
    raise typer.Exit(tune(loaded, workload, where, json=json, telemetry=telemetry, resume=found))


@app.command(cls=QuickCommand)
def cancel(run: RunKey, save_dir: SaveDir = None, config: ConfigFile = None, json: Json = False) -> None:
    """End a run for good: ask the process that is at it, or give up one that was interrupted."""
    from brokertuner_tui.cli import runs_recover

    found, what = runs_recover.cancel(run, save_dir, config)
    if json:
        output.put_json({"run": found, "did": what})
    else:
        output.put(f"run {found}: {what}\n")


@app.command(cls=QuickCommand)
def prune(
    older_than: Annotated[
        str,
        typer.Option(
            "--older-than", metavar="AGE", help="How long ago a run must have ended: 48h, 30m, 7d.", show_default=False
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    save_dir: SaveDir = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Remove runs that ended long ago: their records, trials, folders and checkpoints."""
    from brokertuner_tui.cli import runs_recover, runs_table

    doomed = runs_recover.to_prune(runs_recover.seconds_of(older_than), save_dir, config)
    if doomed and not json:
        output.put_table(runs_table.list_table([one.row for one in doomed]))
    size = f"{len(doomed)} run{'s' * (len(doomed) != 1)}, {sum(one.bytes for one in doomed) / 2**20:.1f} MiB"
    if doomed and not yes:
        if not (output.is_terminal(sys.stdin) and output.is_terminal(sys.stderr)):
            raise UsageError(f"{size} would be removed: --yes says so, since nobody can be asked here")
        if not typer.confirm(f"Remove {size}?", err=True):
            output.say("nothing was removed")
            raise typer.Exit(ExitCode.FAILED)
    if doomed:
        runs_recover.prune(doomed, save_dir, config)
    if json:
        output.put_json({"removed": [one.row.id for one in doomed], "bytes": sum(one.bytes for one in doomed)})
    else:
        output.say(f"{size} removed" if doomed else f"no run ended more than {older_than} ago")
