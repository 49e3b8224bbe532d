"""Writes a run's page."""

from __future__ import annotations

from pathlib import Path

from brokertuner_tui.cli import output, runs_read
from brokertuner_tui.cli.runs_export import umask
from brokertuner_tui.html import run_report
from brokertuner_tui.store.errors import NoSuchRun
from brokertuner_tui.store.export import write_out

_NAMED = 8


def write(key: str, path: Path, save_dir: Path | None, config: Path | None) -> None:
    """Writes the page of the run that `key` stands for; `-` is stdout.

    Raises:
        NoSuchRun: there is none, or several; the newest ones are named.
        UsageError: it has no trial, or `path` is a folder.
        TunerError: the file cannot be written; one that was there is as it was.
    """
    wanted = "last" if key == "latest" else key
    try:
        found = runs_read.whole_run(wanted, save_dir, config)
    except NoSuchRun as error:
        if known := [row.id for row in runs_read.all_runs(save_dir, config)]:
            more = ", ..." if len(known) > _NAMED else ""
            raise NoSuchRun(f"{error}: {', '.join(known[:_NAMED])}{more}") from None
        raise
    text = run_report.render(found.row, found.trials, found.confirmations, found.learned)
    if str(path) == "-":
        output.put(text)
        return
    write_out(path.expanduser(), text, mode=0o666 & ~umask())
    output.say(f"wrote {path}")
