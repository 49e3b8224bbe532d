"""The footer: the keys that mean something now, as they are mapped; they can be clicked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textual import events
from textual.content import Content
from textual.widget import Widget

from brokertuner_tui.tui.ink import line
from brokertuner_tui.tui.keys import BY_ID, COMMANDS, KeyCommand
from brokertuner_tui.tui.model import Model


def label_for(command: KeyCommand, model: Model, knob: str | None, *, short: bool) -> str:
    """What the key would do now."""
    if command.id == "pause" and model.state == "paused":
        return "Resume"
    if command.id == "pin" and knob in model.pinned:
        return "Unpin"
    return command.short if short else command.label


@dataclass(frozen=True, slots=True)
class Entry:
    """A key in the footer: the cells that it takes, and what a click on it does."""

    start: int
    end: int
    action: str


def offered(model: Model) -> list[KeyCommand]:
    """The commands that a session takes: one that only reads takes none that change the broker."""
    return [command for command in COMMANDS if not (command.changes and model.reads_only)]


def key_line(model: Model, knob: str | None, keys: Mapping[str, str], width: int) -> tuple[Content, list[Entry]]:
    """The footer's line, and where each key is; `keys` gives for each command the key that is shown."""
    commands = offered(model)
    asked = [command for command in commands if command.footer == "asked" and command.id in keys and model.question]
    shown = asked + [command for command in commands if command.footer == "always" and command.id in keys]
    more = [command for command in commands if command.footer == "wide" and command.id in keys]
    narrowest = sum(len(keys[command.id]) + 2 + len(label_for(command, model, knob, short=True)) for command in shown)
    while narrowest > width and len(shown) > 2:
        # What help and the palette can tell as well goes first; the way to them, and out, stays.
        gone = shown.pop(-3)
        narrowest -= len(keys[gone.id]) + 2 + len(label_for(gone, model, knob, short=True))
    content = Content("")
    entries: list[Entry] = []
    for short, gap, palette in ((False, "  ", True), (False, "  ", False), (True, "  ", False), (True, " ", False)):
        content, entries = Content(" "), []
        for command in shown + (more if palette else []):
            content = _add(content, entries, command, label_for(command, model, knob, short=short), keys) + gap
        content = content.right_crop(len(gap))
        if not palette:
            if content.cell_length <= width:
                break
            continue
        tail = len(keys.get("palette", "^p")) + len(" palette") + 1
        if content.cell_length + tail + 2 <= width:
            content += " " * (width - content.cell_length - tail)
            content = _add(content, entries, BY_ID["palette"], "palette", keys)
            break
    return content, entries


def _add(content: Content, entries: list[Entry], command: KeyCommand, label: str, keys: Mapping[str, str]) -> Content:
    start = content.cell_length
    content += line((keys.get(command.id, "^p"), "$footer-key-foreground bold"), " ", label)
    action = "app.command_palette" if command.id == "palette" else f"screen.{command.action}"
    entries.append(Entry(start, content.cell_length, action))
    return content


class KeyBar(Widget):
    """The line."""

    def __init__(self) -> None:
        super().__init__(id="keys")
        self._shown: tuple[object, ...] = ()
        self._entries: list[Entry] = []
        self._model = Model()
        self._knob: str | None = None

    def show(self, model: Model, knob: str | None) -> None:
        """Takes a new model and the knob under the cursor."""
        shown = (model.state == "paused", knob in model.pinned if knob else False, bool(model.question), model.reads_only)
        self._model, self._knob = model, knob
        if shown != self._shown:
            self._shown = shown
            self.refresh()

    def render(self) -> Content:
        """See `Widget`."""
        content, self._entries = key_line(self._model, self._knob, self._keys(), self.size.width)
        return content

    async def on_click(self, event: events.Click) -> None:
        """A click does what the key does."""
        for entry in self._entries:
            if entry.start <= event.x < entry.end:
                await self.run_action(entry.action)

    def _keys(self) -> dict[str, str]:
        keys: dict[str, str] = {}
        for active in self.screen.active_bindings.values():
            if active.binding.id is not None and active.binding.id in BY_ID:
                keys.setdefault(active.binding.id, self.app.get_key_display(active.binding))
        return keys
