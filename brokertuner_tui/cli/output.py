"""The two streams: stdout belongs to results, stderr to everything that is said about them. Nothing else writes to either."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

from brokertuner_tui.errors import TunerError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

PROGRAM = "brokertuner-tui"
_WIDE = 120
_render: Callable[[int, str], str] | None = None
_PIPE_WIDTH = 160
"""Columns of a table that goes into a file or a pipe: nothing shall be cut off there."""


def put(text: str) -> None:
    """Writes `text` to stdout, now; a program that was started without one writes nowhere.

    Raises:
        BrokenPipeError: nobody reads any more.
        TunerError: it cannot be written (a full disk).
    """
    stream: TextIO | None = sys.stdout
    if stream is None:
        return
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_stdout()
        raise TunerError(f"cannot write to stdout: {error.strerror or error}") from error


def put_json(value: Any) -> None:
    """One line of JSON on stdout; what is not finite must be null by now (see `store.plain.finite`)."""
    put(json.dumps(value, allow_nan=False, ensure_ascii=False) + "\n")


def put_table(*renderables: RenderableType) -> None:
    """Tables (or whatever Rich can draw) on stdout."""
    drawn = io.StringIO()
    console = console_for(drawn, like=sys.stdout)
    for renderable in renderables:
        console.print(renderable)
    put("\n".join(line.rstrip() for line in drawn.getvalue().strip("\n").splitlines()) + "\n")


def is_wide() -> bool:
    """Whether there is room for tables of some 120 columns on stdout."""
    return console_for(sys.stdout).width >= _WIDE


def log_as(render: Callable[[int, str], str] | None) -> None:
    """With `--log-json` every line on stderr is made by `render`, from a level and a text; None: as it is."""
    global _render
    _render = render


def say(text: str) -> None:
    """One line on stderr, or none if that is gone."""
    put_line_on_stderr(text if _render is None else _render(logging.INFO, text))


def complain(text: str) -> None:
    """An error on stderr: `brokertuner-tui: error: ...`."""
    put_line_on_stderr(f"{PROGRAM}: error: {text}" if _render is None else _render(logging.ERROR, text))


def put_line_on_stderr(line: str) -> None:
    """The line as it is, or nothing if stderr is gone."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def one_line(text: str) -> str:
    """`text` without what could move the cursor or begin a line: names are the operator's."""
    return "".join(character if character.isprintable() else " " for character in text)


def is_terminal(stream: Any) -> bool:
    """Whether a person looks at `stream`."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def console_for(stream: Any, like: Any = None) -> Console:
    """Rich's console on `stream` (drawing as for `like`); it falls silent, and raises nothing, when the reader is gone."""
    on_terminal = is_terminal(stream if like is None else like)
    from rich.console import Console

    class Quiet(Console):
        def on_broken_pipe(self) -> None:
            self.quiet = True

    return Quiet(
        file=stream,
        force_terminal=on_terminal,
        width=None if on_terminal else _PIPE_WIDTH,
        highlight=False,
        emoji=False,
        markup=False,
    )


def drop_stdout() -> None:
    """After a broken pipe: what is still in the buffer goes nowhere, so that the interpreter does not complain at its end."""
    with contextlib.suppress(OSError, ValueError, AttributeError, io.UnsupportedOperation):
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, sys.stdout.fileno())
        os.close(sink)
