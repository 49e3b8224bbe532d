"""`config show`: the settings in force, and where each comes from."""

from __future__ import annotations

import typer

from brokertuner_tui.cli import output, settings
from brokertuner_tui.cli.group import QuickCommand, QuickGroup
from brokertuner_tui.cli.options import ConfigFile, Json, Mosquitto, SaveDir, Seed, WorkloadFile

app = typer.Typer(cls=QuickGroup, no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Show the settings."""


@app.command(cls=QuickCommand)
def show(
    save_dir: SaveDir = None,
    mosquitto: Mosquitto = None,
    workload_file: WorkloadFile = None,
    config: ConfigFile = None,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Show every setting in force, and where it comes from."""
    from brokertuner_tui.cli import config_table

    loaded = settings.load(config=config, save_dir=save_dir, mosquitto=mosquitto, workload_file=workload_file, seed=seed)
    if json:
        output.put_json(config_table.as_data(loaded))
    else:
        output.put_table(config_table.as_table(loaded))
