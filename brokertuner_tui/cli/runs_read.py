"""Reads the store without becoming its writer: a session may be at it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from brokertuner_tui.cli import settings
from brokertuner_tui.store.errors import NoSuchRun
from brokertuner_tui.store.rows import ConfirmationRow, RunRow, TrialRow

FILE_NAME = "store.db"


@dataclass(frozen=True, slots=True)
class WholeRun:
    """A run and all that belongs to it."""

    row: RunRow
    trials: list[TrialRow]
    confirmations: list[ConfirmationRow]


def folder(save_dir: Path | None, config: Path | None) -> Path:
    """Where the store is looked for."""
    return settings.save_dir_of(settings.load(config=config, save_dir=save_dir))


def all_runs(save_dir: Path | None, config: Path | None) -> list[RunRow]:
    """The newest first; none where there is no store yet.

    Raises:
        TunerError: the config is wrong, or the store is damaged or not ours.
    """
    path = folder(save_dir, config) / FILE_NAME
    if not _has_anything(path):
        return []
    from brokertuner_tui.store.store import Store

    with Store.open(path, read_only=True) as store:
        return store.runs()


def whole_run(key: str, save_dir: Path | None, config: Path | None) -> WholeRun:
    """The run that `key` stands for.

    Raises:
        NoSuchRun: there is none, or more than one.
        TunerError: the config is wrong, or the store is damaged or not ours.
    """
    path = folder(save_dir, config) / FILE_NAME
    if not _has_anything(path):
        raise NoSuchRun(f"no run {key!r}: there is no store at {path} yet")
    from brokertuner_tui.store.store import Store

    with Store.open(path, read_only=True) as store:
        row = store.run(key)
        return WholeRun(row, store.trials(row.id), store.confirmations(row.id))


def _has_anything(path: Path) -> bool:
    # Between a session's first breath and its first table the file is empty.
    return path.exists() and path.stat().st_size > 0
