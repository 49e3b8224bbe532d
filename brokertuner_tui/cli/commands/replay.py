"""`workload record` and `workload play`: the shape of a traffic that is really there, and that shape as a load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from brokertuner_tui.cli.options import ConfigFile, Json, Mosquitto, SaveDir, UnusedSaveDir
from brokertuner_tui.errors import UsageError

_Host = Annotated[str | None, typer.Option("--host", metavar="HOST", help="The broker (default: the config's).")]
_Port = Annotated[int | None, typer.Option("--port", metavar="PORT", help="Its port (default: the config's, else 1883).")]
_LONGEST_S = 30 * 86_400.0


def record(
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="The recording: TOML.", show_default=False)] = None,
    duration: Annotated[float | None, typer.Option("--duration", metavar="S", help="Seconds (default: until Ctrl-C).")] = None,
    topic: Annotated[
        list[str] | None, typer.Option("--topic", metavar="FILTER", help="Only these topics; may be given again (default: #).")
    ] = None,
    interval: Annotated[float, typer.Option("--interval", metavar="S", help="Resolution in time, seconds.")] = 1.0,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
    host: _Host = None,
    port: _Port = None,
    config: ConfigFile = None,
    save_dir: UnusedSaveDir = None,
    json: Json = False,
) -> None:
    """Record the shape of a broker's traffic.

    Rates, sizes, QoS and fan-out over time, in numbers: never a payload, a topic's name or a client id. It only subscribes.
    """
    if out is None:
        raise UsageError("where to? --out FILE")
    if duration is not None and not 0 < duration <= _LONGEST_S:
        raise UsageError(f"--duration {duration:g}: must be greater than 0 and at most {_LONGEST_S:.0f} seconds")
    if not 0.1 <= interval <= 3600:
        raise UsageError(f"--interval {interval:g}: must be from 0.1 to 3600 seconds")
    filters = topic or ["#"]
    for name in filters:
        _check_filter(name)
    _check_port(port)
    from brokertuner_tui.cli import settings
    from brokertuner_tui.cli.record_run import RecordRun
    from brokertuner_tui.config.credentials import endpoint_of

    loaded = settings.load(config=config, save_dir=save_dir)
    endpoint = endpoint_of(loaded.settings.broker, host=host, port=port)
    raise typer.Exit(RecordRun(endpoint, filters, out, duration, interval, replace=force, as_json=json).run())


def play(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="A recording.", show_default=False)] = None,
    speed: Annotated[
        float, typer.Option("--speed", metavar="X", help="1 to 10: so many times the rates, in that part of the time.")
    ] = 1.0,
    scale: Annotated[float, typer.Option("--scale", metavar="X", help="So many times the rates, in the same time.")] = 1.0,
    duration: Annotated[
        float | None, typer.Option("--duration", metavar="S", help="Seconds, round and round (default: once through).")
    ] = None,
    host: Annotated[str | None, typer.Option("--host", metavar="HOST", help="A broker that runs already.")] = None,
    port: _Port = None,
    mosquitto: Mosquitto = None,
    config: ConfigFile = None,
    save_dir: SaveDir = None,
    json: Json = False,
) -> None:
    """Play a recorded traffic, and measure it.

    Against the broker that the config names (our own, with its defaults), or against another one (--host, --port).
    """
    if file is None:
        raise UsageError("which recording? `workload record --out FILE` makes one")
    if not 1 <= speed <= 10:
        raise UsageError(f"--speed {speed:g}: must be from 1 to 10")
    if not 0.001 <= scale <= 1000:
        raise UsageError(f"--scale {scale:g}: must be from 0.001 to 1000")
    if duration is not None and not 0 < duration <= 86_400:
        raise UsageError(f"--duration {duration:g}: must be greater than 0 and at most 86400 seconds")
    _check_port(port)
    from brokertuner_tui.cli import settings
    from brokertuner_tui.cli.play_run import play_file
    from brokertuner_tui.config.credentials import endpoint_of

    loaded = settings.load(config=config, save_dir=save_dir, mosquitto=mosquitto)
    target = None
    if host is not None or port is not None:
        target = endpoint_of(loaded.settings.broker, host=host, port=port)
    code = play_file(loaded.settings, file, target, speed=speed, scale=scale, duration_s=duration, as_json=json)
    raise typer.Exit(code)


def _check_port(port: int | None) -> None:
    if port is not None and not 0 < port < 65_536:
        raise UsageError(f"--port {port}: must be from 1 to 65535")


def _check_filter(name: str) -> None:
    """MQTT 4.7.1: `+` and `#` stand for whole levels, `#` only for the last ones.

    Raises:
        UsageError: that is not a topic filter.
    """
    levels = name.split("/")
    wild = any(("#" in level and level != "#") or ("+" in level and level != "+") for level in levels)
    if not name.isprintable() or not 0 < len(name.encode(errors="replace")) <= 1024 or wild or "#" in levels[:-1]:
        shown = "".join(char if char.isprintable() else " " for char in name)[:60]
        raise UsageError(f"--topic {shown!r}: must be a topic filter such as sensors/+/temperature or sensors/#")
    if levels[0].startswith("$"):
        raise UsageError(f"--topic {name!r}: topics that begin with $ are the broker's own")
