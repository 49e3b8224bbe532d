"""Where a command's log goes: always into a file in the user's log folder, and to stderr what its operator has to know."""

from __future__ import annotations

import logging
from collections.abc import Callable

from brokertuner_tui import logs, paths
from brokertuner_tui.cli import output
from brokertuner_tui.redaction import without_secrets

FILE_NAME = logs.FILE_NAME
_SHOWN = "brokertuner_tui.tuning.story"
"""What a front end shows itself: the events of a session."""
_debug = False


def options(*, debug: bool, as_json: bool) -> None:
    """`--debug` (everything, on stderr as well) and `--log-json` (each line an object, errors too)."""
    global _debug
    _debug = debug
    logs.as_json(as_json)
    output.log_as(_rendered if as_json else None)


class _LazyFile(logging.Handler):
    """The file, made with its folder when there is something to write; what it cannot take goes to stderr instead."""

    def __init__(self) -> None:
        super().__init__()
        self._handler: logging.Handler | None = None
        self._tried = False

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record."""
        if not self._tried:
            self._tried = True
            self._handler = logs.open_file(paths.log_dir() / FILE_NAME, as_json=logs.wants_json())
        if self._handler is not None:
            self._handler.emit(record)


class Stderr(logs.Quietly):
    """Lines on stderr; `write` is exchanged by who has a progress line there."""

    def __init__(self, level: int, *, shows_events: bool) -> None:
        super().__init__(level)
        self.write: Callable[[str], None] = output.put_line_on_stderr
        self._shows_events = shows_events

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record, unless the front end shows the same."""
        if self._shows_events and not logs.wants_json() and record.name == _SHOWN:
            return
        if getattr(record, "is_the_end", False) and self.level > logging.INFO:
            return  # the error that ends the command says it
        try:
            self.write(self.format(record))
        except Exception:
            self.handleError(record)


def start(*, stderr: int = logging.WARNING, shows_events: bool = False) -> Stderr:
    """Logs from INFO up into the file, and from `stderr` up to stderr (`--debug`: both from DEBUG up; `--log-json`: INFO).

    Args:
        shows_events: the command itself shows what a session tells, on stderr.
    """
    if _debug:
        stderr = logging.DEBUG
    elif logs.wants_json():
        stderr = min(stderr, logging.INFO)
    told = Stderr(stderr, shows_events=shows_events)
    told.setFormatter(logs.Json() if logs.wants_json() else logs.Lines() if stderr < logging.WARNING else _Short())
    file = _LazyFile()
    levels = {
        "brokertuner_tui": logging.DEBUG if _debug else logging.INFO,
        "uvicorn": logging.WARNING,
        "py.warnings": logging.WARNING,
    }
    for name, level in levels.items():
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.propagate = False
        for old in [handler for handler in logger.handlers if isinstance(handler, Stderr | _LazyFile)]:
            logger.removeHandler(old)
        logger.addHandler(file)
        if name != "py.warnings" or stderr < logging.WARNING:  # they are for us, not for operators
            logger.addHandler(told)
    logging.captureWarnings(True)  # they would be printed over the screen, or beside the progress line
    logs.watch_threads()
    return told


class _Short(logging.Formatter):
    """As errors are told: `brokertuner-tui: warning: ...`, without a traceback (that is in the file)."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        message = without_secrets(record.getMessage())
        return f"{output.PROGRAM}: {record.levelname.lower()}: {message}"


def _rendered(level: int, text: str) -> str:
    record = logging.LogRecord("brokertuner_tui.cli", level, "", 0, text, None, None)
    return logs.Json().format(record)
