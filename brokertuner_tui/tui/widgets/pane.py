"""A part of the screen: it shows a few facts of the model, and is drawn again only when those have changed."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from brokertuner_tui.tui.model import Model


class Pane(Widget, can_focus=True):
    """Base of all panes. Subclasses give `facts` and `view`, pure functions of the model."""

    NAME: ClassVar[str] = ""
    """In the border, in the help."""
    HELP: ClassVar[str] = ""
    """What it shows, for the help."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Details", show=False),
        Binding("left", "neighbour('left')", show=False),
        Binding("right", "neighbour('right')", show=False),
        Binding("up", "neighbour('up')", show=False),
        Binding("down", "neighbour('down')", show=False),
    ]

    class Opened(Message):
        """The operator wants to look into what the pane shows."""

        def __init__(self, pane: Pane) -> None:
            self.pane = pane
            super().__init__()

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.model = Model()
        self._facts: object = None
        self.border_title = self.NAME

    def facts(self, model: Model) -> object:
        """What this pane shows of the model, for comparison."""
        raise NotImplementedError

    def view(self, model: Model, width: int, height: int) -> Content:
        """The pane's lines for its size."""
        raise NotImplementedError

    def show(self, model: Model) -> None:
        """Takes a new model, and is drawn again if it shows something else now."""
        facts = self.facts(model)
        self.model = model
        if facts != self._facts:
            self._facts = facts
            self.changed()

    def changed(self) -> None:
        """What the pane shows has changed."""
        self.refresh()

    def render(self) -> Content:
        """See `Widget`."""
        return self.view(self.model, self.content_size.width, self.content_size.height)

    def action_open(self) -> None:
        """Enter."""
        self.post_message(self.Opened(self))

    def action_neighbour(self, direction: str) -> None:
        """An arrow: the focus goes to the nearest pane on that side, and stays where there is none."""
        mine = self.region
        best: tuple[float, Pane] | None = None
        for other in self.screen.query(Pane):
            if other is self or not other.focusable:
                continue
            dx = other.region.center[0] - mine.center[0]
            dy = other.region.center[1] - mine.center[1]
            # Beside means beside: a pane that starts before this one ends does not lie to its right.
            ahead = {
                "left": mine.x - other.region.right,
                "right": other.region.x - mine.right,
                "up": mine.y - other.region.bottom,
                "down": other.region.y - mine.bottom,
            }[direction]
            if ahead < 0:
                continue
            across = abs(dy) * 2 if direction in ("left", "right") else abs(dx) / 2
            distance = ahead + across
            if best is None or distance < best[0]:
                best = (distance, other)
        if best is not None:
            best[1].focus()
