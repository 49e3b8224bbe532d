"""The operator's commands, once: keys, footer, command palette and help are made of this table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from textual.binding import Binding, BindingType
from textual.keys import format_key


@dataclass(frozen=True, slots=True)
class KeyCommand:
    """Something to ask for by a key. `id` is what `tui.keymap` in the config calls it."""

    id: str
    key: str
    label: str
    """In the footer."""
    short: str
    """In the footer of a narrow terminal."""
    help: str
    footer: Literal["always", "wide", "asked", "never"] = "always"
    """`asked`: first of all, while something waits for an answer."""
    changes: bool = False
    """Whether it changes the broker: not offered where a session only reads."""

    @property
    def action(self) -> str:
        """The name of the main screen's action."""
        return self.id.replace("-", "_")


COMMANDS: tuple[KeyCommand, ...] = (
    KeyCommand("pause", "space", "Pause", "Pause", "Pause tuning, or go on. While paused nothing changes on the broker."),
    KeyCommand("step", "s", "Step", "Step", "Run one trial, then pause."),
    KeyCommand("pin", "p", "Pin", "Pin", "Pin the knob under the cursor: the agent leaves it where it is. Again: let it go."),
    KeyCommand("edit", "e", "Edit", "Edit", "Set a value for the knob under the cursor.", changes=True),
    KeyCommand(
        "restart-broker",
        "R",
        "Restart broker",
        "Broker",
        "Restart the broker with the knobs in force. Asks first.",
        changes=True,
    ),
    KeyCommand("restart-load", "w", "Restart load", "Load", "End the load's process and start it again."),
    KeyCommand("best", "b", "Apply best", "Best", "Bring the best setting so far into force, and pause.", changes=True),
    KeyCommand("defaults", "d", "Defaults", "Dflt", "Bring the broker's own defaults into force, and pause.", changes=True),
    KeyCommand(
        "answer",
        "a",
        "Answer",
        "Answer",
        "Answer what waits for you: a proposal, or a broker that somebody else has changed.",
        footer="asked",
    ),
    KeyCommand(
        "learned",
        "i",
        "Learned",
        "Learned",
        "What the run has taught: which knobs matter, and how flat the optimum is.",
        footer="wide",
    ),
    KeyCommand("help", "question_mark", "Help", "Help", "This help."),
    KeyCommand("leave", "q", "Quit", "Quit", "Stop tuning, leave the broker as it was asked for, and quit."),
    KeyCommand("zoom", "z", "Zoom", "Zoom", "Give the pane with the focus the whole screen, or put it back.", footer="wide"),
    KeyCommand(
        "details", "enter", "Details", "Details", "Look into what has the focus: a knob, a trial, a line.", footer="never"
    ),
    KeyCommand("palette", "ctrl+p", "palette", "palette", "All commands and themes, by name.", footer="never"),
)
BY_ID: Mapping[str, KeyCommand] = {command.id: command for command in COMMANDS}


_ELSEWHERE = ("palette", "details")
"""Bound by Textual and by the panes."""


def screen_bindings() -> list[BindingType]:
    """For the main screen: remappable by id, shown by our own footer."""
    return [
        Binding(command.key, command.action, command.label, show=False, id=command.id)
        for command in COMMANDS
        if command.id not in _ELSEWHERE
    ]


APP_BINDINGS: list[BindingType] = [
    # Ctrl-C ends it everywhere, whatever has the focus; Textual's own answer to it is a hint how to quit.
    Binding("ctrl+c", "interrupt", "Quit", show=False, priority=True),
    Binding("ctrl+q", "interrupt", "Quit", show=False, priority=True),
]


def keymap_problems(keymap: Mapping[str, str]) -> list[str]:
    """What is wrong with `tui.keymap`: names of no command, and keys that several commands would have."""
    known = [command.id for command in COMMANDS if command.id not in _ELSEWHERE]
    problems = [f"tui.keymap.{name}: no such command; known are {', '.join(known)}" for name in keymap if name not in known]
    owners: dict[str, str] = {}
    for name in known:
        for key in keymap.get(name, BY_ID[name].key).split(","):
            shown = format_key(key.strip())
            if shown in owners:
                problems.append(f"tui.keymap: {shown} is the key of {owners[shown]} and of {name}")
            owners.setdefault(shown, name)
    return problems
