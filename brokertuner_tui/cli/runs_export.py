"""Writes what a run found into files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from brokertuner_tui.cli import output
from brokertuner_tui.cli.runs_read import WholeRun
from brokertuner_tui.store import export as exports


def export(run: WholeRun, wanted: Mapping[str, Path | None]) -> None:
    """Writes each wanted kind (`conf`, `simplest`, `csv`, `json`) to its file, `-` to stdout; all is made before any is
    written.

    Raises:
        TunerError: nothing won, or a file cannot be written.
    """
    made = {kind: _text(kind, run) for kind, path in wanted.items() if path is not None}
    for kind, text in made.items():
        path = wanted[kind]
        if path is None or str(path) == "-":
            output.put(text)
            continue
        # The broker's own user has to read its config; the rest gets what the operator's umask says.
        exports.write_out(path.expanduser(), text, mode=0o644 if kind in ("conf", "simplest") else 0o666 & ~umask())
        output.say(f"wrote {path}")


def _text(kind: str, run: WholeRun) -> str:
    if kind in ("conf", "simplest"):
        return exports.conf_text(run.row, run.trials, run.learned, simplest=kind == "simplest")
    if kind == "csv":
        return exports.trials_csv(run.trials)
    return json.dumps(exports.run_data(run.row, run.trials, run.confirmations, run.ablations), allow_nan=False, indent=1) + "\n"


def umask() -> int:
    """Of this process: which rights a new file does not get."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
