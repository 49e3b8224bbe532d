"""The process around the screen: signals, logging, the terminal, and an end that always comes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import signal
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from brokertuner_tui.errors import ExitCode, UsageError
from brokertuner_tui.tui.format import clock, plural

if TYPE_CHECKING:
    from brokertuner_tui.tui.app import TunerApp

log = logging.getLogger(__name__)

_SESSION_S = 25.0
"""For the session to stop: broker and load ended, the store closed."""
_SCREEN_S = 2.0
"""For the screen to close after that; a terminal that is gone may hold it for ever."""
_RESTORE = (
    "\x1b[<u\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1016l"
    "\x1b[?2004l\x1b[?1004l\x1b[?2048l\x1b[?7h\x1b[?1049l\x1b[?25h\x1b[0m"
)


def check_terminal() -> None:
    """Raises UsageError when there is no terminal to draw on."""
    if not (sys.__stdin__ and sys.__stdin__.isatty() and sys.__stderr__ and sys.__stderr__.isatty()):
        raise UsageError("launch needs a terminal; without one use `brokertuner-tui train`")


def terminal_is_gone() -> bool:
    """Whether the other side of the terminal has hung up (the signal for that may have been blocked, or gone elsewhere)."""
    try:
        poll = select.poll()
        poll.register(sys.__stdin__.fileno(), 0)  # type: ignore[union-attr]
        return any(events & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, events in poll.poll(0))
    except (AttributeError, OSError, ValueError):
        return False


@contextlib.contextmanager
def quick_switches() -> Iterator[None]:
    """Threads give way to each other more often, for as long as one of them imports what is large."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.001)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def run(app: TunerApp) -> int:
    """Runs the app to its end and the session to its own; gives the exit code.

    Raises:
        TunerError: the session failed, or could not be made.
    """
    guard = _Guard(app)
    with _logging_to(app.options.log_file), guard:
        app.run()
        stopped = app.link.close(app.patience_s)
    if app.crashed:
        where = f"; the log says more: {app.options.log_file}" if app.options.log_file else ""
        report = f"; crash report: {app.crash_report}" if app.crash_report else ""
        print(f"{app.crashed}{where}{report}", file=sys.stderr)
    _say_what_came_of_it(app)
    if not stopped:
        print("the session did not stop in time; its broker and load are ended with this process", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        # Its thread may hold the interpreter up for ever; the reaper (process/reaper.py) sees to the children.
        os._exit(guard.code or app.exit_code or ExitCode.FAILED)
    if guard.code is not None:
        return guard.code
    if app.crashed or app.return_code:
        return app.return_code or ExitCode.FAILED
    if app.link.error is not None:
        raise app.link.error
    return app.exit_code or ExitCode.DONE


def _say_what_came_of_it(app: TunerApp) -> None:
    from brokertuner_tui.tui.sentences import confirmed_factor

    summary, model = app.link.summary, app.model
    if summary is None or not summary.run:
        return
    print(f"run {summary.run} {summary.state}: {plural(summary.trials, 'trial')} in {clock(summary.seconds)}")
    if model.confirmed is not None and model.confirmed.better:
        print(f"confirmed: best is {confirmed_factor(model.confirmed)}")
    if summary.conf_path:
        print(f"the config to take away: {summary.conf_path}")
    print(f"all of it: brokertuner-tui runs show {summary.run}")


@contextlib.contextmanager
def _logging_to(path: Path | None) -> Iterator[None]:
    """All logging goes to a file while the screen is up; what it went to before is put back."""
    from brokertuner_tui import logs

    root, ours = logging.getLogger(), logging.getLogger("brokertuner_tui")
    handlers, level, hook = root.handlers[:], ours.level, threading.excepthook
    handler: logging.Handler | None = logs.open_file(path, as_json=logs.wants_json()) if path is not None else None
    if handler is None:
        handler = logging.NullHandler()
        if path is not None:
            print(f"no log is kept: {path} cannot be written", file=sys.stderr)
    root.handlers[:] = [handler]
    ours.setLevel(logging.INFO)
    logging.captureWarnings(True)
    logs.watch_threads()
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.handlers[:] = handlers
        ours.setLevel(level)
        threading.excepthook = hook
        handler.close()


class _Guard:
    """Signals end the app as a quit would. If the screen cannot, because its terminal is gone, this ends the process.

    A plain handler, not asyncio's: it must work while the loop is held up in a write to a dead terminal, too.
    """

    _SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)

    def __init__(self, app: TunerApp) -> None:
        self._app = app
        self.code: int | None = None
        """Of the signal that ended the app."""
        self._over = threading.Event()
        self._before: dict[int, Any] = {}
        self._attributes: list[Any] | None = None

    def __enter__(self) -> _Guard:
        with contextlib.suppress(termios.error, OSError, ValueError, AttributeError):
            self._attributes = termios.tcgetattr(sys.__stdin__.fileno())  # type: ignore[union-attr]
        for number in self._SIGNALS:
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for number, before in self._before.items():
            signal.signal(number, before)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.code is not None:
            if number != signal.SIGHUP:  # the kernel may send that one more than once
                self._end_process()
            return
        self.code = ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.TERMINATED
        threading.Thread(target=self._see_to_it, name="ending", daemon=True).start()
        name = signal.Signals(number).name
        loop = self._app._loop
        if isinstance(loop, asyncio.AbstractEventLoop):
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._app.stop, self.code, f"{name}: the broker and its load are being ended")

    def _see_to_it(self) -> None:
        self._app.link.close(_SESSION_S)
        if not self._over.wait(_SCREEN_S):
            self._end_process()

    def _end_process(self) -> None:
        """The screen does not close: whatever still runs ends with this process (see process/reaper.py)."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            fd = sys.__stderr__.fileno()  # type: ignore[union-attr]
            os.set_blocking(fd, False)
            os.write(fd, _RESTORE.encode())
        if self._attributes is not None:
            with contextlib.suppress(termios.error, OSError, AttributeError):
                termios.tcsetattr(sys.__stdin__.fileno(), termios.TCSANOW, self._attributes)  # type: ignore[union-attr]
        os._exit(self.code or ExitCode.TERMINATED)
