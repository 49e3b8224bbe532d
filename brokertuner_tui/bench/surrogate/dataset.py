"""The recorded trials: one real trial a row, made by `benchmarks/collect.py`, kept as `trials.csv.gz` beside this file.

Each was applied to a real broker under a real load and measured for `seconds` after the queues had settled. Columns:

- workload, version (`2.0.21`), kind (how the setting was proposed: `asis` the broker's own default, `default` that with some
  knobs moved, `main` that with the three most important ones anywhere, `uniform` anywhere, `spread` the warm-up's distribution,
  `best` near a designed setting), round (of the collection);
- the eleven knobs in the catalogue's order, switches as 0 or 1;
- verdict, reason (when it is not `ok`), how (`restart` or `reload`; empty when it was not applied), apply_s, reconnect_s,
  settle_s, took_s (the whole trial, s);
- busy: cores that the whole machine was busy in `took_s`, other processes included; cores: how many it has; first: 1 if broker
  and load came before those (a higher priority that really counts); at_s: seconds since the first trial of the file;
- of the window, empty without one: seconds, sent, expected, received, on_time, late, lost, missing, duplicated, clients,
  reconnects (as in `workload/window.py`), p50_ms, p99_ms, max_ms, stderr (on-time deliveries a second), generator_cpu (cores);
- of the broker in the window: cpu (per cent of a core), rss (bytes), ctx (context switches a second).
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import BY_NAME, NAMES, Value, Version, parse_version

FILE = "trials.csv.gz"
WINDOW_S = 0.6
"""What trials were measured for; a load in bursts for a whole one of them at least."""
_DISTURBED_CORES = 0.5
"""Other processes that used more than this were in the way: repeats of one setting differ by half with them."""
_IN_THE_WAY_BEHIND = 0.25
"""How much of that is left if broker and load come first."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a window and the broker's process showed; units as in the module's text."""

    seconds: float
    sent: int
    expected: int
    received: int
    on_time: int
    late: int
    lost: int
    missing: int
    duplicated: int
    clients: int
    reconnects: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    stderr: float
    generator_cpu: float
    cpu: float
    rss: int
    ctx: float

    @property
    def on_time_per_s(self) -> float:
        """Deliveries a second."""
        return self.on_time / self.seconds


@dataclass(frozen=True, slots=True)
class Recorded:
    """One trial of the file."""

    workload: str
    version: Version
    kind: str
    round: int
    knobs: Mapping[str, Value]
    verdict: str
    reason: str
    how: str
    apply_s: float
    reconnect_s: float
    settle_s: float
    took_s: float
    busy: float
    cores: int
    first: bool
    at_s: float
    figures: Figures | None
    """None unless the verdict is `ok`."""

    @property
    def others(self) -> float:
        """Cores that were busy with something else than broker and load."""
        if self.figures is None or self.took_s <= 0:
            return 0.0
        loaded = min(1.0, (self.settle_s + self.figures.seconds) / self.took_s)
        return max(0.0, self.busy - (self.figures.generator_cpu + self.figures.cpu / 100) * loaded)

    @property
    def interference(self) -> float:
        """By how many cores of other processes the trial suffered; 0 for so few that it does not show."""
        if self.others <= _DISTURBED_CORES:
            return 0.0
        return self.others * (_IN_THE_WAY_BEHIND if self.first else 1.0)

    @property
    def disturbed(self) -> bool:
        """Whether other processes were in the way: such a trial says little."""
        return self.interference > _DISTURBED_CORES


_HEAD = ("workload", "version", "kind", "round")
_TRIAL = ("verdict", "reason", "how", "apply_s", "reconnect_s", "settle_s", "took_s", "busy", "cores", "first", "at_s")
_FIGURES = tuple(field.name for field in fields(Figures))
_NUMBERS: Mapping[str, Callable[[str], int | float]] = {"int": int, "float": float}
COLUMNS = (*_HEAD, *NAMES, *_TRIAL, *_FIGURES)


@cache
def load() -> tuple[Recorded, ...]:
    """The trials that come with the program.

    Raises:
        TunerError: the file is missing or damaged.
    """
    with resources.as_file(resources.files(__package__).joinpath(FILE)) as path:
        return read(path)


def read(path: Path) -> tuple[Recorded, ...]:
    """The trials of a file that `write` made.

    Raises:
        TunerError: it is missing or damaged.
    """
    try:
        text = gzip.decompress(path.read_bytes()).decode("utf-8")
        table = csv.DictReader(io.StringIO(text))
        if tuple(table.fieldnames or ()) != COLUMNS:
            raise ValueError(f"its columns are not {', '.join(COLUMNS)}")
        return tuple(_from_row(row) for row in table)
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise TunerError(f"{path}: not a file of recorded trials: {error}") from error


def write(trials: Iterable[Recorded], path: Path) -> None:
    """All of them, in their order, the same bytes for the same trials.

    Raises:
        OSError: the file cannot be written.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for trial in trials:
        table.writerow(_to_row(trial))
    path.write_bytes(gzip.compress(text.getvalue().encode(), 9, mtime=0))


def _to_row(trial: Recorded) -> list[object]:
    version = ".".join(map(str, trial.version))
    head: list[object] = [trial.workload, version, trial.kind, trial.round]
    knobs = [int(trial.knobs[name]) for name in NAMES]
    values = [_short(getattr(trial, name)) for name in _TRIAL]
    figures = [""] * len(_FIGURES) if trial.figures is None else [_short(x) for x in asdict(trial.figures).values()]
    return [*head, *knobs, *values, *figures]


def _short(value: object) -> object:
    """Four figures are more than a window of half a second knows."""
    if isinstance(value, bool):
        return int(value)
    return f"{value:.4g}" if isinstance(value, float) else value


def _from_row(row: Mapping[str, Any]) -> Recorded:
    figures = None
    if row["seconds"]:
        numbers: dict[str, Any] = {field.name: _NUMBERS[str(field.type)](row[field.name]) for field in fields(Figures)}
        figures = Figures(**numbers)
    knobs = {name: bool(int(row[name])) if BY_NAME[name].type == "bool" else int(row[name]) for name in NAMES}
    seconds = {name: float(row[name]) for name in _TRIAL if name.endswith("_s")}
    return Recorded(
        row["workload"],
        parse_version(row["version"]),
        row["kind"],
        int(row["round"]),
        knobs,
        row["verdict"],
        row["reason"],
        row["how"],
        busy=float(row["busy"]),
        cores=int(row["cores"]),
        first=row["first"] == "1",
        figures=figures,
        **seconds,
    )
