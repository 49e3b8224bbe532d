"""`knobs`: what can be tuned."""

from __future__ import annotations

from typing import Annotated

import typer

from brokertuner_tui.cli import output
from brokertuner_tui.cli.options import Json, UnusedSaveDir


def knobs(
    json: Json = False,
    notes: Annotated[bool, typer.Option("--notes", help="Also what differs between versions of Mosquitto.")] = False,
    save_dir: UnusedSaveDir = None,
) -> None:
    """List the knobs: range, default, meaning."""
    from brokertuner_tui.cli import knob_table

    if json:
        output.put_json(knob_table.as_data())
    else:
        output.put_table(*knob_table.as_view(notes=notes))
