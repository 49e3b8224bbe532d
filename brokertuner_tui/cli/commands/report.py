"""`report`: a run as a page for a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from brokertuner_tui.cli.options import ConfigFile, SaveDir

RunKey = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id, the beginning of one, or `last` (`latest`).", show_default=False)
]


def report(
    run: RunKey,
    html: Annotated[
        Path, typer.Option("--html", metavar="FILE", help="The page, whole in one file (- is stdout).", show_default=False)
    ],
    save_dir: SaveDir = None,
    config: ConfigFile = None,
) -> None:
    """Write a run as a page that opens offline.

    What was found, how sure that is, and the config to copy. A file that is there is replaced, whole or not at all.
    """
    from brokertuner_tui.cli import run_page

    run_page.write(run, html, save_dir, config)
