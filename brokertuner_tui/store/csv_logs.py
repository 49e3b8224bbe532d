"""The two CSV files that people's scripts expect, one row a trial: for reading along and for plotting.

The store is what counts; these are written after it. `logs/progress.csv` has the columns of Stable-Baselines3's logger where
there is one, `action_throughput_log.csv` the knobs as columns beside what they earned.
"""

from __future__ import annotations

import contextlib
import csv
import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from brokertuner_tui.knobs.catalogue import NAMES
from brokertuner_tui.store.errors import StoreError
from brokertuner_tui.store.plain import iso_time
from brokertuner_tui.tuning.events import TrialFinished

PROGRESS_COLUMNS = (
    "time/total_timesteps",
    "time/time_elapsed",
    "rollout/reward",
    "train/critic_loss",
    "train/actor_loss",
    "train/n_updates",
    "train/noise",
    "train/buffer_size",
    "run",
    "timestamp",
    "trial",
    "kind",
    "verdict",
    "profile",
    "is_best",
    "sent_per_s",
    "received_per_s",
    "on_time_per_s",
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "max_ms",
    "lost",
    "duplicated",
    "cpu_percent",
    "rss_bytes",
    "ctx_switches_per_s",
    "apply_how",
    "apply_s",
    "overhead_s",
)
_MOST_KEPT_BYTES = 2**20
ACTION_COLUMNS = ("step", "timestamp", *NAMES, "throughput", "on_time_per_s", "reward", "run", "verdict")


class CsvLogs:
    """Appends to both files; a header only where there is none yet.

    Raises:
        StoreError: a file cannot be made or opened; or (`trial`) written now: the row is kept, up to 1 MiB of them, and
            written with the next one.
    """

    def __init__(self, save_dir: Path, *, run: str = "") -> None:
        self.run = run
        """Goes into the column of that name."""
        self._began_at = 0.0
        with contextlib.ExitStack() as opened:
            self._progress = _Appended(save_dir / "logs" / "progress.csv", PROGRESS_COLUMNS)
            opened.callback(self._progress.close)
            self._actions = _Appended(save_dir / "action_throughput_log.csv", ACTION_COLUMNS)
            opened.pop_all()

    def trial(self, event: TrialFinished) -> None:
        """One row in each file, at once."""
        self._began_at = self._began_at or event.at
        try:
            self._progress.row(self._progress_row(event))
        finally:
            self._actions.row(self._action_row(event))

    def close(self) -> None:
        """Closes both files; may be called again."""
        self._progress.close()
        self._actions.close()

    def _progress_row(self, event: TrialFinished) -> dict[str, Any]:
        outcome, agent, window = event.outcome, event.agent, event.outcome.window
        row: dict[str, Any] = {
            "time/total_timesteps": event.trial,
            "time/time_elapsed": event.at - self._began_at,
            "rollout/reward": event.reward,
            "train/critic_loss": agent.critic_loss,
            "train/actor_loss": agent.actor_loss,
            "train/n_updates": agent.updates,
            "train/noise": agent.noise,
            "train/buffer_size": agent.buffer,
            "run": self.run,
            "timestamp": iso_time(event.at),
            "trial": event.trial,
            "kind": str(event.kind),
            "verdict": str(outcome.verdict),
            "profile": outcome.profile.name,
            "is_best": event.is_best,
            "cpu_percent": outcome.usage.cpu_percent,
            "rss_bytes": outcome.usage.rss_bytes,
            "ctx_switches_per_s": outcome.usage.ctx_switches_per_s,
            "apply_how": "" if outcome.applied is None else outcome.applied.how,
            "apply_s": outcome.timings.apply_s,
            "overhead_s": outcome.timings.overhead_s,
        }
        if window is not None:
            measured = ("sent_per_s", "received_per_s", "on_time_per_s", "p50_ms", "p95_ms", "p99_ms", "max_ms")
            row |= {name: getattr(window, name) for name in (*measured, "lost", "duplicated")}
        return row

    def _action_row(self, event: TrialFinished) -> dict[str, Any]:
        window = event.outcome.window
        return {
            "step": event.trial,
            "timestamp": iso_time(event.at),
            **event.outcome.knobs,
            "throughput": None if window is None else window.received_per_s,
            "on_time_per_s": None if window is None else window.on_time_per_s,
            "reward": event.reward,
            "run": self.run,
            "verdict": str(event.outcome.verdict),
        }


class _Appended:
    """A CSV file that only grows. What a full disk leaves of a row is kept, and written before the next one."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._path, self._columns = path, columns
        self._rest = b""
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _repair(path)
            if _header_of(path) not in ("", _line(columns)):
                _move_aside(path)
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise StoreError(f"the log cannot be written: {path}: {error.strerror}") from error
        if self._file.tell() == 0:
            self._rest = _line(columns).encode()
            with contextlib.suppress(OSError):  # a full disk is told with the first row
                self._write()

    def row(self, values: dict[str, Any]) -> None:
        if len(self._rest) < _MOST_KEPT_BYTES:
            self._rest += _line([_cell(values.get(name)) for name in self._columns]).encode()
        try:
            self._write()
        except OSError as error:
            raise StoreError(f"the log cannot be written: {self._path}: {error.strerror}") from error

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._write()
        with contextlib.suppress(OSError):
            self._file.close()

    def _write(self) -> None:
        while self._rest and not self._file.closed:
            self._rest = self._rest[self._file.write(self._rest) :]


def csv_text(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    """A whole file: the header and a line a row, empty where a value is missing or not finite."""
    return _line(columns) + "".join(_line([_cell(row.get(name)) for name in columns]) for row in rows)


def _line(cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1e5 else f"{value:.1f}"
    return " ".join(str(value).split())  # one row, one line


def _repair(path: Path) -> None:
    """Cuts off a last line that a crash left without its end: the next row would be glued to it."""
    if not path.exists():
        return
    with open(path, "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        position = end
        while position > 0:
            start = max(0, position - 4096)
            file.seek(start)
            newline = file.read(position - start).rfind(b"\n")
            if newline >= 0:
                position = start + newline + 1
                break
            position = start
        if position < end:
            file.truncate(position)


def _header_of(path: Path) -> str:
    if not path.exists():
        return ""
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        return file.readline()


def _move_aside(path: Path) -> None:
    """Another version's columns: its rows stay readable under another name."""
    number = 1
    while (aside := path.with_name(f"{path.stem}.old-{number}{path.suffix}")).exists():
        number += 1
    path.rename(aside)
