"""What becomes of runs that have ended, or should: recovered, cancelled, removed."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brokertuner_tui.cli import runs_read, settings
from brokertuner_tui.config.settings import Settings
from brokertuner_tui.errors import TunerError, UsageError
from brokertuner_tui.process.identity import Identity
from brokertuner_tui.store.place import Server, place_of
from brokertuner_tui.store.rows import ENDED, RunRow, RunState
from brokertuner_tui.store.store import Store
from brokertuner_tui.tuning import recovery

if TYPE_CHECKING:
    from brokertuner_tui.config.load import Loaded

_POLL_S = 0.05
STOP_S = 60.0
"""How long a session is waited for that was asked to end."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What `recover` did: runs that were interrupted (id and reason), orphans that were ended, broker that was rolled back."""

    interrupted: tuple[tuple[str, str], ...] = ()
    ended: tuple[str, ...] = ()
    broker: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        runs = [{"run": run, "reason": reason} for run, reason in self.interrupted]
        return {"interrupted": runs, "ended": list(self.ended), "broker": self.broker}


def recover(save_dir: Path | None, config: Path | None) -> Recovered:
    """Marks runs whose process is gone, and ends what they, or other dead tuners, have left. Nothing is run again.

    Raises:
        TunerError: a session is at work in the same store (it has done all this at its start).
    """
    loaded = settings.load(config=config, save_dir=save_dir)
    place = place_of(loaded.settings.store, settings.save_dir_of(loaded))
    interrupted: list[tuple[str, str]] = []
    if isinstance(place, Server) or place.exists():
        dead: list[str] = []

        def release(run: RunRow) -> str:
            dead.append(run.id)
            return recovery.release(run, settings.save_dir_of(loaded))

        with Store.open(place, on_dead=release) as store:
            interrupted = [(run, store.run(run).reason) for run in dead]
    return Recovered(tuple(interrupted), tuple(recovery.end_orphans()), _roll_back(loaded.settings))


def _roll_back(configured: Settings) -> str:
    """A change of the configured broker that a tuner has left unconfirmed, undone; empty: there was none.

    Of a broker of our own nothing is left in force, and an agent sees to its own.
    """
    if configured.broker.kind not in ("systemd", "command"):
        return ""
    from brokertuner_tui.broker.kinds import external_broker

    broker = external_broker(configured.broker)
    try:
        if not broker.facts.knob_file.intent.exists():
            return ""
    except TunerError:
        return ""  # there is no such broker here: nothing can be asked of it
    try:
        broker.take_over(repair=True)
    except TunerError as error:
        if not broker.recovered:
            raise
        return f"{broker.recovered}; {error}"
    finally:
        broker.stop()
    return broker.recovered


def cancel(key: str, save_dir: Path | None, config: Path | None, *, wait_s: float = STOP_S) -> tuple[str, str]:
    """Ends a run for good: a live one is asked to, an interrupted one is given up. Gives its id and what came of it.

    Raises:
        UsageError: there is no such run, or it runs on another host.
        TunerError: it did not end in time.
    """
    row = runs_read.whole_run(key, save_dir, config).row
    if row.running:
        return row.id, _stop(row, lambda: runs_read.whole_run(row.id, save_dir, config).row, wait_s)
    if row.state is not RunState.INTERRUPTED:
        return row.id, f"it had ended before: {row.state}"
    loaded = settings.load(config=config, save_dir=save_dir)
    with _writing(loaded) as store:
        reason = store.run(row.id).reason
        store.set_state(row.id, RunState.CANCELLED, f"given up after it was interrupted: {reason}")
    return row.id, "it was interrupted, and is given up"


def _writing(loaded: Loaded) -> Store:
    """The store, with runs that died released. Raises TunerError."""
    save_dir = settings.save_dir_of(loaded)
    return Store.open(place_of(loaded.settings.store, save_dir), on_dead=lambda run: recovery.release(run, save_dir))


def _stop(row: RunRow, read: Callable[[], RunRow], wait_s: float) -> str:
    owner = row.info.owner
    if owner.is_elsewhere:
        raise UsageError(f"run {row.id} runs on {owner.host}: cancel it there")
    identity = Identity(owner.pid, owner.created_at)
    if owner.alive():  # looked at again: who signals a PID has to be sure whose it is
        try:
            os.kill(owner.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        except PermissionError:
            raise UsageError(f"process {owner.pid} of run {row.id} is another user's: that user can cancel it") from None
    deadline = time.monotonic() + wait_s
    while (now := read()).running and identity.alive():
        if time.monotonic() > deadline:
            raise TunerError(f"run {row.id} was asked to end (process {owner.pid}), and is still at it after {wait_s:g} s")
        time.sleep(_POLL_S)
    now = read()
    return f"process {owner.pid} was asked to end, and did: {now.state}{f': {now.reason}' if now.reason else ''}"


@dataclass(frozen=True, slots=True)
class Doomed:
    """A run that is to be removed, with the folders that go with it."""

    row: RunRow
    folders: tuple[Path, ...]
    bytes: int
    """What the folders take."""


def to_prune(older_than_s: float, save_dir: Path | None, config: Path | None) -> list[Doomed]:
    """Runs that ended longer ago than that; the newest first. What runs, or may elsewhere, is not among them."""
    loaded = settings.load(config=config, save_dir=save_dir)
    where, now = settings.save_dir_of(loaded), time.time()
    found = []
    for row in runs_read.all_runs(save_dir, config):
        if row.state not in ENDED or now - _ended_at(row, where) <= older_than_s:
            continue
        checkpoint = where / "checkpoints" / row.id
        candidates = (where / "runs" / row.id, checkpoint, checkpoint.with_name(f"{row.id}.previous"))
        folders = tuple(folder for folder in candidates if folder.is_dir())
        found.append(Doomed(row, folders, sum(map(_size, folders))))
    return found


def prune(doomed: list[Doomed], save_dir: Path | None, config: Path | None) -> None:
    """Removes them: folders first, so that what is left by an interruption still has its record.

    Raises:
        TunerError: a session is at work in the same store, or a folder cannot be removed.
    """
    loaded = settings.load(config=config, save_dir=save_dir)
    with _writing(loaded) as store:
        for one in doomed:
            if store.run(one.row.id).resumed != one.row.resumed:
                continue  # somebody goes on with it
            for folder in one.folders:
                try:
                    shutil.rmtree(folder)
                except OSError as error:
                    raise TunerError(f"{folder} cannot be removed: {error.strerror}") from error
            store.remove_run(one.row.id)


def _ended_at(row: RunRow, save_dir: Path) -> float:
    """When a run ended; one that was interrupted, when it was last heard of."""
    if row.ended_at is not None:
        return row.ended_at
    try:
        return max(row.info.started_at, (save_dir / "checkpoints" / row.id).stat().st_mtime)
    except OSError:
        return row.info.started_at


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def seconds_of(text: str) -> float:
    """`48h`, `30m`, `7d`, `90s`.

    Raises:
        UsageError: it is none of these.
    """
    units = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
    number = text[:-1]
    if not number.isascii() or not number.isdigit() or text[-1:] not in units or len(number) > 9:
        raise UsageError(f"--older-than {text}: must be a whole number with s, m, h or d, as in 48h")
    return int(number) * units[text[-1]]
