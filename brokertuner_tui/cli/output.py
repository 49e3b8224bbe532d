"""The two streams: stdout belongs to results, stderr to everything that is said about them. Nothing else writes to either."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

PROGRAM = "brokertuner-tui"
_PIPE_WIDTH = 160
"""Columns of a table that goes into a file or a pipe: nothing shall be cut off there."""


def put(text: str) -> None:
    """Writes `text` to stdout, now.

    Raises:
        BrokenPipeError: nobody reads any more.
    """
    sys.stdout.write(text)
    sys.stdout.flush()


def put_json(value: Any) -> None:
    """One line of JSON on stdout; what is not finite must be null by now (see `store.plain.finite`)."""
    put(json.dumps(value, allow_nan=False, ensure_ascii=False) + "\n")


def put_table(renderable: RenderableType) -> None:
    """A table (or whatever Rich can draw) on stdout."""
    console = console_for(sys.stdout)
    with console.capture() as captured:
        console.print(renderable)
    put("\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n")


def say(text: str) -> None:
    """One line on stderr, or none if that is gone."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def complain(text: str) -> None:
    """An error on stderr: `brokertuner-tui: error: ...`."""
    say(f"{PROGRAM}: error: {text}")


def is_terminal(stream: Any) -> bool:
    """Whether a person looks at `stream`."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def console_for(stream: Any) -> Console:
    """Rich's console on `stream`; it falls silent, and raises nothing, when the reader is gone."""
    from rich.console import Console

    class Quiet(Console):
        def on_broken_pipe(self) -> None:
            self.quiet = True

    return Quiet(file=stream, width=None if is_terminal(stream) else _PIPE_WIDTH, highlight=False, emoji=False, markup=False)


def drop_stdout() -> None:
    """After a broken pipe: what is still in the buffer goes nowhere, so that the interpreter does not complain at its end."""
    with contextlib.suppress(OSError, ValueError, io.UnsupportedOperation):
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, sys.stdout.fileno())
        os.close(sink)
