"""`workload`: run a load and say what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from brokertuner_tui.cli.options import Broker, ConfigFile, Json, Mosquitto, SaveDir, WorkloadFile
from brokertuner_tui.errors import UsageError


def workload(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Which load.", show_default=False)] = None,
    list_all: Annotated[bool, typer.Option("--list", help="List the loads there are, and do nothing else.")] = False,
    duration: Annotated[float, typer.Option("--duration", metavar="S", help="Seconds to measure.")] = 10.0,
    host: Annotated[str | None, typer.Option("--host", metavar="HOST", help="A broker that runs already.")] = None,
    port: Annotated[int | None, typer.Option("--port", metavar="PORT", help="Its port (default: 1883, with TLS 8883).")] = None,
    username: Annotated[
        str | None,
        typer.Option("--username", metavar="NAME", help="Who we are there; the password comes from the config or environment."),
    ] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Encrypt, and check its certificate.")] = False,
    ca_file: Annotated[
        Path | None,
        typer.Option("--ca-file", metavar="FILE", help="Who may vouch for its certificate (default: the system's)."),
    ] = None,
    broker: Broker = None,
    mosquitto: Mosquitto = None,
    workload_file: WorkloadFile = None,
    config: ConfigFile = None,
    save_dir: SaveDir = None,
    json: Json = False,
) -> None:
    """Run one load and measure it.

    Against the broker that the config or --broker names (our own, with its defaults), or against another one (--host, --port).
    A traffic that is really there becomes a load by `workload record` and `workload play`.
    """
    from brokertuner_tui.cli import logs, output, settings
    from brokertuner_tui.config.workloads import get_workload

    if port is not None and not 0 < port < 65_536:
        raise UsageError(f"--port {port}: must be from 1 to 65535")
    there = {"host": host, "port": port, "username": username, "tls": tls or None, "ca_file": ca_file}
    if host is None and port is None and any(value is not None for value in (username, tls or None, ca_file)):
        raise UsageError("--username, --tls and --ca-file are for a broker that --host or --port names")
    if broker is not None and any(value is not None for value in there.values()):
        raise UsageError("--broker says which broker; --host, --port, --username, --tls and --ca-file are for another one")
    loaded = settings.load(
        config=config,
        save_dir=save_dir,
        mosquitto=mosquitto,
        workload_file=workload_file,
        broker=broker,
        more={f"broker.{name}": value for name, value in there.items()},
    )
    if list_all:
        from brokertuner_tui.cli import workload_table

        if json:
            output.put_json(workload_table.as_data(loaded))
        else:
            output.put_table(*workload_table.as_view(loaded))
        return
    if name is None:
        raise UsageError("which workload? `brokertuner-tui workload --list` shows those there are")
    if not 0 < duration <= 86_400:
        raise UsageError(f"--duration {duration:g}: must be greater than 0 and at most 86400 seconds")
    chosen = get_workload(loaded, name)
    logs.start()
    from brokertuner_tui.cli.workload_run import LoadRun
    from brokertuner_tui.config.credentials import endpoint_of

    target = endpoint_of(loaded.settings.broker) if host is not None or port is not None else None
    raise typer.Exit(LoadRun(loaded.settings, chosen, duration, target, as_json=json).run())
