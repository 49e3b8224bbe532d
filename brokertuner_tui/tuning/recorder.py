"""What a run leaves behind: its record, its trials, the CSV files, the agent's checkpoint, the config to take away."""

from __future__ import annotations

import platform
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from brokertuner_tui import __version__
from brokertuner_tui.config.settings import Settings
from brokertuner_tui.errors import TunerError, UsageError
from brokertuner_tui.files import check_disk, replace_file
from brokertuner_tui.insight.ablation import Ablation
from brokertuner_tui.insight.points import Point, of_event, of_row
from brokertuner_tui.insight.results import LoadInsight
from brokertuner_tui.knobs.catalogue import Value, Version
from brokertuner_tui.store.csv_logs import CsvLogs
from brokertuner_tui.store.errors import NoRoom, StoreError
from brokertuner_tui.store.export import annotated_conf, conf_text
from brokertuner_tui.store.place import place_of
from brokertuner_tui.store.rows import BrokerIdentity, LoadIdentity, RunInfo, RunRow, RunState, TrialRow
from brokertuner_tui.store.store import Store
from brokertuner_tui.store.writer import Tell
from brokertuner_tui.tuning.confirm import Confirmation
from brokertuner_tui.tuning.events import RunFinished, State, TrialFinished
from brokertuner_tui.tuning.memory import Memory, read_memory
from brokertuner_tui.tuning.recovery import release
from brokertuner_tui.workload.profile import Workload

if TYPE_CHECKING:  # importing the agent imports torch
    from brokertuner_tui.agent.ddpg import DDPG

CONF_NAME = "broker_tuner.conf"
PROPOSAL_NAME = "proposal.conf"
_ROOM_S, _POLL_S = 2.0, 0.1
_EXPLAINED = 2000
"""Trials by which a run is explained, the last ones: a session may live for months."""
_PACKAGES = ("torch", "numpy", "gymnasium", "paho-mqtt", "psutil", "SQLAlchemy")


Processes = tuple[BrokerIdentity, LoadIdentity]


@dataclass(frozen=True, slots=True)
class _Before:
    """What a run that goes on had come to before this session."""

    broker_restarts: int = 0
    workload_restarts: int = 0
    seconds: float = 0.0

    def with_session(self, event: RunFinished) -> RunFinished:
        return replace(
            event,
            broker_restarts=self.broker_restarts + event.broker_restarts,
            workload_restarts=self.workload_restarts + event.workload_restarts,
            seconds=self.seconds + event.seconds,
        )


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
        self._store = Store.open(place_of(settings.store, save_dir), tell=tell, pause=pause, on_dead=self._release)
        try:
            self._csv = CsvLogs(save_dir)
        except BaseException:
            self._store.close()  # its lock would outlive us
            raise
        self.run = ""
        self.about: Callable[[], tuple[Mapping[str, Value], Processes]] | None = None
        """What the agent has to leave alone, and which processes belong to the run; kept with every trial."""
        self.measured: deque[Point] = deque(maxlen=_EXPLAINED)
        """What the run can be explained by."""
        self.ablations: list[Ablation] = []
        """What else it can be explained by."""
        self.trials = 0
        """The number of the last one."""
        self._before = _Before()
        self._processes: Processes | None = None

    def _release(self, run: RunRow) -> str:
        done = release(run, self._save_dir)
        self._notify(
            f"run {run.id} was interrupted: the process that ran it is gone{f'; {done}' if done else ''}; "
            f"`brokertuner-tui runs resume {run.id}` goes on with it",
            "warning",
        )
        return done

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
                mode=self._settings.tuning.mode,
                versions=_versions(),
                phases=tuple(
                    {"profile": phase.profile.as_dict(), "seconds": phase.seconds}
                    for phase in self._workload.phases
                    if len(self._workload.phases) > 1
                ),
            )
        )
        self._csv.run = self.run
        self._make_folders()
        return self.run

    def resume(self, key: str) -> list[TrialRow]:
        """Goes on with a run that has ended; gives its trials.

        Raises:
            UsageError: there is no such run, it is being run, or all that it was to do is done.
        """
        row = self._store.run(key)
        total = self._settings.tuning.total_timesteps
        if row.state is RunState.COMPLETED and row.trials >= total:
            raise UsageError(f"run {row.id} has done its {row.trials} trials: --total-timesteps says up to how many it goes on")
        row = self._store.resume_run(row.id, mode=self._settings.tuning.mode)
        self.run = self._csv.run = row.id
        self._before = _Before(row.broker_restarts, row.workload_restarts, row.seconds or 0.0)
        self._make_folders()
        rows = self._store.trials(row.id)
        self.measured.extend(point for trial in rows if (point := of_row(trial)) is not None)
        self.ablations = self._store.ablations(row.id)
        self.trials = rows[-1].number if rows else 0
        return rows

    def memory(self, version: Version, say: Callable[[str], None]) -> Memory | None:
        """What earlier runs measured under such loads; None: nothing is wanted, or the preset's agent does not see the load.

        Args:
            say: hears what is known of a load, in one line.
        """
        tuning = self._settings.tuning
        if not tuning.warm_start or tuning.preset != "slo":
            return None
        before = self._store.run(self.run).info.started_at
        try:
            return read_memory(self._store, self._settings, self._workload, version, run=self.run, before=before, tell=say)
        except StoreError as error:
            self._notify(f"what earlier runs have measured cannot be read, and is done without: {error}", "warning")
            return None

    def processes(self, broker: BrokerIdentity, load: LoadIdentity) -> None:
        """Says which processes belong to the run now, if they are others than before."""
        if self.run and self._processes != (broker, load):
            self._processes = (broker, load)
            with suppress(NoRoom):
                self._store.identify(self.run, broker, load)

    def _make_folders(self) -> None:
        """Once, before the loop."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)

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
        pinned, processes = self.about() if self.about is not None else (None, None)
        if event.trial != self.trials and (point := of_event(event, pinned)) is not None:  # not when it is tried again
            self.measured.append(point)
        self.trials = event.trial
        changed, self._processes = processes if processes != self._processes else None, processes or self._processes
        try:
            self._store.record_trial(
                self.run,
                event,
                broker_restarts=self._before.broker_restarts + broker_restarts,
                workload_restarts=self._before.workload_restarts + workload_restarts,
                pinned=pinned,
                processes=changed,
            )
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

    def ablation(self, found: Ablation) -> None:
        """Keeps what the best was without each of its knobs, with its windows, as soon as there is room for it."""
        self.ablations.append(found)
        with suppress(NoRoom):
            self._store.record_ablation(self.run, found)

    def insight(self, trials: int, loads: Sequence[LoadInsight]) -> None:
        """Keeps what the run taught, as soon as there is room for it."""
        with suppress(NoRoom):
            self._store.record_insight(self.run, trials, loads)

    def agent(self, agent: DDPG, trials: int) -> Path:
        """Keeps the agent whole; the checkpoint before stays beside it."""
        agent.save(
            self.checkpoint,
            extra={"run": self.run, "preset": self._settings.tuning.preset, "trials": str(trials)},
        )
        return self.checkpoint

    def proposal(self, knobs: Mapping[str, Value], version: Version, why: str) -> Path | None:
        """Writes what was proposed last, and nobody has applied, as a config; None when there is no room for it.

        Raises:
            DiskFailed: see there.
        """
        path = self.folder / PROPOSAL_NAME
        about = [f"Proposed by run {self.run}, and not measured: {why}."]
        try:
            replace_file(path, annotated_conf(knobs, version=version, about=about).encode(), mode=0o644)
        except OSError as error:
            check_disk(error, path)
            self._notify(f"{path} cannot be written: {error.strerror}", "warning")
            return None
        return path

    def conf(self, loads: Sequence[LoadInsight] = ()) -> Path | None:
        """Writes the winning config, from what the store knows; None when there is no winner yet, or no room for it.

        Args:
            loads: what the run taught.

        Raises:
            DiskFailed: see there.
        """
        row = self._store.run(self.run)
        if row.best_knobs is None:
            return None
        path = self.folder / CONF_NAME
        try:
            replace_file(path, conf_text(row, loads=loads).encode(), mode=0o644)
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
                self._store.finish_run(self.run, self._before.with_session(event))
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
