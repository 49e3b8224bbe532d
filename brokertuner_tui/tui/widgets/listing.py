"""A pane with a line for each of many things, one of them under the cursor. Only the lines in sight are made."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.reactive import reactive

from brokertuner_tui.tui import ink
from brokertuner_tui.tui.model import Model
from brokertuner_tui.tui.widgets.pane import Pane


class Listing(Pane):
    """Base of the knob table and the event log. Subclasses give `count`, `row` and, if they like, `heading`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "move(-1000000)", show=False),
        Binding("end", "move(1000000)", show=False),
    ]

    cursor = reactive(0)
    top = reactive(0)
    """The first row in sight."""

    def count(self, model: Model) -> int:
        """How many rows there are."""
        raise NotImplementedError

    def row(self, model: Model, index: int, width: int) -> Content:
        """One row."""
        raise NotImplementedError

    def heading(self, model: Model, width: int) -> Content | None:
        """A line above the rows that does not scroll; None: there is none."""
        return None

    def footing(self, model: Model, width: int, height: int) -> list[Content]:
        """Lines below the rows, at most `height`."""
        return []

    def view(self, model: Model, width: int, height: int) -> Content:
        """See `Pane`."""
        heading = self.heading(model, width)
        rows = [] if heading is None else [heading]
        for index in range(self.top, min(self.count(model), self.top + height - len(rows))):
            row = self.row(model, index, width).truncate(width, ellipsis=True, pad=True)
            if index == self.cursor and self.has_focus:
                # Glyphs keep their colours: only the ground changes, and everything is bold.
                ground = "reverse" if self.app.no_color else "on $cursor"
                row = row.stylize_before("bold").stylize(ground)
            rows.append(row)
        return ink.lines([*rows, *self.footing(model, width, height - len(rows))])

    @property
    def _heading_lines(self) -> int:
        return 0 if self.heading(self.model, 80) is None else 1

    @property
    def _room(self) -> int:
        return max(1, self.content_size.height - self._heading_lines)

    def changed(self) -> None:
        """See `Pane`."""
        self.cursor = max(0, min(self.cursor, self.count(self.model) - 1))
        self._into_sight()
        self.refresh()

    def on_resize(self) -> None:
        """See `Widget`."""
        self._into_sight()

    def watch_cursor(self) -> None:
        """The cursor went elsewhere."""
        self._into_sight()

    def watch_has_focus(self, _has_focus: bool) -> None:
        """The cursor is shown only where the keys go."""
        super().watch_has_focus(_has_focus)
        self.refresh()

    def _into_sight(self) -> None:
        top = min(self.top, max(0, self.count(self.model) - self._room))
        self.top = min(max(top, self.cursor - self._room + 1), self.cursor)

    def action_move(self, by: int) -> None:
        """Up, down, home, end; from the first and last row on to the next pane."""
        target = max(0, min(self.count(self.model) - 1, self.cursor + by))
        if target == self.cursor and abs(by) == 1:
            self.action_neighbour("up" if by < 0 else "down")
        self.cursor = target

    def action_page(self, by: int) -> None:
        """A pane's height up or down."""
        self.action_move(by * max(2, self._room - 1))

    def on_click(self, event: events.Click) -> None:
        """A click takes the cursor there; a second one opens it."""
        offset = event.get_content_offset(self)
        if offset is None or offset.y < self._heading_lines:
            return
        index = offset.y - self._heading_lines + self.top
        if index < self.count(self.model):
            self.cursor = index
            if event.chain == 2:
                self.action_open()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel moves the cursor: what is out of sight is never under it."""
        event.stop()
        self.cursor = max(0, min(self.count(self.model) - 1, self.cursor + 3))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """See above."""
        event.stop()
        self.cursor = max(0, self.cursor - 3)
