"""How far a benchmark is, on stderr: a line that stays on a terminal, elsewhere a line for each step that is done."""

from __future__ import annotations

import sys
import time

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from brokertuner_tui.bench import run
from brokertuner_tui.cli import output


class Display:
    """Takes `run.Progress`; `end` takes the line away."""

    def __init__(self) -> None:
        self._console = output.console_for(sys.stderr)
        self._line: Progress | None = None
        self._task: TaskID | None = None
        self._last: run.Progress | None = None
        self._began = time.monotonic()
        if output.is_terminal(sys.stderr):
            self._line = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=20),
                TextColumn("{task.percentage:.0f} %", markup=False),
                TextColumn("{task.fields[figures]}", markup=False),
                TimeElapsedColumn(),
                console=self._console,
                transient=True,
                refresh_per_second=4,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._line.start()
            self._task = self._line.add_task("starting", total=None, figures="")

    def progress(self, now: run.Progress) -> None:
        """Shows where it is."""
        last, self._last = self._last, now
        if last is not None and (last.cell, last.doing) != (now.cell, now.doing):
            self._done(last)
        if self._line is not None and self._task is not None:
            figures = f"{now.figures}  {_left(now)}"
            self._line.update(self._task, total=now.total, completed=now.done, description=_what(now), figures=figures)

    def end(self) -> None:
        """Takes the line away."""
        if self._line is not None:
            self._line.stop()

    def _done(self, step: run.Progress) -> None:
        text = f"{_what(step)}: {step.figures}; {step.done / step.total:.0%} done, {_left(step)}"
        if self._line is not None:
            self._console.print(text, style="dim", soft_wrap=True)
        else:
            output.say(text)


def _what(now: run.Progress) -> str:
    return f"{now.cell.workload} {now.cell.version} seed {now.cell.seed} {now.doing}"


def _left(now: run.Progress) -> str:
    if now.eta_s is None:
        return ""
    minutes, seconds = divmod(round(now.eta_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"about {hours} h {minutes:02d} min left" if hours else f"about {minutes} min {seconds:02d} s left"
