"""Asks before something that costs."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.widgets import Button, Static

from brokertuner_tui.tui.screens.dialog import Dialog


class Confirm(Dialog[bool]):
    """A question; Cancel has the focus. The answer is True only for the other button (or `y`)."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", show=False),
        Binding("n,q", "answer(False)", show=False),
        Binding("left,right,up,down", "app.focus_next", show=False),
    ]

    def __init__(self, question: str, consequences: str, yes: str) -> None:
        super().__init__()
        self._question, self._consequences, self._yes = question, consequences, yes

    def compose(self) -> ComposeResult:
        """See `Screen`."""
        with Vertical(id="box") as box:
            box.border_title = self._question
            box.border_subtitle = "y yes   n no"
            yield Static(self._consequences, markup=False)
            with Container(id="choices"):
                yield Button("Cancel", id="no", compact=True)
                yield Button(self._yes, id="yes", variant="warning", compact=True)

    def on_mount(self) -> None:
        """See `Screen`."""
        self.query_one("#no").focus()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        """y or n."""
        self.dismiss(yes)
