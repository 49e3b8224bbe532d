"""Options that mean the same everywhere. A default of None is "not typed": the environment, a file or the default decides."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_SAVE_DIR_HELP = "Store, checkpoints and logs go here (default: the user's data folder)."

SaveDir = Annotated[Path | None, typer.Option("--save-dir", metavar="DIR", help=_SAVE_DIR_HELP)]
UnusedSaveDir = Annotated[Path | None, typer.Option("--save-dir", metavar="DIR", help=_SAVE_DIR_HELP, hidden=True)]
"""For commands that keep nothing: every command takes it, so that a script need not know which do."""
Mosquitto = Annotated[
    Path | None, typer.Option("--mosquitto", metavar="PATH", help="The mosquitto program (default: the system's).")
]
Broker = Annotated[
    str | None,
    typer.Option(
        "--broker",
        metavar="KIND|URL",
        help="managed (our own), systemd, command (see [broker] in the config), or an agent's URL: https://host:8080.",
    ),
]
WorkloadFile = Annotated[
    Path | None, typer.Option("--workload-file", metavar="FILE", help="TOML with [workload.NAME] tables of your own.")
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Settings that win over ./brokertuner.toml and the user's.")
]
Seed = Annotated[int | None, typer.Option("--seed", metavar="N", help="Of all that is random.")]
WorkloadName = Annotated[
    str | None,
    typer.Option("--workload", metavar="NAME", help="The load to tune for; `workload --list` shows those there are."),
]
Preset = Annotated[
    str | None,
    typer.Option("--preset", metavar="slo|classic", help="State, reward and agent: on-time goodput, or the original."),
]
Device = Annotated[str | None, typer.Option("--device", metavar="cpu|cuda|auto", help="Where the agent learns.")]
Pins = Annotated[
    list[str] | None,
    typer.Option("--pin", metavar="KNOB=VALUE", help="A knob that the agent must leave at VALUE; may be given again."),
]
Mode = Annotated[
    str | None,
    typer.Option(
        "--mode",
        metavar="recommend|guarded|autonomous",
        help="A person applies what is proposed; the agent does, and asks when it cannot tell; the agent alone.",
    ),
]
ReadOnly = Annotated[bool | None, typer.Option("--read-only", help="Measure only: nothing of the broker is ever changed.")]
Exploration = Annotated[
    float | None,
    typer.Option("--exploration", metavar="0..1", help="0: only what is believed to be best; 0.5: as ever; 1: twice that."),
]
WarmStart = Annotated[
    bool | None,
    typer.Option(
        "--warm-start/--no-warm-start",
        help="Begin with what earlier runs know of the same load (as ever), or not.",
        show_default=False,
    ),
]
Safety = Annotated[
    float | None, typer.Option("--safety", metavar="0..1", help="No knob goes further than 1 - SAFETY of its range at once.")
]
RestartsPerHour = Annotated[
    int | None, typer.Option("--restarts-per-hour", metavar="N", help="How often the agent may restart the broker.")
]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable, on stdout.")]
