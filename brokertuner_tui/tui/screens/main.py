"""The dashboard: where the panes are, and what the operator's keys ask of the session."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.screen import Screen

from brokertuner_tui.knobs.catalogue import Value
from brokertuner_tui.tui.keys import screen_bindings
from brokertuner_tui.tui.lazy import LazyModule
from brokertuner_tui.tui.model import Model
from brokertuner_tui.tui.widgets.agent import AgentPane
from brokertuner_tui.tui.widgets.goodput import GoodputPane
from brokertuner_tui.tui.widgets.keybar import KeyBar
from brokertuner_tui.tui.widgets.knobs import KnobTable
from brokertuner_tui.tui.widgets.latency import LatencyPane
from brokertuner_tui.tui.widgets.log import EventLog
from brokertuner_tui.tui.widgets.machines import BrokerPane, LoadPane
from brokertuner_tui.tui.widgets.pane import Pane
from brokertuner_tui.tui.widgets.status import StatusBar

if TYPE_CHECKING:
    from brokertuner_tui.tuning import commands
else:
    commands = LazyModule("brokertuner_tui.tuning.commands")


_WIDE, _TALL = 116, 34
"""Columns and lines from which there is room for boxes."""


class MainScreen(Screen[None]):
    """The panes, and the operator's actions.

    Args:
        send: takes a command for the session.
        asked: is told of a value that was sent for a knob.
        leave: takes the wish to quit.
    """

    AUTO_FOCUS = "#knobs"
    # Not class variables for mypy: Textual declares them on the instance.
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (_WIDE, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (22, "-short"), (_TALL, "-tall"), (50, "-high")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [*screen_bindings(), Binding("escape", "back", "Back", show=False)]

    def __init__(
        self,
        send: Callable[[commands.Command], None],
        asked: Callable[[str, Value], None],
        leave: Callable[[], None],
    ) -> None:
        super().__init__()
        # Textual finds the size out after it has laid everything out once; a guess saves doing that twice.
        width, height = shutil.get_terminal_size()
        self.set_class(width >= _WIDE, "-wide").set_class(height >= _TALL, "-tall").set_class(width < _WIDE, "-narrow")
        self._send, self._asked, self._leave = send, asked, leave
        self.model = Model()

    def compose(self) -> ComposeResult:
        """See `Screen`."""
        yield StatusBar()
        with Container(id="body"):
            yield GoodputPane(id="goodput")
            yield LatencyPane(id="latency")
            yield KnobTable(id="knobs")
            with Container(id="side"):
                yield BrokerPane(id="broker")
                yield LoadPane(id="load")
                yield AgentPane(id="agent")
            yield EventLog(id="events")
        yield KeyBar()

    def show(self, model: Model) -> None:
        """Takes a new model; only panes whose facts have changed are drawn."""
        self.model = model
        # Queries, not references: while the app closes, news may come when the widgets are gone already.
        for status in self.query(StatusBar):
            status.show(model)
        for pane in self.query(Pane):
            pane.show(model)
        for bar in self.query(KeyBar):
            bar.show(model, self.knob)

    def tick(self) -> None:
        """Time has gone on."""
        for status in self.query(StatusBar):
            status.tick()

    @property
    def knob(self) -> str:
        """The knob under the cursor."""
        return self.query_one(KnobTable).knob

    # -- what asks nothing ---------------------------------------------------------------------------------------------

    def action_pause(self) -> None:
        """Space."""
        if self._is_there("tune") and self._is_settled():
            self._send(commands.Resume() if self.model.state == "paused" else commands.Pause())

    def action_step(self) -> None:
        """s."""
        if self._is_there("run a trial") and self._is_settled():
            self._send(commands.Step())

    def action_pin(self) -> None:
        """p."""
        if self._is_there("pin a knob"):
            self._send(commands.Unpin(self.knob) if self.knob in self.model.pinned else commands.Pin(self.knob))

    def action_restart_load(self) -> None:
        """w."""
        if self._is_there("restart the load"):
            self._send(commands.RestartLoad())
            self.notify("The load is being restarted.", timeout=3)

    def action_best(self) -> None:
        """b."""
        if self._may_change("apply the best"):
            self._send(commands.ApplyBest())

    def action_defaults(self) -> None:
        """d."""
        if self._may_change("apply the defaults"):
            self._send(commands.ApplyDefaults())

    def action_leave(self) -> None:
        """q."""
        self._leave()

    def _is_there(self, wish: str) -> bool:
        """Whether there is a session to ask; says so if not."""
        if self.model.run is None and not self.model.ended:
            self.notify(f"There is no broker yet to {wish} on.", severity="warning", timeout=3)
            return False
        if self.model.ended or self.model.state == "stopping" or self.model.leaving:
            self.notify(f"The run is over: nothing is left to {wish} on.", severity="warning", timeout=3)
            return False
        return True

    def _may_change(self, wish: str) -> bool:
        """Whether there is a session that may change the broker; says so if not."""
        if not self._is_there(wish):
            return False
        if self.model.reads_only:
            self.notify(f"This session only reads (--read-only): it does not {wish}.", severity="warning", timeout=4)
            return False
        return True

    def _is_settled(self) -> bool:
        """Whether nobody else has changed the broker; if somebody has, that is to be answered first, or left alone."""
        if self.model.drift is None:
            return True
        self.notify("Somebody else has changed the broker: say first what counts (a).", severity="warning", timeout=4)
        return False

    # -- what opens something ------------------------------------------------------------------------------------------

    def action_edit(self) -> None:
        """e."""
        if not self._may_change("set a knob"):
            return
        from brokertuner_tui.tui.screens.edit import Edit, EditKnob

        name = self.knob

        def take(edit: Edit | None) -> None:
            if edit is None:
                return
            if edit.pin:
                self._send(commands.Pin(name, edit.value))
            self._send(commands.SetKnob(name, edit.value))
            self._asked(name, edit.value)

        clients = self.model.sample.load.connected if self.model.sample else 0
        self.app.push_screen(EditKnob(name, self.model, clients), take)

    def action_answer(self) -> None:
        """a."""
        from brokertuner_tui.tui.screens.answer import Word, question_for

        question = question_for(self.model) if self.model.question else None
        if question is None:
            self.notify("Nothing waits for an answer.", timeout=3)
            return

        def take(word: Word | None) -> None:
            if word in ("ours", "theirs"):
                self._send(commands.Reconcile(word))
            elif word is not None:
                self._send(commands.ApplyProposal() if word == "apply" else commands.SkipProposal())

        self.app.push_screen(question, take)

    def action_restart_broker(self) -> None:
        """R."""
        if not self._may_change("restart it"):
            return
        from brokertuner_tui.tui.screens.confirm import Confirm

        clients = self.model.sample.load.connected if self.model.sample else 0
        self.app.push_screen(
            Confirm(
                "Restart the broker?",
                f"{clients} clients lose their connection and come back. The knobs stay as they are; a trial that is being "
                "measured counts as inconclusive.",
                "Restart",
            ),
            lambda yes: self._send(commands.RestartBroker()) if yes else None,
        )

    def action_help(self) -> None:
        """?"""
        from brokertuner_tui.tui.screens.help import Help

        focused = self.focused if isinstance(self.focused, Pane) else None
        keys = {active.binding.id: self.app.get_key_display(active.binding) for active in self.active_bindings.values()}
        self.app.push_screen(Help(focused, {key: value for key, value in keys.items() if key}))

    def action_learned(self) -> None:
        """i."""
        from brokertuner_tui.tui.screens.learned import Learned

        self.app.push_screen(Learned(self.model))

    @on(Pane.Opened)
    def _open(self, message: Pane.Opened) -> None:
        from brokertuner_tui.tui.screens import details

        message.stop()
        screen = details.for_pane(message.pane, self.model)
        if screen is not None:
            self.app.push_screen(screen)

    # -- zoom ----------------------------------------------------------------------------------------------------------

    def action_zoom(self) -> None:
        """z."""
        if self.has_class("-zoomed"):
            self._zoom(None)
        elif isinstance(self.focused, Pane):
            self._zoom(self.focused)

    def action_back(self) -> None:
        """Escape."""
        self._zoom(None)

    def _zoom(self, pane: Pane | None) -> None:
        with self.app.batch_update():
            self.set_class(pane is not None, "-zoomed")
            for other in self.query(Pane):
                other.set_class(other is pane, "-zoom")
            self.query_one("#side").set_class(pane is not None and pane.parent is self.query_one("#side"), "-zoom")
        if pane is not None:
            pane.focus()
