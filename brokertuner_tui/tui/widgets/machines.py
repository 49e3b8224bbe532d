"""The two processes that can die: the broker and the load."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from brokertuner_tui.tui import connections, ink
from brokertuner_tui.tui.format import DASH, clock, in_bytes, milliseconds, nice_ceiling, per_second, sparkline, version_text
from brokertuner_tui.tui.ink import BETTER, BOLD, HAND, QUIET, WORSE, Part, line
from brokertuner_tui.tui.model import Model, Reading
from brokertuner_tui.tui.widgets.pane import Pane

if TYPE_CHECKING:
    from brokertuner_tui.broker.interface import Applied, BrokerStatus
    from brokertuner_tui.workload.profile import Profile

_STATES = {
    "listening": ("●", BETTER),
    "starting": ("↻", HAND),
    "reloading": ("⟳", HAND),
    "stopping": ("○", QUIET),
    "stopped": ("○", QUIET),
    "failed": ("✗", WORSE),
}


def by_second(readings: Sequence[Reading], columns: int, seconds: float = 1.0) -> list[tuple[float, float]]:
    """Mean (CPU per cent, resident bytes) of the readings in each `seconds`, the last `columns` of them."""
    slots: dict[int, list[Reading]] = {}
    for reading in readings:
        slots.setdefault(int(reading.at_s / seconds), []).append(reading)
    return [
        (sum(r.cpu_percent for r in slot) / len(slot), sum(r.rss_bytes for r in slot) / len(slot))
        for _, slot in sorted(slots.items())[-columns:]
    ]


def broker_view(model: Model, width: int, height: int) -> Content:
    """State, identity, the last change, CPU and memory."""
    status = model.sample.broker if model.sample else None
    applied = status.last_applied if status else model.applied.applied if model.applied else None
    if status is None:
        return line(("○ not up yet", QUIET))
    glyph, style = _STATES[status.state]
    if height < 4:
        return ink.lines([_one_line(model, status, applied, width), *_usage(model, width, height)])
    parts = [line((f"{glyph} ", style), (status.state, BOLD if status.state == "listening" else style))]
    if status.error:
        parts.append(line((status.error.splitlines()[0], style)))
    parts.append(line(f"{status.host}:{status.port}"))
    if status.pid is not None:
        parts.append(line(("pid ", QUIET), str(status.pid)))
    if status.started_at is not None:
        parts.append(line(("up ", QUIET), clock(time.time() - status.started_at)))
    beat = connections.beat(model, time.time()) if height < 5 else None
    rows = [ink.fit(parts, width), _last_change(status, applied, width, beat)]
    if height >= 5 and (links := connections.brief(model, time.time(), width)) is not None:
        rows.append(links)
    if height >= 8 and applied is not None:
        rows.append(line(("verified: " + ", ".join(applied.checks), QUIET)))
    if height >= 9 and model.sample is not None and model.sample.sys.reason:
        rows.append(line(("$SYS: ", QUIET), (model.sample.sys.reason, HAND)))
    return ink.lines([*rows, *_usage(model, width, height)])


def _last_change(status: BrokerStatus, applied: Applied | None, width: int, beat: Content | None) -> Content:
    """`beat`, where there is one, is worth more than the version, which the top line has as well."""
    last = f"{applied.how} {milliseconds(applied.total_s * 1000)}" if applied else DASH
    restarts, version = line(("restarts ", QUIET), str(status.restarts)), version_text(status.version)
    long = [line(("last: ", QUIET), last, (" ✓ verified", QUIET)), restarts, line((f"mosquitto {version}", QUIET))]
    if beat is not None:
        long.insert(2, beat)
    if sum(part.cell_length for part in long) + 3 * (len(long) - 1) <= width:
        return ink.fit(long, width)
    short = line(("last: ", QUIET), last, (" ✓", QUIET))
    if beat is not None:
        return ink.fit([short, line((f"×{status.restarts}", QUIET)), beat], width, "  ")
    return ink.fit([short, restarts, line((f"v{version}", QUIET))], width, "  ")


def _one_line(model: Model, status: BrokerStatus, applied: Applied | None, width: int) -> Content:
    glyph, style = _STATES[status.state]
    word = "up" if status.state == "listening" else status.state
    parts = [line((f"{glyph} ", style), (word, BOLD if word == "up" else style), f" :{status.port}")]
    if status.error:
        parts.append(line((status.error.splitlines()[0], style)))
    elif (link := connections.ailing(model)) is not None:
        parts.append(link)
    if status.pid is not None:
        parts.append(line(("pid ", QUIET), str(status.pid)))
    last = f"{applied.how} {milliseconds(applied.total_s * 1000)} ✓ " if applied else ""
    parts.append(line(last, (f"×{status.restarts}", QUIET)))
    return ink.fit(parts, width, "  ")


def _usage(model: Model, width: int, height: int) -> list[Content]:
    assert model.sample is not None, "only called with a sample"
    usage = model.sample.process
    top = nice_ceiling(max(model.peak_rss_bytes, 1_000_000))
    cpu_text, mem_text = f"{usage.cpu_percent:.0f} %", in_bytes(usage.rss_bytes)
    if height < 4:
        room = max(4, (width - 24 - len(mem_text)) // 2)
        history = by_second(model.readings, room)
        return [
            line(
                ("CPU ", QUIET), (sparkline([cpu for cpu, _ in history], room, 0, 100), "$primary"), f" {cpu_text.rjust(5)}",
                ("  mem ", QUIET), (sparkline([rss for _, rss in history], room, 0, top), "$primary"), f" {mem_text}",
            )
        ]  # fmt: skip
    cpu_scale, mem_scale = " of 1 core", f" of {in_bytes(top)}"
    room = max(6, width - 4 - 9 - max(len(cpu_scale), len(mem_scale)))
    history = by_second(model.readings, min(room, 110))
    if height >= 9:
        tall = max(1, min(5, (height - 5) // 2))
        room = min(room, 110)
        return [
            *_tall("CPU", [cpu for cpu, _ in history], room, tall, 100.0, f"{cpu_text:>8}", cpu_scale),
            *_tall("mem", [rss for _, rss in history], room, tall, top, f"{mem_text:>8}", mem_scale),
            line((f"    the last {room} s, from 0", QUIET)),
        ]
    rows = (
        ("CPU ", [cpu for cpu, _ in history], 100.0, cpu_text, cpu_scale),
        ("mem ", [rss for _, rss in history], top, mem_text, mem_scale),
    )
    return [
        line((label, QUIET), (sparkline(values, room, 0, end), "$primary"), f" {text:>8}", (scale, QUIET))
        for label, values, end, text, scale in rows
    ]


def _tall(label: str, values: Sequence[float], width: int, rows: int, top: float, text: str, scale: str) -> list[Content]:
    """A sparkline of several lines."""
    result = []
    for row in range(rows - 1, -1, -1):
        blocks = ""
        for value in list(values)[-width:]:
            filled = value / top * rows - row
            blocks += " " if filled <= 0 else sparkline([min(filled, 0.999)], 1, 0.0, 1.0)
        tail: tuple[Part, ...] = (f" {text}", (scale, QUIET)) if row == 0 else ()
        result.append(line((f"{label if row == 0 else '':<4}", QUIET), (blocks.rjust(width), "$primary"), *tail))
    return result


class BrokerPane(Pane):
    """The pane."""

    NAME = "broker"
    HELP = (
        "The Mosquitto that is tuned: its process, its port, the last change and how long it took until it was verified "
        "to be in force, and what it uses. Mosquitto works on one core, so CPU is measured against one. Enter shows our "
        "connections: the heartbeat asks the broker twice a second whether it still answers, $SYS is what it says of itself."
    )

    def facts(self, model: Model) -> object:
        """See `Pane`."""
        return model.sample, model.applied, model.links

    def view(self, model: Model, width: int, height: int) -> Content:
        """See `Pane`."""
        return broker_view(model, width, height)


_LOAD_STATES = {"running": ("●", BETTER), "reconnecting": ("↻", HAND), "starting": ("↻", HAND), "dead": ("✗", WORSE)}


def _content(profile: Profile) -> str:
    """QoS and size; of a mix, how many loads there are and the largest size."""
    if profile.parts:
        return f"{len(profile.parts)} loads, to {in_bytes(profile.payload_bytes)}"
    return f"QoS {profile.qos}  {in_bytes(profile.payload_bytes)}"


def load_view(model: Model, width: int, height: int) -> Content:
    """State, what is asked for, what is sent and delivered."""
    profile = model.profile
    sample = model.sample
    if sample is None or profile is None:
        return line(("○ not up yet", QUIET))
    status = sample.load
    glyph, style = _LOAD_STATES.get(status.state, ("○", QUIET))
    restarts = model.load.restarts if model.load else 0
    boxed = width >= 46 and height >= 2
    state = line((f"{glyph} ", style), ("" if boxed else "load ", QUIET), (status.state, BOLD if style == BETTER else style))
    clients = line(
        (f"{status.connected}/{status.wanted}", WORSE if status.connected < status.wanted else ""), (" clients", QUIET)
    )
    rates = [
        line(("sent ", QUIET), per_second(sample.sent_per_s)),
        line(("delivered " if boxed and (width >= 60 or height > 2) else "got ", QUIET), per_second(sample.received_per_s)),
    ]
    on_time = line(("on time ", QUIET), per_second(sample.on_time_per_s))
    if not boxed:
        restarted = line((f"×{restarts}", QUIET))
        return ink.lines([ink.fit([state, clients, restarted], width, "  "), ink.fit([*rates, on_time], width, "  ")])
    shape = line(
        (f"{profile.publishers}→{profile.subscribers}", BOLD),
        (f" over {profile.topics}" if height > 2 else "", ""),
        f"  {_content(profile)}",
    )
    rtt = line(("rtt ", QUIET), f"{profile.client_rtt_ms:g} ms") if profile.client_rtt_ms else Content("")
    restarted = line(("restarts ", QUIET), str(restarts))
    if height < 3:
        first = ink.fit([state, line((profile.name, BOLD)), shape, rtt], width, "  ")
        rows = [first, ink.fit([*rates, clients, restarted], width, "  ")]
    else:
        pace = f"{per_second(profile.rate)}" if profile.rate else f"closed loop, window {profile.window}"
        more = [line(pace, (" asked for" if profile.rate else "", QUIET)), rtt]
        if profile.burst:
            more.append(line(("bursts ", QUIET), f"{profile.burst[0]:g} s on, {profile.burst[1]:g} s off"))
        if not profile.clean_session:
            more.append(line(("persistent sessions, ", QUIET), f"{profile.offline_subscribers} away"))
        rows = [
            ink.fit([state, line((profile.name, BOLD)), clients, restarted], width),
            ink.fit([shape, *more], width),
            ink.fit([*rates, on_time], width),
        ]
    if height >= 4:
        generator = f"{status.generator_cpu * 100:.0f} % of a core" if status.pid else DASH
        lost = line(("lost connections ", QUIET), str(status.reconnects))
        rows.append(ink.fit([line(("generator ", QUIET), generator), lost], width))
    if status.error:
        rows.append(line((status.error.splitlines()[0], WORSE)))
    return ink.lines(rows)


class LoadPane(Pane):
    """The pane."""

    NAME = "load"
    HELP = (
        "The MQTT traffic on the broker: its shape (publishers→subscribers over topics), what it asks for, and what is sent "
        "and delivered now, by the load's own count. A trial's figures come from its window instead, to the message."
    )

    def facts(self, model: Model) -> object:
        """See `Pane`."""
        return model.sample, model.load

    def view(self, model: Model, width: int, height: int) -> Content:
        """See `Pane`."""
        return load_view(model, width, height)
