"""The terminal app: drains the session's events, folds them, shows the result; ends in good order."""

from __future__ import annotations

import gc
import logging
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.filter import LineFilter, Monochrome, NoColor
from textual.message import Message
from textual.reactive import var
from textual.screen import Screen

from brokertuner_tui.errors import ExitCode
from brokertuner_tui.knobs.catalogue import Value
from brokertuner_tui.tui import filters, themes
from brokertuner_tui.tui.keys import APP_BINDINGS, COMMANDS, keymap_problems
from brokertuner_tui.tui.lifecycle import terminal_is_gone
from brokertuner_tui.tui.link import SessionLike, SessionLink
from brokertuner_tui.tui.model import Model, asked_for, leave
from brokertuner_tui.tui.options import Options
from brokertuner_tui.tui.screens.main import MainScreen

if TYPE_CHECKING:
    from brokertuner_tui.config.load import Loaded
    from brokertuner_tui.tuning.commands import Command
    from brokertuner_tui.workload.profile import Workload

log = logging.getLogger(__name__)

_REDRAW_S = 0.12
"""Least time between two redraws for news: the operator reads no faster, and the broker needs the core."""
_TICK_S = 0.2
_QUIET_MEMORY_S = 60.0
"""Garbage is collected from the second trial on, and after this long at the latest."""
_STOP_S = 25.0
"""How long the session may take to stop before the screen closes without it."""


class News(Message):
    """There are events to drain. Posted from the session's thread; one waiting in the queue stands for all."""

    def can_replace(self, message: Message) -> bool:
        """See `Message`."""
        return isinstance(message, News)


class TunerApp(App[int]):
    """The app. Everything that it does to the session goes through `link`."""

    TITLE = "brokertuner-tui"
    BINDINGS: ClassVar[list[BindingType]] = APP_BINDINGS
    # Of the default screen, which loads no file of its own; absolute, so that a subclass elsewhere finds it.
    CSS_PATH = Path(__file__).with_name("screens") / "main.tcss"
    NOTIFICATION_TIMEOUT: ClassVar[float] = 6

    model: var[Model] = var(Model(), always_update=True, init=False)

    def __init__(self, make_session: Callable[[], SessionLike], options: Options) -> None:
        super().__init__()
        self.options = options
        self.link = SessionLink(make_session, self._wake)
        self.main = MainScreen(self.send_to_session, self._asked, self.ask_to_leave)
        self.exit_code: int | None = None
        """What the process shall say at its end, if not what the session says."""
        self.crashed = ""
        self.crash_report: Path | None = None
        self.patience_s = _STOP_S
        """How long the process may wait for the session once the screen is gone."""
        self._loaded_themes = themes.load_themes(options.theme_folders)
        self.no_color = options.no_colour
        self._theme_problem = [problem] if (problem := self._choose_theme()) else []
        self._own_filters: list[LineFilter] = []
        if options.no_colour:
            self._own_filters.append(filters.NoColours(lambda: self.current_theme.background))
        if options.ascii:
            self._own_filters.append(filters.PlainCharacters())
        self._drawn_at = 0.0
        self._draw_planned = False
        self._stop_by: float | None = None

    # -- coming up -----------------------------------------------------------------------------------------------------

    def get_default_screen(self) -> Screen[None]:
        """See `App`."""
        return self.main

    def _choose_theme(self) -> str:
        """Brings the wanted theme into force, before any style is worked out; gives what was wrong with the wish."""
        for theme in self._loaded_themes.themes:
            self.register_theme(theme)
        wanted, problem = self.options.theme, ""
        if self.options.no_colour and "mono" in self.available_themes:
            wanted = "mono"  # the filter reads faint and filled off its greys
        elif wanted not in self.available_themes:
            known = ", ".join(theme.name for theme in self._loaded_themes.themes)
            problem = f"tui.theme = {wanted!r}: there is no such theme; known are {known}"
            wanted = themes.FALLBACK if themes.FALLBACK in self.available_themes else "textual-dark"
        # Not by assignment: what that sets off would work out every style twice before the first frame.
        self.set_reactive(App.theme, wanted)
        dark = self.current_theme.dark
        self.update_classes({"-dark-mode": dark, "-light-mode": not dark, f"-theme-{wanted}": True}, update=False)
        self.stylesheet.set_variables(self.get_css_variables())
        return problem

    def on_mount(self) -> None:
        """See `App`."""
        problems = [*self._loaded_themes.problems, *self._theme_problem]
        problems += keymap_problems(self.options.keymap)
        self.set_keymap(dict(self.options.keymap))
        if problems:
            self.notify("\n".join(problems), title="The screen's settings", severity="warning", timeout=20, markup=False)
        self.model = Model(started_at=time.time())
        # The first frame does not wait for the session, nor for anything that the session imports.
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        gc.disable()
        self.set_timer(_QUIET_MEMORY_S, self._settle_memory)
        self.link.open()
        self.set_interval(_TICK_S, self._tick)

    def _settle_memory(self) -> None:
        """Everything large is there (torch has a million objects): the collector need not look at it ever again.

        A full collection stops every thread, the one that draws too, and would take half a second.
        """
        if not gc.isenabled():
            gc.freeze()
            gc.enable()

    def on_unmount(self) -> None:
        """See `App`."""
        gc.enable()

    def get_css_variables(self) -> dict[str, str]:
        """See `App`; adds our roles to themes that do not know them."""
        return themes.complete(super().get_css_variables())

    def get_line_filters(self) -> Sequence[LineFilter]:
        """See `App`; our own way of NO_COLOR stands in for Textual's, which leaves greys."""
        kept = [kept for kept in super().get_line_filters() if not isinstance(kept, Monochrome | NoColor)]
        return [*kept, *self._own_filters]

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Everything that has a key, and what Textual brings of use."""
        for command in COMMANDS:
            action = getattr(self.main, f"action_{command.action}", None)
            if action is not None:
                yield SystemCommand(command.label, command.help, action)
        for own in super().get_system_commands(screen):
            if own.title not in ("Quit", "Maximize", "Minimize", "Keys"):
                yield own

    # -- the session ---------------------------------------------------------------------------------------------------

    def send_to_session(self, command: Command) -> None:
        """Hands a command on."""
        self.link.send(command)

    def _asked(self, knob: str, value: Value) -> None:
        self.model = asked_for(self.model, knob, value)

    def _wake(self) -> None:
        """In the session's thread."""
        self.post_message(News())

    @on(News)
    def _news(self) -> None:
        wait = self._drawn_at + _REDRAW_S - time.monotonic()
        if wait <= 0:
            self._take_news()
        elif not self._draw_planned:
            self._draw_planned = True
            self.set_timer(wait, self._take_news)

    def _take_news(self) -> None:
        self._draw_planned = False
        self._drawn_at = time.monotonic()
        events = self.link.drain()
        if events:
            from brokertuner_tui.tui.fold import fold

            self.model = fold(self.model, events)
            if len(self.model.points) > 1:
                self._settle_memory()
        if self.model.finished is not None and self.model.run is None:
            self._leave_now()  # it never began: the reason is one line, and belongs where the operator typed
        self._leave_if_ended()

    def watch_model(self, model: Model) -> None:
        """The one way to the widgets."""
        if self.main.is_mounted:
            with self.batch_update():
                self.main.show(model)

    def _tick(self) -> None:
        if self.main.is_mounted:
            self.main.tick()
        if terminal_is_gone():
            self.stop(ExitCode.TERMINATED, "the terminal is gone")
        self._leave_if_ended()

    # -- the end -------------------------------------------------------------------------------------------------------

    def ask_to_leave(self) -> None:
        """q: asks if the run would be cut short, at once if it is asked for again."""
        model = self.model
        if model.leaving:
            self._leave_at_once()
        elif self.link.ended or model.ended or model.concluded or not model.points:
            self.stop(None, "the broker and its load are being ended")
        else:
            from brokertuner_tui.tui.screens.confirm import Confirm

            done = f"{len(model.points)} of {model.total} trials are done and kept. "
            lost = "The best setting has not been confirmed against the default: quitting leaves it at that. "
            text = f"{done}{'' if model.confirmed else lost}The broker and its load are ended."
            self.push_screen(Confirm("Stop tuning and quit?", text, "Stop and quit"), self._answered)

    def _answered(self, yes: bool | None) -> None:
        if yes:
            self.stop(None, "the broker and its load are being ended")

    def action_interrupt(self) -> None:
        """Ctrl-C: does not ask; at once the second time."""
        if self.model.leaving:
            self._leave_at_once()
        else:
            self.stop(ExitCode.INTERRUPTED, "interrupted: the broker and its load are being ended")

    def stop(self, code: int | None, why: str) -> None:
        """Asks the session to stop and closes the screen when it has; `code` is what the process will say, if given."""
        if self._stop_by is not None:
            return
        self.exit_code = code
        self._stop_by = time.monotonic() + _STOP_S
        self.model = leave(self.model, why)
        if not self.link.ended:
            from brokertuner_tui.tuning.commands import Stop

            self.link.send(Stop())
        self._leave_if_ended()

    def _leave_if_ended(self) -> None:
        if self._stop_by is None:
            return
        if self.link.ended:
            self._leave_now()
        elif time.monotonic() > self._stop_by:
            log.error("the session did not stop within %s s", _STOP_S)
            self._leave_at_once()

    def _leave_at_once(self) -> None:
        self.patience_s = 0.5
        self._leave_now()

    def _leave_now(self) -> None:
        self.exit(return_code=self.exit_code or 0)

    def _fatal_error(self) -> None:
        """A crash: the whole of it goes to the log, one line to the terminal (Textual would print local variables)."""
        error = sys.exc_info()[1]
        log.critical("the screen crashed", exc_info=error)
        from brokertuner_tui import logs, redaction

        if error is not None:
            self.crash_report = logs.crash_report(error)
        self.crashed = redaction.without_secrets(f"the screen crashed: {type(error).__name__}: {error}")
        self._close_messages_no_wait()


def run_app(loaded: Loaded, workload: Workload, save_dir: Path, *, resume: str | None = None) -> int:
    """Tunes with the screen up, until the operator leaves; gives the exit code.

    Args:
        resume: the run that goes on; None: a new one.

    Raises:
        UsageError: there is no terminal.
    """
    from brokertuner_tui import paths
    from brokertuner_tui.tui.lifecycle import check_terminal, quick_switches, run

    check_terminal()
    tui = loaded.settings.tui
    options = Options(
        theme=tui.theme,
        ascii=tui.ascii or filters.needs_plain_characters(getattr(sys.__stderr__, "encoding", None)),
        keymap=tui.keymap,
        theme_folders=(paths.themes_dir(), paths.user_themes_dir()),
        log_file=save_dir / "logs" / "tui.log",
        no_colour=filters.wants_no_colour(),
    )

    def make_session() -> SessionLike:
        with quick_switches():
            from brokertuner_tui.tuning.session import TuningSession

            return TuningSession(loaded.settings, workload, save_dir, keep_open=True, resume=resume)

    return run(TunerApp(make_session, options))
