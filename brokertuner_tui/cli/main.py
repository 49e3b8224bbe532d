"""`brokertuner-tui`: the commands, put together. What a command needs is imported when it runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from brokertuner_tui import __version__
from brokertuner_tui.cli import boundary, output
from brokertuner_tui.cli.commands import (
    bench,
    config,
    doctor,
    evaluate,
    knobs,
    launch,
    paths,
    replay,
    report,
    restore,
    runs,
    serve,
    train,
    workload,
)
from brokertuner_tui.cli.group import MainGroup, QuickCommand

app = typer.Typer(
    name=output.PROGRAM,
    cls=MainGroup,
    help="Tunes a live Mosquitto MQTT broker with DDPG, in the terminal and headless.",
    epilog="Exit codes: 0 done, 1 failed, 2 usage or config, 3 connection, 130 and 143 for signals.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Rich's boxes around help would cost 150 ms of the 300 that help may take
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("launch", cls=QuickCommand)(launch.launch)
app.command("train", cls=QuickCommand)(train.train)
app.command("evaluate", cls=QuickCommand)(evaluate.evaluate)
app.command("bench", cls=QuickCommand)(bench.bench)
app.command("knobs", cls=QuickCommand)(knobs.knobs)
app.command("workload", cls=QuickCommand)(workload.workload)
app.command("workload record", cls=QuickCommand)(replay.record)
app.command("workload play", cls=QuickCommand)(replay.play)
app.command("serve", cls=QuickCommand)(serve.serve)
app.add_typer(runs.app, name="runs")
app.command("report", cls=QuickCommand)(report.report)
app.add_typer(config.app, name="config")
app.command("doctor", cls=QuickCommand)(doctor.doctor)
app.command("restore", cls=QuickCommand)(restore.restore)
app.command("paths", cls=QuickCommand)(paths.paths)


def _print_version(wanted: bool) -> None:
    if wanted:
        output.put(f"{output.PROGRAM} {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors, and all of the log on stderr.")] = False,
    log_json: Annotated[
        bool, typer.Option("--log-json", help="Make each line of the log, on stderr too, a JSON object.")
    ] = False,
) -> None:
    if debug:
        boundary.show_tracebacks()
    if debug or log_json:
        from brokertuner_tui.cli import logs

        logs.options(debug=debug, as_json=log_json)


def run(arguments: Sequence[str]) -> int:
    """Runs one command line (without the program's name; none: help); gives the exit code."""
    return boundary.guarded(lambda: app(list(arguments) or ["--help"], prog_name=output.PROGRAM, standalone_mode=False))


def main() -> NoReturn:
    """The console script."""
    # Looking for plugins of pydantic, it reads the metadata of every package installed; we have none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    sys.exit(run(sys.argv[1:]))
