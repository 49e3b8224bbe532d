"""`train` for people: sentences and a progress line on stderr, the result on stdout."""

from __future__ import annotations

import sys
import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from brokertuner_tui import insight
from brokertuner_tui.cli import output
from brokertuner_tui.cli.comparison import comparison_table, knobs_table
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.conf import conf_value
from brokertuner_tui.tui.fold import fold
from brokertuner_tui.tui.format import goodput, per_second
from brokertuner_tui.tui.model import LogLine, Model
from brokertuner_tui.tuning import events
from brokertuner_tui.tuning.events import Event, State

_STYLES = {"quiet": "dim", "better": "green", "best": "bold green", "worse": "red", "hand": "cyan", "warning": "yellow"}


class Display:
    """A `headless.Reporter`. On a terminal a progress line stays below the sentences; elsewhere there are only sentences."""

    def __init__(self, *, total: int, quiet: bool = False) -> None:
        """`quiet`: nothing but the result; stderr is somebody else's."""
        self._console = output.console_for(sys.stderr)
        self._console.quiet = quiet
        self._model = Model()
        self._total = total
        self._began = time.monotonic()
        self._progress = _make_progress(self._console) if output.is_terminal(sys.stderr) and not quiet else None
        self._task: TaskID | None = None
        if self._progress is not None:
            self._progress.start()
            self._task = self._progress.add_task("starting", total=total, figures="")

    def event(self, event: Event) -> None:
        """A sentence, if there is one for it; the progress line follows."""
        before = self._model.log[:1]
        self._model = fold(self._model, (event,))
        never_began = isinstance(event, events.RunFinished) and not event.run  # why is the error's to say
        if self._model.log[:1] != before and not never_began:
            self._print(self._model.log[0])
        self._update()

    def line(self, text: str) -> None:
        """A line of the log, above the progress line."""
        self._write(Text(text, "dim"))

    def stopping(self, why: str) -> None:
        """Says that the end will take a moment."""
        self._write(Text(f"{why}: ending in good order, the broker is left as configured (Ctrl-C again forces it)", "yellow"))

    def end(self, error: TunerError | None) -> None:
        """Takes the progress line away and prints the result."""
        if self._progress is not None:
            self._progress.stop()
        finished = self._model.finished
        if finished is not None and finished.run:
            self._result(finished)

    def _print(self, line: LogLine) -> None:
        at = time.strftime("%H:%M:%S", time.localtime(line.at))
        text = Text.assemble((f"{at} ", "dim"), f"{line.glyph} ", (line.text, _STYLES.get(line.tone, "")))
        if line.tone in ("worse", "warning") and line.detail:
            text.append(f"\n{line.detail.rstrip()}", "dim")
        self._write(text)

    def _write(self, text: Text) -> None:
        try:
            self._console.print(text, soft_wrap=True)
        except OSError:  # the terminal is gone; the session's end must not be lost with it
            self._console.quiet = True

    def _update(self) -> None:
        if self._progress is None or self._task is None:
            return
        model, trials = self._model, len(self._model.points)
        update: dict[str, Any] = {"completed": trials, "description": _doing(model), "figures": self._figures(trials)}
        self._progress.update(self._task, **update)

    def _figures(self, trials: int) -> str:
        model, parts = self._model, []
        if model.sample is not None:
            parts.append(f"on time {per_second(model.sample.on_time_per_s)}")
        best = model.best.outcome.window if model.best is not None else None
        if best is not None:
            parts.append(f"best {goodput(best.goodput, in_percent=best.live is not None)}")
        if trials and trials < self._total:
            left = (time.monotonic() - self._began) / trials * (self._total - trials)
            parts.append(f"about {_duration(left)} left")
        return "  ".join(parts)

    def _result(self, finished: events.RunFinished) -> None:
        output.put(f"run {finished.run}: {finished.state} after {finished.trials} trials in {finished.seconds:,.0f} s\n")
        if finished.default is not None and finished.best is not None and finished.best_knobs is not None:
            output.put_table(comparison_table(finished.default, finished.best))
            output.put_table(knobs_table(finished.best_knobs, self._model.defaults, pinned=self._model.pinned))
            if self._model.confirmed is not None and not self._model.confirmed.better:
                output.put("The difference is within the uncertainty of the measurement.\n")
        elif self._model.proposal is not None:
            self._proposed(self._model.proposal, finished)
            return
        elif finished.trials:
            output.put("No setting was confirmed against the default.\n")
        for load in self._model.explained.loads if self._model.explained is not None else ():
            output.put(f"What was learned about {output.one_line(load.profile)}: {' '.join(insight.sentences(load))}\n")
        if finished.conf_path is not None:
            output.put(f"Config file: {finished.conf_path}\n")
        if finished.trials:
            output.put(f"Take it elsewhere: brokertuner-tui runs export {finished.run} --conf broker_tuner.conf\n")

    def _proposed(self, proposal: events.Proposed, finished: events.RunFinished) -> None:
        """What nobody has applied yet, as lines of a config, and how to apply it."""
        output.put(f"Nothing was changed. The last proposal: {proposal.why}\n\n")
        for name in proposal.changed:
            now = self._model.knobs.get(name)
            was = "" if now is None else f"   # now {conf_value(now)}"
            output.put(f"{name} {conf_value(proposal.knobs[name])}{was}\n")
        how = "restart" if proposal.needs_restart else "reload (SIGHUP)"
        whole = f"{finished.conf_path} has all of it: put it" if finished.conf_path is not None else "Put these lines"
        output.put(
            f"\n{whole} into the broker's conf.d, and {how} the broker; the same command again measures what it brings.\n"
        )
        if self._model.run is not None and not self._model.run.read_only:
            output.put(
                "Or have it applied and measured when you say so: brokertuner-tui launch --mode recommend, then key a.\n"
            )


def _make_progress(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.completed:.0f}/{task.total:.0f}", markup=False),
        TextColumn("{task.fields[figures]}", markup=False),
        TimeElapsedColumn(),
    )
    return Progress(
        *columns, console=console, transient=True, refresh_per_second=4, redirect_stdout=False, redirect_stderr=False
    )


def _doing(model: Model) -> str:
    if model.confirming is not None:
        what = "confirming" if model.confirming.what == "best" else "without single knobs"
        return f"{what} {model.confirming.done}/{model.confirming.total}"
    if model.state in (State.TUNING, State.STEPPING) and model.phase is not None:
        return f"trial {model.phase.trial} {model.phase.phase}"
    return str(model.state)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
