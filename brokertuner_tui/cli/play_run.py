"""Plays a recording like any workload, and says how alike the two are."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from brokertuner_tui.cli import output
from brokertuner_tui.cli.tables import add_numbers, new_table
from brokertuner_tui.cli.workload_run import LoadRun
from brokertuner_tui.config.files import read_toml
from brokertuner_tui.config.settings import Settings
from brokertuner_tui.errors import ConfigError, UsageError
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.store.plain import finite
from brokertuner_tui.workload.likeness import Likeness, compare, of_shape, of_windows
from brokertuner_tui.workload.play import playback
from brokertuner_tui.workload.shape import Shape, from_toml, is_shape


def read_shape(path: Path) -> Shape:
    """The recording in the file `path`.

    Raises:
        ConfigError: it cannot be read, is no recording, or something in it is not possible.
    """
    data = read_toml(path)
    if not is_shape(data):
        raise ConfigError(str(path), "format", "(missing)", "is not a recording; `workload record --out FILE` makes one")
    return from_toml(data, str(path))


def play_file(
    settings: Settings,
    path: Path,
    target: Endpoint | None,
    *,
    speed: float,
    scale: float,
    duration_s: float | None,
    as_json: bool,
) -> int:
    """Plays, measures and compares; gives the exit code.

    Raises:
        ConfigError, UsageError: the recording cannot be played.
        TunerError: see `LoadRun.run`.
    """
    if settings.load.generator != "builtin":
        raise UsageError("recordings are played by the built-in load: load.generator must be builtin")
    shape = read_shape(path)
    played = playback(shape, where=str(path), speed=speed, scale=scale, for_tuning=False)
    for note in (*shape.notes, *played.notes):
        output.say(f"note: {output.one_line(note)}")
    seconds = duration_s or played.seconds
    run = LoadRun(settings, played.workload, seconds, target, as_json=as_json)
    code = run.run()
    if run.total.windows:
        profile = played.workload.phases[0].profile
        found = compare(of_shape(shape, speed * scale), of_windows(profile, run.total.windows))
        _show(found, as_json=as_json)
        whole = duration_s is None or duration_s >= played.seconds
        if code == 0 and whole and not found[0].alike:
            output.say(f"note: {100 * found[0].difference:+.0f} % messages: this machine or this broker does not keep up")
    return code


def _show(found: list[Likeness], *, as_json: bool) -> None:
    if as_json:
        figures = [
            {"figure": row.figure, "recorded": row.one, "played": row.other, "difference": row.difference} for row in found
        ]
        output.put_json(finite({"event": "replay", "figures": figures}))
    else:
        output.put_table(as_table(found))


def as_table(found: list[Likeness]) -> Table:
    """Recorded and played, side by side."""
    table = new_table("recorded and played")
    add_numbers(table, "recorded", "played", "difference")
    for row in found:
        share = row.figure.startswith(("QoS", "from"))
        numbers = (f"{100 * number:.1f} %" if share else f"{number:,.4g}" for number in (row.one, row.other))
        table.add_row(row.figure, *numbers, f"{100 * row.difference:+.1f} %")
    return table
