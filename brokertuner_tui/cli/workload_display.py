"""The live display of `workload`: a line that follows the load on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from rich.live import Live
from rich.table import Table
from rich.text import Text

from brokertuner_tui.broker.interface import Broker
from brokertuner_tui.cli import live_figures, output
from brokertuner_tui.cli.tables import add_numbers, new_table
from brokertuner_tui.cli.window_sum import WindowSum
from brokertuner_tui.store.plain import finite
from brokertuner_tui.tui.format import compact, milliseconds, per_second
from brokertuner_tui.workload.load import LoadStatus
from brokertuner_tui.workload.profile import Profile, Workload

_JSON_S = 1.0
_PLAIN_S = 5.0


class Rates:
    """Differences of the load's counters over the last second or so."""

    def __init__(self) -> None:
        self._readings: list[tuple[float, tuple[int, int, int]]] = []

    def add(self, at: float, status: LoadStatus) -> tuple[float, float, float]:
        """Sent, delivered and on time, a second."""
        now = (status.sent_total, status.received_total, status.on_time_total)
        self._readings.append((at, now))
        while len(self._readings) > 2 and at - self._readings[1][0] >= 1.0:
            self._readings.pop(0)
        then, before = self._readings[0]
        if at <= then:
            return 0.0, 0.0, 0.0
        sent, received, on_time = ((new - old) / (at - then) for new, old in zip(now, before, strict=True))
        return sent, received, on_time


class Display:
    """A context manager; the live line is gone at its end."""

    def __init__(self, workload: Workload, host: str, port: int, broker: Broker | None, *, as_json: bool) -> None:
        self._workload, self._as_json = workload, as_json
        self._where = f"{host}:{port}" if broker is None else f"our own Mosquitto {'.'.join(map(str, broker.version))}"
        self._profile: Profile | None = None
        self._rates = Rates()
        self._began = time.monotonic()
        self._next_line = self._began + (_JSON_S if as_json else _PLAIN_S)
        on_screen = output.is_terminal(sys.stderr)
        self._live = (
            Live(console=output.console_for(sys.stderr), auto_refresh=False, transient=True, redirect_stdout=False)
            if on_screen
            else None
        )

    def __enter__(self) -> Display:
        output.say(f"{self._workload.name} on {self._where}: connecting")
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def begin(self, profile: Profile) -> None:
        """A profile begins."""
        self._profile = profile
        if len(self._workload.phases) > 1 and self._live is None:
            output.say(f"phase {profile.name}")

    def tick(self, status: LoadStatus, so_far: WindowSum) -> None:
        """How the load is now.

        Raises:
            BrokenPipeError: nobody reads the JSON any more.
        """
        now = time.monotonic()
        figures = self._figures(status, self._rates.add(now, status))
        if self._live is not None:
            self._live.update(self._table(figures), refresh=True)
        if now >= self._next_line:
            self._next_line = now + (_JSON_S if self._as_json else _PLAIN_S)
            if self._as_json:
                output.put_json(finite({"event": "progress", **figures}))
            elif self._live is None:
                output.say("  ".join(f"{name} {text}" for name, text in _shown(figures).items()))

    def summary(self, total: WindowSum) -> None:
        """The result, on stdout."""
        if self._as_json:
            output.put_json(total.summary())
        else:
            output.put_table(_summary_table(self._workload, total), Text("\n".join(live_figures.remarks(total.windows))))

    def _figures(self, status: LoadStatus, rates: tuple[float, float, float]) -> dict[str, Any]:
        sent, received, on_time = rates
        p50, p95, p99 = status.latency_ms or (None, None, None)
        return {
            "seconds": time.monotonic() - self._began,
            "profile": self._profile.name if self._profile else "",
            "state": status.state,
            "connected": status.connected,
            "wanted": status.wanted,
            "sent_per_s": sent,
            "received_per_s": received,
            "on_time_per_s": on_time,
            "p50_ms": p50,
            "p95_ms": p95,
            "p99_ms": p99,
            "generator_cpu": status.generator_cpu,
        }

    def _table(self, figures: dict[str, Any]) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        shown = {"load": figures["profile"], "time": f"{figures['seconds']:.0f} s"} | _shown(figures)
        for name in shown:
            table.add_column(name, justify="right", no_wrap=True)
        table.add_row(*shown.values())
        return table


def _shown(figures: dict[str, Any]) -> dict[str, str]:
    shown = {"clients": f"{figures['connected']}/{figures['wanted']}"}
    shown |= {
        "sent": per_second(figures["sent_per_s"]),
        "delivered": per_second(figures["received_per_s"]),
        "on time": per_second(figures["on_time_per_s"]),
    }
    for name in ("p50", "p95", "p99"):
        if figures[f"{name}_ms"] is not None:
            shown[name] = milliseconds(figures[f"{name}_ms"])
    return shown


def _summary_table(workload: Workload, total: WindowSum) -> Table:
    made = total.summary()
    table = new_table(f"{output.one_line(workload.name)}, {made['seconds']:.1f} s")
    add_numbers(table, "")
    for name in ("sent", "received", "on_time", "late", "lost", "duplicated"):
        table.add_row(name.replace("_", " "), f"{made[name]:,}")
    table.add_row("received a second", f"{made['received_per_s']:,.0f}")
    table.add_row("on time a second", f"{made['on_time_per_s']:,.0f}")
    for name in ("p50_ms", "p95_ms", "p99_ms", "max_ms"):
        table.add_row(name.replace("_", " "), "" if made[name] is None else f"{made[name]:.4g}")
    for name, text in live_figures.rows(total.windows):
        table.add_row(name, text)
    if len(total.windows) > 1:
        table.add_row("windows", compact(len(total.windows)))
    return table
