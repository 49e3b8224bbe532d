"""`serve`: the broker over HTTP."""

from __future__ import annotations

import logging
import signal
from pathlib import Path
from typing import Annotated

import typer

from brokertuner_tui.cli.options import (
    ConfigFile,
    Mode,
    Mosquitto,
    Pins,
    Preset,
    ReadOnly,
    SaveDir,
    WorkloadFile,
    WorkloadName,
)
from brokertuner_tui.errors import TunerError, UsageError


def serve(
    listen: Annotated[
        str | None, typer.Option("--listen", metavar="HOST:PORT", help="Where (default: 127.0.0.1:8080; port 0: a free one).")
    ] = None,
    broker: Annotated[str | None, typer.Option("--broker", metavar="KIND", help="Which broker (see [broker] kind).")] = None,
    allow_changes: Annotated[
        bool | None, typer.Option("--allow-changes", help="Let clients change the broker, not only look.", show_default=False)
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", metavar="FILE", help="The token, mode 0600 (made if it is missing).")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate and chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="The certificate's key, PEM.")] = None,
    tune: Annotated[
        bool, typer.Option("--tune", help="Run a tuning session, too; it pauses when its trials are spent.")
    ] = False,
    workload: WorkloadName = None,
    workload_file: WorkloadFile = None,
    preset: Preset = None,
    pin: Pins = None,
    mode: Mode = None,
    read_only: ReadOnly = None,
    mosquitto: Mosquitto = None,
    save_dir: SaveDir = None,
    config: ConfigFile = None,
) -> None:
    """Serve one broker over HTTP, to other systems and tuners.

    Clients need the token. They may look; with --allow-changes they may change.
    """
    from brokertuner_tui.cli import logs, output, settings
    from brokertuner_tui.cli.signals import StopSignals
    from brokertuner_tui.config.workloads import get_workload

    host, port = _split(listen) if listen is not None else (None, None)
    loaded = settings.load(
        config=config,
        save_dir=save_dir,
        mosquitto=mosquitto,
        workload_file=workload_file,
        more={
            "load.workload": workload,
            "tuning.preset": preset,
            "tuning.pin": pin,
            "tuning.mode": mode,
            "tuning.read_only": read_only,
            "broker.kind": broker,
            "service.host": host,
            "service.port": port,
            "service.allow_changes": allow_changes or None,  # a flag that was not typed is False here, not None
            "service.token_file": token_file,
            "service.tls_cert": tls_cert,
            "service.tls_key": tls_key,
        },
    )
    chosen = get_workload(loaded, loaded.settings.load.workload) if tune else None
    try:
        from brokertuner_tui.service import run
    except ImportError as error:
        raise _missing(error) from None  # a cause would make it a bug of ours
    logs.start(stderr=logging.INFO)  # what its supervisor keeps

    def started(told: run.Started) -> None:
        made = "(a new one) is" if told.token_made else "is"
        changes = "" if told.allow_changes else "; clients may only look: --allow-changes lets them change"
        output.say(f"serving {told.broker} at {told.url}; the token {made} in {told.token_file}{changes}")

    with StopSignals() as signals:
        run.serve(
            loaded.settings,
            settings.save_dir_of(loaded),
            tune=chosen,
            stopped=lambda: signals.received is not None,
            started=started,
        )
    output.say("ended")
    # TERM is how a service is ended: nothing went wrong. Ctrl-C says what it says everywhere.
    raise typer.Exit(signals.exit_code if signals.received == signal.SIGINT else 0)


def _split(listen: str) -> tuple[str, str]:
    host, colon, port = listen.rpartition(":")
    if not colon or not host or (":" in host and not (host.startswith("[") and host.endswith("]"))):
        raise UsageError(f"--listen {listen}: must be HOST:PORT, for example 127.0.0.1:8080 or [::1]:8080")
    return host.strip("[]"), port


def _missing(error: ImportError) -> TunerError:
    name = (error.name or "").partition(".")[0]
    if name in ("fastapi", "uvicorn", "starlette", "prometheus_client", "h11"):
        return TunerError(f"serve needs more packages ({name} is missing): pip install 'brokertuner-tui[serve]'")
    raise error
