"""Help in context: what the focused pane shows, the keys, the glyphs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from brokertuner_tui.tui import ink
from brokertuner_tui.tui.ink import BEST, BETTER, BOLD, HAND, QUIET, WORSE, line
from brokertuner_tui.tui.keys import COMMANDS
from brokertuner_tui.tui.screens.dialog import Dialog
from brokertuner_tui.tui.widgets.pane import Pane

GLOSSARY = (
    ("●", BETTER, "up, running; on a range: the value in force"),
    ("○", QUIET, "down, not there"),
    ("▲", BETTER, "better, raised"),
    ("▼", WORSE, "worse, lowered"),
    ("◆", BEST, "the best so far"),
    ("┼", QUIET, "the default, on a range"),
    ("✓", BETTER, "verified, confirmed"),
    ("✗", WORSE, "failed; the reason stands beside it"),
    ("?", HAND, "inconclusive: nothing can be said, nothing was learned"),
    ("!", HAND, "a warning"),
    ("■", HAND, "pinned: the agent leaves it alone"),
    ("·", QUIET, "inert: it cannot matter now; or no difference"),
    ("↻", QUIET, "takes a restart of the broker"),
    ("⟳", QUIET, "takes a reload"),
)
_MORE_KEYS = (
    ("Tab, arrows", "Move the focus between panes, and the cursor within one."),
    ("Enter", "Look into what has the focus: a knob, a trial, a line of the log."),
    ("Esc", "Back."),
    ("ctrl+p", "All commands and themes, by name."),
    ("ctrl+c", "Stop and quit without asking; twice: at once."),
)


def help_text(pane: Pane | None, keys: Mapping[str, str], width: int = 110) -> Content:
    """All of it, for a width."""
    rows: list[Content] = []
    if pane is not None:
        rows += [line((pane.NAME, BOLD)), *ink.hanging(Content(""), pane.HELP, width), Content("")]
    rows.append(line(("keys", BOLD)))
    for command in COMMANDS:
        if command.id in keys:
            rows += ink.hanging(line((f"{keys[command.id]:>12}  ", "$primary bold")), command.help, width)
    for key, text in _MORE_KEYS:
        rows += ink.hanging(line((f"{key:>12}  ", "$primary bold")), text, width)
    rows += [Content(""), line(("signs", BOLD))]
    for glyph, style, text in GLOSSARY:
        rows += ink.hanging(line((f"{glyph:>12}  ", style)), text, width)
    rows += [Content(""), line(("colours", BOLD))]
    rows += ink.hanging(Content(""), "Colour only repeats what a word or a sign says.", width)
    words = (("better", BETTER), ("worse", WORSE), ("best", BEST), ("set by hand", HAND), ("what matters less", QUIET))
    rows.append(ink.fit([line(word) for word in words], width, "  "))
    return ink.lines(rows)


class Help(Dialog[None]):
    """The dialogue."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark,q,enter", "cancel", show=False)]

    def __init__(self, pane: Pane | None, keys: Mapping[str, str]) -> None:
        super().__init__()
        self.add_class("-large")
        self._pane, self._keys = pane, keys

    def compose(self) -> ComposeResult:
        """See `Screen`."""
        with Vertical(id="box") as box:
            box.border_title = "help"
            box.border_subtitle = "Esc back   ↑ ↓ scroll"
            with VerticalScroll(id="scroll"):
                yield Static("", id="text")

    def on_mount(self) -> None:
        """See `Screen`."""
        self.query_one("#scroll").focus()

    def on_resize(self) -> None:
        """See `Screen`."""
        self.call_after_refresh(self._fill)

    def _fill(self) -> None:
        width = self.query_one("#scroll").scrollable_content_region.width
        self.query_one("#text", Static).update(help_text(self._pane, self._keys, width))
