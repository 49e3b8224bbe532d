"""What waits for a person's word: a proposal of the agent's, or a broker that somebody else has changed."""

from __future__ import annotations

from typing import ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.widgets import Button, Static

from brokertuner_tui.tui.model import Model
from brokertuner_tui.tui.screens.dialog import Dialog
from brokertuner_tui.tui.sentences import change_text, difference_text

Word = Literal["apply", "skip", "ours", "theirs"]


class Answer(Dialog[Word]):
    """A question with two answers and a way out; the way out has the focus.

    Args:
        text: what is known, line by line.
        choices: an answer, its key and its label.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "cancel", show=False),
        Binding("left,up", "app.focus_previous", show=False),
        Binding("right,down", "app.focus_next", show=False),
    ]

    def __init__(self, question: str, text: str, choices: tuple[tuple[Word, str, str], ...]) -> None:
        super().__init__()
        self._question, self._text, self._choices = question, text, choices

    def compose(self) -> ComposeResult:
        """See `Screen`."""
        with Vertical(id="box") as box:
            box.border_title = self._question
            box.border_subtitle = "   ".join(f"{key} {label.lower()}" for _, key, label in self._choices)
            yield Static(self._text, markup=False)
            with Container(id="choices"):
                yield Button("Later", id="later", compact=True)
                for word, _, label in self._choices:
                    yield Button(label, id=word, variant="warning", compact=True)

    def on_mount(self) -> None:
        """See `Screen`."""
        self.query_one("#later").focus()
        for word, key, _ in self._choices:
            self._bindings.bind(key, f"answer('{word}')", show=False)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(next((word for word, _, _ in self._choices if word == event.button.id), None))

    def action_answer(self, word: Word) -> None:
        """One of the keys."""
        self.dismiss(word)


def question_for(model: Model) -> Answer | None:
    """The dialogue for what waits; a changed broker comes first. None where nothing does."""
    if model.drift is not None:
        theirs: tuple[Word, str, str] = ("theirs", "t", "Theirs")
        lines = [
            "Somebody else has changed the broker. Nothing of it is overwritten unless you say so.",
            "",
            *(difference_text(difference) for difference in model.drift.differences),
            "",
            "Theirs: the session goes on from what is there now.",
        ]
        if model.reads_only:
            return Answer("The broker was changed", "\n".join(lines), (theirs,))
        lines[-1] = f"Ours: our knobs are brought into force again, and verified. {lines[-1]}"
        return Answer("The broker was changed", "\n".join(lines), (("ours", "o", "Ours"), theirs))
    if model.proposal is not None:
        proposal = model.proposal
        changes = [
            change_text(name, model.knobs[name], proposal.knobs[name]) for name in proposal.changed if name in model.knobs
        ]
        clients = model.sample.load.connected if model.sample else 0
        cost = (
            f"Needs a restart: {clients} clients lose their connection." if proposal.needs_restart else "Needs a reload only."
        )
        text = "\n".join([proposal.why, "", *(changes or ["no knob changes: it is measured again"]), "", cost])
        skip: tuple[Word, str, str] = ("skip", "n", "Another one")
        if model.reads_only:
            text += " This session only reads: apply it yourself if you like it, and it is measured."
            return Answer(f"Proposal for trial {proposal.trial}", text, (skip,))
        return Answer(f"Proposal for trial {proposal.trial}", text, (("apply", "y", "Apply"), skip))
    return None
