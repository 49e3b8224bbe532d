"""`train --json`: a line an event on stdout, the summary last; sentences that cannot wait go to stderr."""

from __future__ import annotations

from brokertuner_tui.cli import event_lines, output
from brokertuner_tui.errors import TunerError
from brokertuner_tui.tuning.events import Event, RunFinished


class JsonLines:
    """A `headless.Reporter`."""

    def __init__(self, *, telemetry: bool) -> None:
        self._telemetry = telemetry
        self._finished: RunFinished | None = None

    def event(self, event: Event) -> None:
        """One line, if the event is asked for."""
        if isinstance(event, RunFinished):
            self._finished = event
        made = event_lines.line(event, telemetry=self._telemetry)
        if made is not None:
            output.put_json(made)

    def stopping(self, why: str) -> None:
        """Says that the end will take a moment."""
        output.say(f"{why}: ending in good order (Ctrl-C forces it)")

    def end(self, error: TunerError | None) -> None:
        """The error, if there is one, and the summary."""
        if error is not None:
            output.put_json(event_lines.error_line(str(error), error.exit_code))
        if self._finished is not None:
            output.put_json(event_lines.summary(self._finished))
