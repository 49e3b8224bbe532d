"""From a run's record to the settings and the workload with which it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brokertuner_tui.cli import runs_read, settings
from brokertuner_tui.errors import UsageError
from brokertuner_tui.workload.profile import Phase, Profile, Workload

if TYPE_CHECKING:
    from brokertuner_tui.config.load import Loaded
    from brokertuner_tui.store.rows import RunInfo


def resumed(
    key: str, *, save_dir: Path | None, config: Path | None, more: Mapping[str, object], mosquitto: Path | None = None
) -> tuple[Loaded, Workload, str]:
    """Settings and workload as the run had them, flags aside, and its id.

    Raises:
        UsageError: there is no such run, or its process is at it.
    """
    run = runs_read.whole_run(key, save_dir, config)
    row = run.row
    if row.running:
        owner = row.info.owner
        raise UsageError(f"run {row.id} is being run by process {owner.pid}{f' on {owner.host}' if owner.is_elsewhere else ''}")
    recorded: dict[str, Any] = dict(row.info.config)
    pins = run.trials[-1].pinned if run.trials and run.trials[-1].pinned is not None else row.info.pinned
    recorded["tuning"] = {**recorded.get("tuning", {}), "pin": dict(pins)}
    loaded = settings.load(config=config, save_dir=save_dir, mosquitto=mosquitto, more=more, recorded=recorded)
    return loaded, workload_of(row.info), row.id


def workload_of(info: RunInfo) -> Workload:
    """The load that the run had, whatever its name means today."""
    phases = tuple(Phase(Profile.from_dict(phase["profile"]), float(phase["seconds"])) for phase in info.phases)
    return Workload(info.workload, phases or (Phase(Profile.from_dict(info.profile), float("inf")),))
