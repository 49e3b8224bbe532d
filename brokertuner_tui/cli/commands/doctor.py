"""`doctor`: what stands in the way, why it matters, and the command that mends it."""

from __future__ import annotations

from typing import Annotated

import typer

from brokertuner_tui.cli.options import Broker, ConfigFile, Json, Mosquitto, SaveDir


def doctor(
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend what is harmless to mend, and print what needs more rights than yours.")
    ] = False,
    broker: Broker = None,
    mosquitto: Mosquitto = None,
    save_dir: SaveDir = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Check broker, machine and store, and say what to mend.

    Exit code 1 if something has to be mended first. Nothing is changed without --fix, and no broker is ever touched.
    """
    from brokertuner_tui.cli import doctor_report, settings

    loaded = settings.load(config=config, save_dir=save_dir, mosquitto=mosquitto, broker=broker)
    raise typer.Exit(doctor_report.report(loaded.settings, settings.save_dir_of(loaded), fix=fix, as_json=json))
