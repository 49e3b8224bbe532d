"""Records a traffic into a file, with progress; what was recorded so far is never lost."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.live import Live
from rich.table import Table

from brokertuner_tui.cli import output
from brokertuner_tui.cli.signals import StopSignals
from brokertuner_tui.cli.tables import add_numbers, new_table
from brokertuner_tui.errors import ConnectionFailed, ExitCode, TunerError, UsageError
from brokertuner_tui.files import replace_file
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.store.plain import finite
from brokertuner_tui.tui.format import compact, in_bytes, per_second
from brokertuner_tui.workload.record import Progress, Recorder
from brokertuner_tui.workload.shape import Shape, coarser, to_toml

_JSON_S, _PLAIN_S, _SAVE_S = 1.0, 5.0, 30.0
_LARGEST_BYTES = 3 * 2**20
"""Readers take a file of 4 MiB."""


class RecordRun:
    """One run of `brokertuner-tui workload record`.

    Raises:
        UsageError: the file cannot be written where it should, or is there already.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        filters: Sequence[str],
        out: Path,
        seconds: float | None,
        interval_s: float,
        *,
        replace: bool,
        as_json: bool,
    ) -> None:
        self._endpoint, self._out, self._seconds, self._as_json = endpoint, out, seconds, as_json
        self._recorder = Recorder(endpoint, filters, interval_s)
        self._next_line = self._next_save = 0.0
        self._live: Live | None = None
        folder = out.parent
        if out.exists() and not replace:
            raise UsageError(f"--out {out}: is there already (--force replaces it)")
        if out.is_dir():
            raise UsageError(f"--out {out}: is a folder")
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            raise UsageError(f"--out {out}: the folder {folder} is missing or cannot be written")

    def run(self) -> int:
        """Records; gives the exit code.

        Raises:
            ConnectionFailed: the broker does not answer, or went away before anything was recorded.
            TunerError: the file cannot be written.
        """
        recorder = self._recorder
        with ExitStack() as stack:
            signals = stack.enter_context(StopSignals())
            stack.callback(recorder.close)
            recorder.connect()
            until = "until Ctrl-C" if self._seconds is None else f"{self._seconds:g} s"
            output.say(f"recording {self._endpoint}, {until}; numbers only: no payloads, no topic names, no client ids")
            if output.is_terminal(sys.stderr):
                live = Live(console=output.console_for(sys.stderr), auto_refresh=False, transient=True, redirect_stdout=False)
                self._live = stack.enter_context(live)
            self._next_line = time.monotonic() + (_JSON_S if self._as_json else _PLAIN_S)
            self._next_save = time.monotonic() + _SAVE_S
            recorder.run(self._seconds or math.inf, lambda: signals.received is not None, self._progress)
        shape = self._save()
        self._summary(shape)
        if recorder.lost:
            return ExitCode.CONNECTION
        by_hand = signals.received is not None and (self._seconds is not None or signals.exit_code != ExitCode.INTERRUPTED)
        return signals.exit_code if by_hand else ExitCode.DONE

    def _save(self) -> Shape:
        shape = self._recorder.shape()
        text = to_toml(shape)
        while len(text) > _LARGEST_BYTES and shape.intervals > 1:
            shape = coarser(shape)
            text = to_toml(shape)
        try:
            replace_file(self._out, text.encode())
        except OSError as error:
            raise TunerError(f"{self._out} cannot be written: {error.strerror or error}") from error
        return shape

    def _progress(self, progress: Progress) -> None:
        now = time.monotonic()
        if now >= self._next_save:
            self._next_save = now + _SAVE_S
            with contextlib.suppress(ConnectionFailed):  # the first interval is not over
                self._save()
        figures = {
            "seconds": progress.seconds,
            "messages": progress.messages,
            "messages_per_s": progress.messages_per_s,
            "payload_bytes": progress.payload_bytes,
            "topics": progress.topics,
            "streams": progress.streams,
            "connected": progress.connected,
        }
        if self._live is not None:
            self._live.update(_line(progress), refresh=True)
        if now >= self._next_line:
            self._next_line = now + (_JSON_S if self._as_json else _PLAIN_S)
            if self._as_json:
                output.put_json(finite({"event": "progress", **figures}))
            elif self._live is None:
                output.say("  ".join(f"{name} {text}" for name, text in _shown(progress).items()))

    def _summary(self, shape: Shape) -> None:
        if self._as_json:
            output.put_json(finite(as_data(shape, self._out) | {"own_share": self._recorder.own_share}))
            return
        output.put_table(as_table(shape, self._out))
        for note in shape.notes:
            output.say(f"note: {output.one_line(note)}")
        if self._recorder.own_share is not None:
            output.say(f"note: {100 * self._recorder.own_share:.0f} % of what the broker sent went to the recorder itself")


def as_data(shape: Shape, path: Path) -> dict[str, Any]:
    """What was recorded, for scripts."""
    return {
        "event": "recorded",
        "file": str(path),
        "seconds": shape.seconds,
        "messages": shape.messages,
        "messages_per_s": shape.messages_per_s,
        "mean_bytes": shape.mean_bytes,
        "qos": [shape.share_of_qos(level) for level in range(3)],
        "fan_out": shape.fan_out,
        "coverage": shape.coverage,
        "connected": shape.connected[-1] if shape.connected else None,
        "streams": len(shape.streams),
        "notes": list(shape.notes),
    }


def as_table(shape: Shape, path: Path) -> Table:
    """What was recorded, for people."""
    table = new_table(f"{output.one_line(path.name)}, {shape.seconds:g} s")
    add_numbers(table, "")
    table.add_row("messages", f"{shape.messages:,}")
    table.add_row("messages a second", f"{shape.messages_per_s:,.1f}")
    table.add_row("bytes a message", f"{shape.mean_bytes:,.1f}")
    for level in range(3):
        table.add_row(f"QoS {level}", f"{100 * shape.share_of_qos(level):.1f} %")
    table.add_row("fan-out", "not known" if shape.fan_out is None else f"{shape.fan_out:.3g}")
    table.add_row("clients", "not known" if not shape.connected else f"{shape.connected[-1]:,}")
    return table


def _shown(progress: Progress) -> dict[str, str]:
    shown = {
        "messages": compact(progress.messages),
        "rate": per_second(progress.messages_per_s),
        "payload": in_bytes(progress.payload_bytes),
        "topics": compact(progress.topics),
    }
    return shown | ({"clients": compact(progress.connected)} if progress.connected is not None else {})


def _line(progress: Progress) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    shown = {"time": f"{progress.seconds:.0f} s"} | _shown(progress)
    for name in shown:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row(*shown.values())
    return table
