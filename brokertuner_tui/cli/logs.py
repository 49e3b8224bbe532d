"""The program's own log: a file in the user's log folder, never stdout, and never the screen while the app has it."""

from __future__ import annotations

import logging
import logging.handlers
import sys

from brokertuner_tui import paths
from brokertuner_tui.errors import TunerError

FILE_NAME = "brokertuner-tui.log"
_LARGEST_BYTES = 2_000_000


class _LazyFile(logging.Handler):
    """The file, made with its folder when there is something to write; `fallback` where that cannot be."""

    def __init__(self, fallback: logging.Handler) -> None:
        super().__init__()
        self._fallback = fallback
        self._handler: logging.Handler | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record."""
        if self._handler is None:
            self._handler = _open() or self._fallback
        if record.levelno >= self._handler.level:
            self._handler.emit(record)


def start(*, to_stderr: bool) -> None:
    """Logs from INFO up into the file; warnings go to stderr instead where the file cannot be written (if `to_stderr`)."""
    logger = logging.getLogger("brokertuner_tui")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = _LazyFile(fallback=_stderr() if to_stderr else logging.NullHandler())
    logger.addHandler(handler)
    logging.captureWarnings(True)  # they would be printed over the screen, or beside the progress line
    logging.getLogger("py.warnings").addHandler(handler)


def to_stderr() -> None:
    """Logs from INFO up to stderr, with the time: for a service, whose stderr is what its supervisor keeps."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    for name, level in (("brokertuner_tui", logging.INFO), ("uvicorn", logging.WARNING), ("py.warnings", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.propagate = False
        logger.addHandler(handler)
    logging.captureWarnings(True)


def _open() -> logging.Handler | None:
    try:
        path = paths.private_folder(paths.log_dir()) / FILE_NAME
        handler = logging.handlers.RotatingFileHandler(path, maxBytes=_LARGEST_BYTES, backupCount=2, encoding="utf-8")
    except (OSError, TunerError):
        return None
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s[%(process)d]: %(message)s"))
    return handler


def _stderr() -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("brokertuner-tui: %(levelname)s: %(message)s"))
    return handler
