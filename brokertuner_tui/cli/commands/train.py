"""`train`: tune without a screen."""

from __future__ import annotations

from typing import Annotated

import typer

from brokertuner_tui.cli.options import (
    Broker,
    ConfigFile,
    Device,
    Exploration,
    Json,
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


def train(
    total_timesteps: Annotated[
        int | None, typer.Option("--total-timesteps", metavar="N", help="Trials (default: 60, or what the config says).")
    ] = None,
    max_seconds: Annotated[
        float | None, typer.Option("--max-seconds", metavar="S", help="End in time, with what was found until then.")
    ] = None,
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
    save_freq: Annotated[int | None, typer.Option("--save-freq", metavar="N", help="Trials between two checkpoints.")] = None,
    device: Device = None,
    seed: Seed = None,
    broker: Broker = None,
    mosquitto: Mosquitto = None,
    config: ConfigFile = None,
    json: Json = False,
    telemetry: Annotated[bool, typer.Option("--telemetry", help="With --json: also samples and phases.")] = False,
) -> None:
    """Tune a broker under a load, without a screen.

    At the end the best setting is measured against the default, in turns, and written as a config file.
    """
    if telemetry and not json:
        raise UsageError("--telemetry is for --json")
    from brokertuner_tui.cli import settings
    from brokertuner_tui.config.workloads import get_workload

    loaded = settings.load(
        config=config,
        save_dir=save_dir,
        mosquitto=mosquitto,
        workload_file=workload_file,
        seed=seed,
        broker=broker,
        more={
            "tuning.total_timesteps": total_timesteps,
            "tuning.max_seconds": max_seconds,
            "tuning.save_freq": save_freq,
            "tuning.preset": preset,
            "tuning.pin": pin,
            "tuning.mode": mode,
            "tuning.read_only": read_only,
            "tuning.exploration": exploration,
            "tuning.warm_start": warm_start,
            "tuning.safety": safety,
            "tuning.restarts_per_hour": restarts_per_hour,
            "load.workload": workload,
            "agent.device": device,
        },
    )
    chosen = get_workload(loaded, loaded.settings.load.workload)
    from brokertuner_tui.cli.tune import tune

    raise typer.Exit(tune(loaded, chosen, settings.save_dir_of(loaded), json=json, telemetry=telemetry))
