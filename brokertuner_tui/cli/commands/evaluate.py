"""`evaluate`: how well a trained agent does, without learning."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from brokertuner_tui.cli.options import (
    Broker,
    ConfigFile,
    Device,
    Json,
    Mosquitto,
    Preset,
    SaveDir,
    Seed,
    WorkloadFile,
    WorkloadName,
)
from brokertuner_tui.errors import UsageError


def evaluate(
    model_path: Annotated[
        Path, typer.Option("--model-path", metavar="FOLDER", help="A checkpoint: SAVE_DIR/checkpoints/RUN.", show_default=False)
    ],
    n_episodes: Annotated[int, typer.Option("--n-episodes", metavar="N", help="Episodes to run.")] = 5,
    max_steps: Annotated[
        int | None,
        typer.Option("--max-steps", metavar="N", help="Steps of an episode (default: 200, or what the config says)."),
    ] = None,
    workload: WorkloadName = None,
    workload_file: WorkloadFile = None,
    preset: Preset = None,
    device: Device = None,
    seed: Seed = None,
    broker: Broker = None,
    mosquitto: Mosquitto = None,
    config: ConfigFile = None,
    save_dir: SaveDir = None,
    json: Json = False,
) -> None:
    """Run a trained agent as it is, without learning.

    A line an episode, then mean and standard deviation of their rewards. A step takes a second and more.
    """
    if n_episodes < 1:
        raise UsageError(f"--n-episodes {n_episodes}: must be at least 1")
    from brokertuner_tui.cli import logs, settings
    from brokertuner_tui.config.workloads import get_workload

    loaded = settings.load(
        config=config,
        save_dir=save_dir,
        mosquitto=mosquitto,
        workload_file=workload_file,
        seed=seed,
        broker=broker,
        more={
            "tuning.max_steps": max_steps,
            "load.workload": workload,
            "agent.device": device,
        },
    )
    chosen = get_workload(loaded, loaded.settings.load.workload)
    if not any(path.is_dir() for path in (model_path, model_path.with_name(f"{model_path.name}.previous"))):
        raise UsageError(f"--model-path {model_path}: there is no such folder; train keeps its agents in SAVE_DIR/checkpoints")
    logs.start()
    from brokertuner_tui.cli.evaluate_run import evaluate as run

    raise typer.Exit(run(loaded.settings, chosen, model_path, n_episodes, preset=preset, as_json=json))
