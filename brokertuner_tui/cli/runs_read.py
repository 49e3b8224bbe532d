"""Reads the store without becoming its writer: a session may be at it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from brokertuner_tui import insight
from brokertuner_tui.cli import settings
from brokertuner_tui.insight.ablation import Ablation
from brokertuner_tui.insight.results import LoadInsight
from brokertuner_tui.store.errors import NoSuchRun, NothingYet
from brokertuner_tui.store.place import Server, place_of
from brokertuner_tui.store.rows import ConfirmationRow, InsightRow, RunRow, TrialRow


@dataclass(frozen=True, slots=True)
class WholeRun:
    """A run and all that belongs to it."""

    row: RunRow
    trials: list[TrialRow]
    confirmations: list[ConfirmationRow]
    ablations: list[Ablation] = field(default_factory=list)
    insight: InsightRow | None = None
    """As it is stored."""

    @property
    def learned(self) -> tuple[LoadInsight, ...]:
        """What it taught: as it is stored, or explained now where that is missing or out of date (about a second a load)."""
        last = self.trials[-1].number if self.trials else 0
        if self.insight is not None and self.insight.trials == last:
            return self.insight.loads
        return insight.explain(self.trials, self.ablations)


def where(save_dir: Path | None, config: Path | None) -> str:
    """Where the store is looked for: the folder, or the database's URL."""
    place = _place(save_dir, config)
    return place.url if isinstance(place, Server) else str(place.parent)


def all_runs(save_dir: Path | None, config: Path | None) -> list[RunRow]:
    """The newest first; none where there is no store yet.

    Raises:
        TunerError: the config is wrong, or the store is damaged, not ours, or away.
    """
    place = _place(save_dir, config)
    if not _has_anything(place):
        return []
    from brokertuner_tui.store.store import Store

    try:
        with Store.open(place, read_only=True) as store:
            return store.runs()
    except NothingYet:
        return []


def whole_run(key: str, save_dir: Path | None, config: Path | None) -> WholeRun:
    """The run that `key` stands for.

    Raises:
        NoSuchRun: there is none, or more than one.
        TunerError: the config is wrong, or the store is damaged, not ours, or away.
    """
    place = _place(save_dir, config)
    if not _has_anything(place):
        raise NoSuchRun(f"no run {key!r}: there is no store at {place} yet")
    from brokertuner_tui.store.store import Store

    try:
        with Store.open(place, read_only=True) as store:
            row = store.run(key)
            trials, confirmations = store.trials(row.id), store.confirmations(row.id)
            return WholeRun(row, trials, confirmations, store.ablations(row.id), store.insight(row.id))
    except NothingYet as error:
        raise NoSuchRun(f"no run {key!r}: {error}") from None


def _place(save_dir: Path | None, config: Path | None) -> Path | Server:
    loaded = settings.load(config=config, save_dir=save_dir)
    return place_of(loaded.settings.store, settings.save_dir_of(loaded))


def _has_anything(place: Path | Server) -> bool:
    # Between a session's first breath and its first table the file is empty.
    return isinstance(place, Server) or (place.exists() and place.stat().st_size > 0)
