"""Tunes without a screen: the end of `train` and of `runs resume`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from brokertuner_tui.cli import logs
from brokertuner_tui.logs import wants_json
from brokertuner_tui.workload.profile import Workload

if TYPE_CHECKING:
    from brokertuner_tui.config.load import Loaded


def tune(
    loaded: Loaded,
    workload: Workload,
    save_dir: Path,
    *,
    json: bool,
    telemetry: bool,
    resume: str | None = None,
) -> int:
    """Runs a session to its end; gives the exit code.

    Args:
        json: a line an event on stdout.
        telemetry: of these also samples and phases.
        resume: the run that goes on; None: a new one.
    """
    told = logs.start(shows_events=not json)
    from brokertuner_tui.cli.headless import Reporter, drive
    from brokertuner_tui.tuning.session import TuningSession

    reporter: Reporter
    if json:
        from brokertuner_tui.cli.train_json import JsonLines

        reporter = JsonLines(telemetry=telemetry)
    else:
        from brokertuner_tui.cli.train_display import Display

        display = Display(total=loaded.settings.tuning.total_timesteps, quiet=wants_json())
        if not wants_json():
            told.write = display.line
        reporter = display
    return drive(TuningSession(loaded.settings, workload, save_dir, resume=resume), reporter)
