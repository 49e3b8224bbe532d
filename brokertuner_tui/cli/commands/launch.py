"""`launch`: the terminal app."""

from __future__ import annotations

import gc
import sys
from typing import Annotated

import typer

from brokertuner_tui.cli import output
from brokertuner_tui.cli.options import (
    Broker,
    ConfigFile,
    Device,
    Exploration,
    Mode,
    Mosquitto,
    Pins,
    Preset,
    ReadOnly,
    RestartsPerHour,
    Safety,
    SaveDir,
    Seed,
    WarmStart,
    WorkloadFile,
    WorkloadName,
)
from brokertuner_tui.errors import UsageError


def launch(
    workload: WorkloadName = None,
    workload_file: WorkloadFile = None,
    preset: Preset = None,
    pin: Pins = None,
    mode: Mode = None,
    read_only: ReadOnly = None,
    exploration: Exploration = None,
    warm_start: WarmStart = None,
    safety: Safety = None,
    restarts_per_hour: RestartsPerHour = None,
    save_dir: SaveDir = None,
    broker: Broker = None,
    mosquitto: Mosquitto = None,
    config: ConfigFile = None,
    seed: Seed = None,
    device: Device = None,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="RUN", help="Go on with a run (id or `last`), with its settings and load.")
    ] = None,
) -> None:
    """Open the terminal app.

    Watch the tuning, pause it, pin knobs, set values by hand.
    """
    if not (output.is_terminal(sys.stdin) and output.is_terminal(sys.stderr)):  # the screen is drawn on stderr
        raise UsageError("launch needs a terminal; without one, use `brokertuner-tui train`")
    # Until the first frame nothing that is imported is garbage; looking for some costs a tenth of the start. The app ends it.
    gc.disable()
    from brokertuner_tui.cli import settings

    more: dict[str, object] = {
        "load.workload": workload,
        "tuning.preset": preset,
        "tuning.pin": pin,
        "tuning.mode": mode,
        "tuning.read_only": read_only,
        "tuning.exploration": exploration,
        "tuning.warm_start": warm_start,
        "tuning.safety": safety,
        "tuning.restarts_per_hour": restarts_per_hour,
        "agent.device": device,
    }
    if resume is not None:
        from brokertuner_tui.cli.runs_resume import resumed

        its_own = {
            "--workload": workload,
            "--workload-file": workload_file,
            "--preset": preset,
            "--seed": seed,
            "--broker": broker,
        }
        if typed := [name for name, value in its_own.items() if value is not None]:
            raise UsageError(f"{typed[0]}: a run that is resumed has its own")
        loaded, chosen, resume = resumed(resume, save_dir=save_dir, config=config, more=more, mosquitto=mosquitto)
    else:
        from brokertuner_tui.config.workloads import get_workload

        loaded = settings.load(
            config=config,
            save_dir=save_dir,
            mosquitto=mosquitto,
            workload_file=workload_file,
            seed=seed,
            broker=broker,
            more=more,
        )
        chosen = get_workload(loaded, loaded.settings.load.workload)
    from brokertuner_tui.tui.app import run_app

    raise typer.Exit(run_app(loaded, chosen, settings.save_dir_of(loaded), resume=resume))
