"""`launch`: the terminal app."""

from __future__ import annotations

import gc
import sys

import typer

from brokertuner_tui.cli import output
from brokertuner_tui.cli.options import (
    Broker,
    ConfigFile,
    Device,
    Mosquitto,
    Pins,
    Preset,
    SaveDir,
    Seed,
    WorkloadFile,
    WorkloadName,
)
from brokertuner_tui.errors import UsageError


def launch(
    workload: WorkloadName = None,
    workload_file: WorkloadFile = None,
    preset: Preset = None,
    pin: Pins = None,
    save_dir: SaveDir = None,
    broker: Broker = None,
    mosquitto: Mosquitto = None,
    config: ConfigFile = None,
    seed: Seed = None,
    device: Device = None,
) -> None:
    """Open the terminal app.

    Watch the tuning, pause it, pin knobs, set values by hand.
    """
    if not (output.is_terminal(sys.stdin) and output.is_terminal(sys.stderr)):  # the screen is drawn on stderr
        raise UsageError("launch needs a terminal; without one, use `brokertuner-tui train`")
    # Until the first frame nothing that is imported is garbage; looking for some costs a tenth of the start. The app ends it.
    gc.disable()
    from brokertuner_tui.cli import settings
    from brokertuner_tui.config.workloads import get_workload

    loaded = settings.load(
        config=config,
        save_dir=save_dir,
        mosquitto=mosquitto,
        workload_file=workload_file,
        seed=seed,
        broker=broker,
        more={"load.workload": workload, "tuning.preset": preset, "tuning.pin": pin, "agent.device": device},
    )
    chosen = get_workload(loaded, loaded.settings.load.workload)
    from brokertuner_tui.tui.app import run_app

    raise typer.Exit(run_app(loaded, chosen, settings.save_dir_of(loaded)))
