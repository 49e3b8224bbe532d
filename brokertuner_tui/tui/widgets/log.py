"""The event log: a sentence for everything that happened, the newest at the top."""

from __future__ import annotations

import time

from textual.content import Content

from brokertuner_tui.tui.ink import BOLD, QUIET, TONES, line
from brokertuner_tui.tui.model import LogLine, Model
from brokertuner_tui.tui.widgets.listing import Listing


def time_text(at: float) -> str:
    """The time of day: `12:03:40`."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def log_row(entry: LogLine, width: int = 1000) -> Content:
    """One line."""
    text = entry.brief if entry.brief and len(entry.text) + 11 > width else entry.text
    style = TONES[entry.tone]
    head, gap, rest = text.partition("   ")
    loud = entry.tone in ("worse", "warning", "best", "hand")
    return line(
        (time_text(entry.at), QUIET),
        (f" {entry.glyph} ", f"{style} {BOLD}".strip()),
        (head, style if loud or entry.tone == "quiet" else ""),
        (gap + rest, QUIET if entry.tone == "quiet" else ""),
    )


class EventLog(Listing):
    """The pane."""

    NAME = "events"
    HELP = (
        "Everything that happened, the newest first. ▲ better, ▼ worse, · about the same as the best so far; Enter shows all "
        "of a line, and all of a trial."
    )

    def facts(self, model: Model) -> object:
        """See `Pane`."""
        return model.log

    def changed(self) -> None:
        """See `Pane`."""
        super().changed()
        self.border_subtitle = f"{len(self.model.log)} lines" if self.cursor else ""

    def show(self, model: Model) -> None:
        """See `Pane`; the cursor stays on its line while new ones come, unless it is on the newest."""
        new = len(model.log) - len(self.model.log)
        if self.cursor and new > 0:
            self.set_reactive(EventLog.cursor, self.cursor + new)
            self.set_reactive(EventLog.top, self.top + new)
        super().show(model)

    def count(self, model: Model) -> int:
        """See `Listing`."""
        return len(model.log)

    def row(self, model: Model, index: int, width: int) -> Content:
        """See `Listing`."""
        return log_row(model.log[index], width)
