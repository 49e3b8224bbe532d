"""Sets a knob by hand: what it means, what it may be, what it costs, and the value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.content import Content
from textual.widgets import Button, Checkbox, Input, Static

from brokertuner_tui.errors import UsageError
from brokertuner_tui.knobs.catalogue import BY_NAME, Knob, Value, inert
from brokertuner_tui.knobs.validation import KnobError, parse
from brokertuner_tui.tui import ink
from brokertuner_tui.tui.format import DASH, knob_value, range_text
from brokertuner_tui.tui.ink import HAND, QUIET, line
from brokertuner_tui.tui.model import Model
from brokertuner_tui.tui.screens.dialog import Dialog
from brokertuner_tui.tui.widgets.knobs import GLYPHS

_WIDTH = 76
"""Of the box, as in dialog.tcss."""


@dataclass(frozen=True, slots=True)
class Edit:
    """What the operator wants."""

    value: Value
    pin: bool


def cost_text(knob: Knob, clients: int) -> str:
    """What it takes to bring a new value into force."""
    if knob.applies == "restart":
        return f"{GLYPHS['restart']} restarts the broker; {clients} clients lose their connection and come back"
    return f"{GLYPHS['reload']} a reload; connections stay"


class PinBox(Checkbox):
    """Empty when it is off: Textual's own shows a cross then, too, and tells on from off by colour alone."""

    @property
    def BUTTON_INNER(self) -> str:  # type: ignore[override]
        """See `Checkbox`."""
        return "✓" if self.value else " "


class EditKnob(Dialog[Edit]):
    """The dialogue."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "app.focus_previous", show=False),
        Binding("down", "app.focus_next", show=False),
    ]

    def __init__(self, name: str, model: Model, clients: int) -> None:
        super().__init__()
        self._knob, self._model, self._clients = BY_NAME[name], model, clients

    def compose(self) -> ComposeResult:
        """See `Screen`."""
        knob = self._knob
        current = self._model.knobs.get(knob.name)
        with Vertical(id="box") as box:
            box.border_title = knob.name
            box.border_subtitle = "Enter set   Esc cancel"
            yield Static(self._facts(), id="facts")
            yield Input(value="" if current is None else _typed(current), id="value", select_on_focus=True, compact=True)
            yield Static("", id="problem", markup=False)
            yield PinBox("pin it: the agent leaves it there", value=knob.name in self._model.pinned, id="pin", compact=True)
            with Container(id="choices"):
                yield Button("Cancel", id="no", compact=True)
                yield Button("Set", id="yes", variant="primary", compact=True)

    def on_mount(self) -> None:
        """See `Screen`."""
        self.query_one(Input).focus()

    def _facts(self) -> Content:
        knob, model = self._knob, self._model
        current, default = model.knobs.get(knob.name), model.defaults.get(knob.name)
        best = model.best.outcome.knobs.get(knob.name) if model.best else None
        width = min(_WIDTH, self.app.size.width) - 6
        rows = [*ink.hanging(Content(""), knob.meaning, width), Content("")]
        for label, text in (
            ("now", DASH if current is None else knob_value(knob.name, current, long=True)),
            ("default", DASH if default is None else knob_value(knob.name, default, long=True)),
            ("best", DASH if best is None else knob_value(knob.name, best, long=True)),
            ("range", range_text(knob)),
            ("applies", cost_text(knob, self._clients)),
        ):
            rows += ink.hanging(line((f"{label:<9}", QUIET)), text, width)
        if knob.inert_when and model.knobs and knob.name in inert(model.knobs):
            rows.append(line((f"· inert now: {knob.inert_when}", HAND)))
        return ink.lines(rows)

    def _read(self, text: str) -> Value | None:
        """The value, or None with the reason on the screen."""
        problem = self.query_one("#problem", Static)
        try:
            value = parse(self._knob.name, text)
        except KnobError as error:
            problem.update(f"✗ {error.reason}")
            return None
        except UsageError as error:
            problem.update(f"✗ {error}")
            return None
        problem.update("")
        return value

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        self._read(event.value)

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self._set()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "yes":
            self._set()
        else:
            self.dismiss(None)

    def _set(self) -> None:
        value = self._read(self.query_one(Input).value)
        if value is None:
            self.query_one(Input).focus()
        else:
            self.dismiss(Edit(value, self.query_one(Checkbox).value))


def _typed(value: Value) -> str:
    """A value as it may be typed."""
    return ("on" if value else "off") if isinstance(value, bool) else str(value)
