"""The program's own log, for whoever sets it up: a file that turns over, lines for people or for machines, crash reports.

Lines never hold secrets (`redaction`), and a log that cannot be written (a full disk) is no reason to end, or to print.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import sys
import threading
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from brokertuner_tui import __version__, paths
from brokertuner_tui.errors import TunerError
from brokertuner_tui.redaction import without_secrets

FILE_NAME = "brokertuner-tui.log"
_LARGEST_BYTES, _KEPT = 2_000_000, 3
_REPORT = "brokertuner_crash_report"
_run = ""
_json = False

log = logging.getLogger(__name__)


def of_run(run: str) -> None:
    """From now on lines belong to this run; empty: to none."""
    global _run
    _run = run


def has_run() -> bool:
    """Whether lines belong to a run now."""
    return bool(_run)


def as_json(wanted: bool) -> None:
    """Whether whoever opens a log from now on should write JSON lines (`--log-json`)."""
    global _json
    _json = wanted


def wants_json() -> bool:
    """See `as_json`."""
    return _json


class Lines(logging.Formatter):
    """For people: time, level, logger, process, run, message; a traceback follows."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s[%(process)d]%(of)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """One line, and more where there is a traceback."""
        record.of = f" {_run}" if _run else ""
        return without_secrets(super().format(record))


class Json(logging.Formatter):
    """One JSON object a line: `time` (ISO 8601, UTC), `level`, `logger`, `process`, `message`; `run`, `exception` if known."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the record holds."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": without_secrets(record.getMessage()),
        }
        if _run:
            line["run"] = _run
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = without_secrets("".join(traceback.format_exception(record.exc_info[1])))
        return json.dumps(line, ensure_ascii=False)


class Quietly(logging.Handler):
    """Not a word when a line cannot be written: logging's own complaint would go over the screen."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing."""


class File(Quietly, logging.handlers.RotatingFileHandler):
    """A file of 2 MB at most, with three older ones; private (0600). Several processes may write to it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=_LARGEST_BYTES, backupCount=_KEPT, encoding="utf-8")

    def _open(self) -> Any:
        return open(
            os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "a", encoding="utf-8"
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record; into the new file, if another process has turned it over."""
        try:
            if self.stream is not None and not os.path.samestat(os.fstat(self.stream.fileno()), os.stat(self.baseFilename)):
                self.stream.close()
                self.stream = self._open()
        except OSError:
            pass  # it is said by whoever writes, or not at all
        super().emit(record)


def open_file(path: Path, *, as_json: bool = False) -> File | None:
    """The log at `path`, made with its folder; None where that cannot be."""
    try:
        paths.private_folder(path.parent)
        handler = File(path)
    except (OSError, TunerError):
        return None
    handler.setFormatter(Json() if as_json else Lines())
    return handler


def crash_report(error: BaseException) -> Path | None:
    """Writes what happened into the folder for logs (0600), once for each error; None if it cannot be written.

    The traceback without local variables and without secrets.
    """
    known: Path | None = getattr(error, _REPORT, None)
    if known is not None:
        return known
    try:
        folder = paths.private_folder(paths.log_dir())
        path = _free_name(folder / f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt")
        text = f"brokertuner-tui {__version__}, Python {sys.version.split()[0]}, {sys.platform}\n"
        text += f"thread {threading.current_thread().name}{f', run {_run}' if _run else ''}\n"
        text += "".join(traceback.format_exception(error))
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8", errors="replace") as file:
            file.write(without_secrets(text))
        setattr(error, _REPORT, path)
    except (OSError, TunerError):
        return None
    return path


def _free_name(path: Path) -> Path:
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_stem(f"{path.stem}-{number}")
    return free


def watch_threads() -> None:
    """A thread that dies of an error leaves a crash report, instead of a traceback on the screen."""

    def died(what: threading.ExceptHookArgs) -> None:
        if what.exc_value is None or isinstance(what.exc_value, SystemExit):
            return
        path = crash_report(what.exc_value)
        name = what.thread.name if what.thread is not None else "?"
        log.critical("the thread %s died; crash report: %s", name, path, exc_info=what.exc_value)

    threading.excepthook = died
