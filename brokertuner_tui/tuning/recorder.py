"""What a run leaves behind: its record, its trials, the CSV files, the agent's checkpoint, the config to take away."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from brokertuner_tui import __version__
from brokertuner_tui.config.settings import Settings
from brokertuner_tui.errors import TunerError
from brokertuner_tui.files import check_disk, replace_file
from brokertuner_tui.knobs.catalogue import Value, Version
from brokertuner_tui.store.csv_logs import CsvLogs
from brokertuner_tui.store.errors import NoRoom, StoreError
from brokertuner_tui.store.export import conf_text
from brokertuner_tui.store.place import place_of
from brokertuner_tui.store.rows import RunInfo
from brokertuner_tui.store.store import Store
from brokertuner_tui.store.writer import Tell
from brokertuner_tui.tuning.confirm import Confirmation
from brokertuner_tui.tuning.events import RunFinished, State, TrialFinished
from brokertuner_tui.workload.profile import Workload

if TYPE_CHECKING:  # importing the agent imports torch
    from brokertuner_tui.agent.ddpg import DDPG

CONF_NAME = "broker_tuner.conf"
_ROOM_S, _POLL_S = 2.0, 0.1
_PACKAGES = ("torch", "numpy", "gymnasium", "paho-mqtt", "psutil", "SQLAlchemy")


class Recorder:
    """Writes one run. Owned by the session's thread.

    Raises:
        TunerError: the folder cannot be written, or another session writes to the same store.
    """

    def __init__(
        self,
        save_dir: Path,
        settings: Settings,
        workload: Workload,
        tell: Tell = lambda message, level: None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """`tell` and `pause`: see `Store.open`."""
        self._save_dir = save_dir
        self._settings = settings
        self._workload = workload
        try:
            save_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise TunerError(f"the folder {save_dir} cannot be made: {error.strerror}") from error
        self._notify = tell
        self._csv_works = True
        self._store = Store.open(place_of(settings.store, save_dir), tell=tell, pause=pause)
        try:
            self._csv = CsvLogs(save_dir)
        except BaseException:
            self._store.close()  # its lock would outlive us
            raise
        self.run = ""

    def begin(self, program: str, version: Version, pinned: Mapping[str, Value]) -> str:
        """Makes the run's record and its folder; gives the run's id."""
        first = self._workload.at(0.0)
        self.run = self._store.create_run(
            RunInfo(
                preset=self._settings.tuning.preset,
                workload=self._workload.name,
                profile=first.as_dict(),
                seed=self._settings.seed,
                config=self._settings.model_dump(mode="json"),
                started_at=time.time(),
                broker_kind=self._settings.broker.kind,
                mosquitto_path=program,
                mosquitto_version=version,
                pinned=dict(pinned),
                versions=_versions(),
                phases=tuple(
                    {"profile": phase.profile.as_dict(), "seconds": phase.seconds}
                    for phase in self._workload.phases
                    if len(self._workload.phases) > 1
                ),
            )
        )
        self._csv.run = self.run
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self.run

    @property
    def folder(self) -> Path:
        """The run's own: broker, logs, the config to take away."""
        return self._save_dir / "runs" / self.run

    @property
    def checkpoint(self) -> Path:
        """Where the run's agent is kept."""
        return self._save_dir / "checkpoints" / self.run

    @property
    def why_full(self) -> str:
        """Why no trial should be begun before there is room again; empty: there is, and all that was given is durable.

        Raises:
            TunerError: what waits for room can never be written.
        """
        return self._store.why_full

    @property
    def is_full(self) -> bool:
        """Whether no trial should be begun; see `why_full`."""
        return bool(self.why_full)

    def retry(self) -> bool:
        """Tries again what found no room; whether all that was given is durable. Raises TunerError as `why_full` does."""
        return self._store.retry()

    def state(self, state: State, reason: str) -> None:
        """Says where the run stands, as soon as there is room for it."""
        if self.run:
            with suppress(NoRoom):
                self._store.set_state(self.run, state, reason)

    def trial(self, event: TrialFinished, broker_restarts: int, workload_restarts: int) -> bool:
        """Keeps a trial; True: it is durable. False: there is no room; `retry` says when it is."""
        kept = True
        try:
            self._store.record_trial(self.run, event, broker_restarts=broker_restarts, workload_restarts=workload_restarts)
        except NoRoom:
            kept = False
        self._csv_row(event)
        return kept

    def _csv_row(self, event: TrialFinished) -> None:
        """The store is what counts: a log that cannot be written is said once, and ends nothing."""
        try:
            self._csv.trial(event)
            self._csv_works = True
        except StoreError as error:
            if self._csv_works:
                self._notify(f"{error}; results are in the store", "warning")
            self._csv_works = False

    def confirmation(self, confirmation: Confirmation) -> None:
        """Keeps a comparison of default and best with its windows, as soon as there is room for it."""
        with suppress(NoRoom):
            self._store.record_confirmation(self.run, confirmation.event, confirmation.windows)

    def agent(self, agent: DDPG, trials: int) -> Path:
        """Keeps the agent whole; the checkpoint before stays beside it."""
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        agent.save(
            self.checkpoint,
            extra={"run": self.run, "preset": self._settings.tuning.preset, "trials": str(trials)},
        )
        return self.checkpoint

    def conf(self) -> Path | None:
        """Writes the winning config, from what the store knows; None when there is no winner yet, or no room for it.

        Raises:
            DiskFailed: see there.
        """
        row = self._store.run(self.run)
        if row.best_knobs is None:
            return None
        path = self.folder / CONF_NAME
        try:
            replace_file(path, conf_text(row).encode(), mode=0o644)
        except OSError as error:
            check_disk(error, path)
            self._notify(f"{path} cannot be written: {error.strerror}; `runs export` makes it from the store", "warning")
            return None
        return path

    def finish(self, event: RunFinished) -> None:
        """Ends the run's record; a full disk is waited for a moment."""
        deadline = time.monotonic() + _ROOM_S
        while self.run:
            try:
                self._store.finish_run(self.run, event)
                break
            except NoRoom as error:
                if time.monotonic() >= deadline:
                    raise StoreError(f"the end of the run could not be kept: {error}") from error
                time.sleep(_POLL_S)

    def close(self) -> None:
        """Closes the files; may be called again."""
        self._csv.close()
        self._store.close()


def _versions() -> dict[str, str]:
    found = {"brokertuner-tui": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        found[package] = metadata.version(package)
    return found
