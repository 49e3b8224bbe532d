"""`paths`: where everything lies."""

from __future__ import annotations

from brokertuner_tui.cli import output, settings
from brokertuner_tui.cli.options import ConfigFile, Json, Mosquitto, SaveDir, WorkloadFile


def paths(
    save_dir: SaveDir = None,
    mosquitto: Mosquitto = None,
    workload_file: WorkloadFile = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """List every file and folder in use."""
    from brokertuner_tui.cli import paths_table

    loaded = settings.load(config=config, save_dir=save_dir, mosquitto=mosquitto, workload_file=workload_file)
    if json:
        output.put_json(paths_table.as_data(loaded))
    else:
        output.put_table(paths_table.as_table(loaded))
