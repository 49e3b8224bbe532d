"""The knob table: what is in force, against the default and the best, and how each takes effect."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from textual.content import Content

from brokertuner_tui.knobs.catalogue import BY_NAME, NAMES, Value, inert
from brokertuner_tui.tui.format import DASH, knob_value, range_share, range_text
from brokertuner_tui.tui.ink import ACCENT, BEST, BOLD, HAND, LINE, QUIET, Part, cell, line
from brokertuner_tui.tui.model import Model
from brokertuner_tui.tui.widgets.listing import Listing

_NAME, _WIDE_FROM = 22, 84
GLYPHS = {"restart": "↻", "reload": "⟳"}


def range_bar(name: str, width: int, value: Value | None, default: Value | None, best: Value | None) -> Content:
    """The knob's range on its own scale: ● the value, ┼ the default, ◆ the best where it is elsewhere."""
    cells: list[Part] = [("─", LINE)] * width
    for shown, glyph, style in ((default, "┼", QUIET), (best, "◆", BEST), (value, "●", "$primary")):
        if shown is not None:
            cells[round(range_share(name, shown) * (width - 1))] = (glyph, style)
    return line(*cells)


def note(name: str, model: Model, room: int = 40) -> Content:
    """What is to be said about a knob: asked for, changed, set by hand, pinned, inert."""
    parts: list[Content] = []
    pinned = name in model.pinned
    if name in model.asked:
        parts.append(line((f"→ {knob_value(name, model.asked[name])} asked for", HAND)))
    elif name in model.changed:
        old, new = model.changed[name], model.knobs[name]
        raised = range_share(name, new) > range_share(name, old)
        style = HAND if name in model.by_hand else ACCENT
        arrow, text = "▲" if raised else "▼", knob_value(name, old, brief=True)
        was = "was " if len(text) + 6 + 9 * pinned <= room else ""
        parts.append(line((f"{arrow} {was}{text}", style)))
    elif name in model.by_hand:
        parts.append(line(("● by hand", HAND)))
    if pinned:
        parts.append(line(("■ pinned" if not parts or room >= 24 else "■", HAND)))
    if model.knobs and name in inert(model.knobs):
        parts.append(line(("· inert", QUIET)))
    return Content(" ").join(parts)


def value_style(name: str, model: Model) -> str:
    """Yellow for what the operator set, bold for what changed, faint for what cannot matter."""
    if name in model.by_hand or name in model.pinned:
        return f"{HAND} {BOLD}" if name in model.changed else HAND
    if name in model.changed:
        return BOLD
    return QUIET if model.knobs and name in inert(model.knobs) else ""


class KnobTable(Listing):
    """The pane."""

    NAME = "knobs"
    HELP = (
        "The broker's settings that are tuned. The line is a knob's range, logarithmic: ● in force, ┼ the default, ◆ the "
        "best. ↻ takes a restart of the broker, ⟳ a reload. ▲ ▼ changed since the trial before; ■ pinned: the agent leaves "
        "it alone; · inert: another knob keeps it from mattering; yellow: set by hand."
    )

    @property
    def knob(self) -> str:
        """The knob under the cursor."""
        return NAMES[self.cursor]

    def facts(self, model: Model) -> object:
        """See `Pane`."""
        best = model.best
        return (
            model.knobs, model.before, model.pinned, model.asked, model.by_hand, best and best.trial, model.defaults,
        )  # fmt: skip

    def changed(self) -> None:
        """See `Pane`."""
        model = self.model
        counts = [(len(model.changed), "changed"), (len(model.pinned), "pinned")]
        counts.append((len(inert(model.knobs)) if model.knobs else 0, "inert"))
        self.border_subtitle = " · ".join(f"{count} {word}" for count, word in counts if count)
        super().changed()

    def count(self, model: Model) -> int:
        """See `Listing`."""
        return len(NAMES)

    def heading(self, model: Model, width: int) -> Content:
        """See `Listing`."""
        columns = _Columns.of(width)
        parts: list[Part] = [cell("knob", _NAME), cell("value", columns.value, right=True), " "]
        if columns.bar:
            parts.append(cell("range", columns.bar + 1))
        parts += [cell("default", columns.other, right=True), cell("best", columns.other, right=True)]
        parts.append(" applies   changed" if columns.bar else "   changed")
        return line(*parts).stylize(QUIET)

    def row(self, model: Model, index: int, width: int) -> Content:
        """See `Listing`."""
        name = NAMES[index]
        knob, columns = BY_NAME[name], _Columns.of(width)
        value, default = model.knobs.get(name), model.defaults.get(name)
        best = model.best.outcome.knobs.get(name) if model.best else None
        faint = QUIET if model.knobs and name in inert(model.knobs) else ""
        text = DASH if value is None else knob_value(name, value)
        parts: list[Part] = [cell(name, _NAME, faint), cell(text, columns.value, value_style(name, model), right=True), " "]
        if columns.bar:
            parts += [range_bar(name, columns.bar, value, default, best), " "]
        parts.append(cell(DASH if default is None else knob_value(name, default, brief=True), columns.other, QUIET, right=True))
        text = DASH if best is None else knob_value(name, best, brief=True)
        parts.append(cell(text, columns.other, QUIET if best is None or best == default else BEST, right=True))
        parts.append((f" {GLYPHS[knob.applies]}" + (f" {knob.applies:<7}" if columns.bar else "") + " ", QUIET))
        head = line(*parts)
        return head + note(name, model, width - head.cell_length)

    def footing(self, model: Model, width: int, height: int) -> list[Content]:
        """See `Listing`: with room, what the knob under the cursor means."""
        knob = BY_NAME[self.knob]
        if height < 3:
            return [line((knob.meaning, QUIET)).truncate(width, ellipsis=True)] if height == 1 else []
        rows = [Content(""), line((knob.name, BOLD), "  ", (range_text(knob), QUIET))]
        texts = [knob.meaning, knob.versions, f"Inert with {knob.inert_when}." if knob.inert_when else ""]
        rows += [line((part, QUIET)) for text in texts for part in textwrap.wrap(text, max(20, width))]
        return rows[:height]


@dataclass(frozen=True, slots=True)
class _Columns:
    """Widths of the columns; without `bar` there is no room for the range, nor for words where a glyph will do."""

    value: int
    bar: int
    other: int

    @classmethod
    def of(cls, width: int) -> _Columns:
        if width < _WIDE_FROM:
            return cls(12, 0, 10)
        spare = width - 90
        return cls(12, min(31, 12 + max(0, spare) // 2), 9 if spare < 20 else 12)
