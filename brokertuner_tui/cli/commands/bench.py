"""`bench`: our agent beside other ways to tune."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from brokertuner_tui.cli.options import ConfigFile, Json, SaveDir, WorkloadFile


def bench(
    workload: Annotated[
        list[str] | None, typer.Option("--workload", metavar="NAME", help="A load to compare on; may be given again.")
    ] = None,
    suite: Annotated[
        str | None, typer.Option("--suite", metavar="static|day", help="The eight steady loads, or one that changes.")
    ] = None,
    methods: Annotated[str | None, typer.Option("--methods", metavar="A,B|all", help="Ways to tune (default: all).")] = None,
    trials: Annotated[
        int | None, typer.Option("--trials", metavar="N", help="Of each method on a steady load (default: 40).")
    ] = None,
    seeds: Annotated[int | None, typer.Option("--seeds", metavar="K", help="Repetitions of everything (default: 1).")] = None,
    mosquitto: Annotated[
        list[Path] | None,
        typer.Option("--mosquitto", metavar="PATH", help="A program to compare on; may be given again."),
    ] = None,
    rounds: Annotated[
        int | None, typer.Option("--rounds", metavar="K", help="How often a load that changes goes round (default: 2).")
    ] = None,
    step_interval: Annotated[
        float | None, typer.Option("--step-interval", metavar="S", help="Seconds of a measurement (default: 1).")
    ] = None,
    confirm_windows: Annotated[
        int | None, typer.Option("--confirm-windows", metavar="K", help="For each method's best setting (default: 6).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Keep results here; a folder that has some goes on.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also a page with charts.")] = None,
    surrogate: Annotated[
        bool, typer.Option("--surrogate", help="On a model of recorded trials instead of a broker: seconds, no proof.")
    ] = False,
    workload_file: WorkloadFile = None,
    config: ConfigFile = None,
    save_dir: SaveDir = None,
    json: Json = False,
) -> None:
    """Compare ways to tune, on a real broker.

    All get the same load, space, reward and trials; then the best settings are measured in turns. Interrupted at any point, the
    same --out goes on where it was: what was asked for there need not be typed again, and seeds, loads, methods and brokers may
    be added.
    """
    from brokertuner_tui.cli.bench_ask import Asked
    from brokertuner_tui.cli.bench_run import run

    asked = Asked(
        workloads=tuple(workload or ()),
        suite=suite,
        methods=methods,
        trials=trials,
        seeds=seeds,
        mosquitto=tuple(mosquitto or ()),
        rounds=rounds,
        step_interval_s=step_interval,
        windows=confirm_windows,
        surrogate=surrogate,
        workload_file=workload_file,
        config=config,
    )
    raise typer.Exit(run(asked, out=out, html=html, save_dir=save_dir, as_json=json))
