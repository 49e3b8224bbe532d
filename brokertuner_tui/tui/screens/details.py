"""Looks into one thing: a knob and its history, a trial, a line of the log."""

from __future__ import annotations

import time
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from brokertuner_tui.env.outcome import Outcome, Verdict
from brokertuner_tui.knobs.catalogue import BY_NAME, NAMES, inert
from brokertuner_tui.tui import connections, ink
from brokertuner_tui.tui.format import (
    DASH,
    goodput,
    grouped,
    in_bytes,
    knob_value,
    milliseconds,
    per_second,
    percent,
    range_text,
)
from brokertuner_tui.tui.ink import ACCENT, BEST, BOLD, HAND, QUIET, TONES, WORSE, cell, line
from brokertuner_tui.tui.model import LogLine, Model
from brokertuner_tui.tui.screens.dialog import Dialog
from brokertuner_tui.tui.sentences import spread
from brokertuner_tui.tui.widgets.agent import AgentPane
from brokertuner_tui.tui.widgets.goodput import GoodputPane
from brokertuner_tui.tui.widgets.knobs import GLYPHS, KnobTable, range_bar
from brokertuner_tui.tui.widgets.latency import LatencyPane
from brokertuner_tui.tui.widgets.log import EventLog, time_text
from brokertuner_tui.tui.widgets.machines import BrokerPane
from brokertuner_tui.tui.widgets.pane import Pane
from brokertuner_tui.tuning.events import TrialFinished
from brokertuner_tui.workload.live.figures import LiveFigures
from brokertuner_tui.workload.window import Window

_HISTORY = 200


def for_pane(pane: Pane, model: Model) -> Screen[None] | None:
    """What Enter opens on a pane; None: nothing."""
    width = min(120, pane.app.size.width * 96 // 100) - 8
    if isinstance(pane, KnobTable):
        return Details(pane.knob, knob_details(pane.knob, model, width))
    if isinstance(pane, EventLog) and model.log:
        entry = model.log[pane.cursor]
        if entry.trial is not None and any(trial.trial == entry.trial for trial in model.trials):
            return TrialDetails(model, entry.trial)
        return Details(time_text(entry.at), line_details(entry))
    if isinstance(pane, GoodputPane | LatencyPane | AgentPane) and model.trials:
        return TrialDetails(model, model.trials[-1].trial)
    rows = ink.hanging(Content(""), pane.HELP, width)
    if isinstance(pane, BrokerPane) and (found := connections.panel(model, time.time(), width)):
        rows += [Content(""), line(("connections", BOLD)), *found]
    return Details(pane.NAME, ink.lines(rows))


def line_details(entry: LogLine) -> Content:
    """All of a line of the log."""
    rows = [line((f"{entry.glyph} ", TONES[entry.tone]), entry.text)]
    if entry.detail:
        rows += [Content(""), *(line(text) for text in entry.detail.splitlines())]
    return ink.lines(rows)


def knob_details(name: str, model: Model, width: int = 100) -> Content:
    """Everything that is known about a knob, and what its values brought."""
    knob = BY_NAME[name]
    value, default = model.knobs.get(name), model.defaults.get(name)
    best = model.best.outcome.knobs.get(name) if model.best else None
    rows = [*ink.hanging(Content(""), knob.meaning, width), Content(""), range_bar(name, 40, value, default, best), Content("")]
    for label, text, style in (
        ("now", DASH if value is None else knob_value(name, value, long=True), BOLD),
        ("default", DASH if default is None else knob_value(name, default, long=True), ""),
        ("best", DASH if best is None else knob_value(name, best, long=True), BEST if best != default else ""),
        ("range", range_text(knob), ""),
        ("applies", f"{GLYPHS[knob.applies]} by {knob.applies}", ""),
        (
            "pinned",
            knob_value(name, model.pinned[name]) if name in model.pinned else "no",
            HAND if name in model.pinned else "",
        ),
    ):
        rows += ink.hanging(line((f"{label:<9}", QUIET)), text, width, style)
    if knob.inert_when:
        now = " (now)" if model.knobs and name in inert(model.knobs) else ""
        rows += ink.hanging(line(("inert    ", QUIET)), f"with {knob.inert_when}{now}", width)
    if knob.versions:
        rows += ink.hanging(line(("note     ", QUIET)), knob.versions, width)
    rows += [Content(""), line(("what its values brought, the best first", BOLD))]
    measured = [trial for trial in model.trials if trial.outcome.window is not None][-_HISTORY:]
    seen: dict[object, list[TrialFinished]] = {}
    for trial in measured:
        seen.setdefault(trial.outcome.knobs[name], []).append(trial)
    rows.append(line((f"{'value':>14}  {'on time, best':>14}  {'p99 then':>9}  trials", QUIET)))
    ranked = sorted(seen.items(), key=lambda item: -max(_rate(trial) for trial in item[1]))
    for shown, trials in ranked[:40]:
        top = max(trials, key=_rate)
        assert top.outcome.window is not None, "only measured trials are ranked"
        numbers = ", ".join(str(trial.trial) for trial in trials[:8]) + (" …" if len(trials) > 8 else "")
        rows.append(
            line(
                cell(knob_value(name, top.outcome.knobs[name]), 14, HAND if shown == value else "", right=True),
                f"  {per_second(_rate(top)):>14}  {milliseconds(top.outcome.window.p99_ms):>9}  ",
                (numbers, QUIET),
            )
        )
    if not ranked:
        rows.append(line(("no trial has been measured yet", QUIET)))
    return ink.lines(rows)


def _rate(trial: TrialFinished) -> float:
    return trial.outcome.window.goodput if trial.outcome.window else 0.0


def _window_rows(outcome: Outcome, window: Window) -> list[Content]:
    percentiles = (
        ("p50", window.p50_ms),
        ("p90", window.p90_ms),
        ("p95", window.p95_ms),
        ("p99", window.p99_ms),
        ("max", window.max_ms),
    )
    usage = outcome.usage
    return [
        line(
            (goodput(window.goodput, in_percent=window.live is not None), BOLD),
            f" on time{spread(window)}",
            (f"   SLO {outcome.profile.slo_ms:g} ms, {_seconds(outcome, window)}", QUIET),
        ),
        line(
            f"sent {grouped(window.sent)}   delivered {grouped(window.received)} of {grouped(window.expected)}   "
            f"on time {grouped(window.on_time)}   late {grouped(window.late)}   lost {grouped(window.lost)}   "
            f"repeated {grouped(window.duplicated)}"
        ),
        line("   ".join(f"{name} {milliseconds(ms)}" for name, ms in percentiles), (_p99_interval(window), QUIET)),
        line(
            f"clients {window.clients}   lost connections {window.reconnects}   "
            f"generator {percent(window.generator_cpu)} of a core"
        ),
        line(
            f"broker CPU {usage.cpu_percent:.0f} % of 1 core   memory {in_bytes(usage.rss_bytes)}   "
            f"context switches {per_second(usage.ctx_switches_per_s)}"
        ),
        *(_live_rows(window.live) if window.live is not None else ()),
    ]


def _seconds(outcome: Outcome, window: Window) -> str:
    """How long the window was, and was to be, where that differs."""
    planned = outcome.timings.planned_s
    decided = planned > 0 and not 0.95 < outcome.timings.measure_s / planned < 1.15
    return f"{window.seconds:.2f} s" + (f" of {planned:.3g} s planned" if decided else "")


def _p99_interval(window: Window) -> str:
    if window.p99_low_ms is None or window.p99_high_ms is None:
        return ""
    return f"   p99 is {milliseconds(window.p99_low_ms)} to {milliseconds(window.p99_high_ms)}"


def _live_rows(live: LiveFigures) -> list[Content]:
    def amount(value: float | None) -> str:
        return DASH if value is None else per_second(value)

    rows = [
        line(
            (f"({live.source})   ", QUIET),
            f"offered {amount(live.offered_per_s)}   delivered {amount(live.delivered_per_s)}   "
            f"dropped {amount(live.dropped_per_s)}   over {live.sys_seconds:.1f} s of $SYS",
        )
    ]
    if live.sequenced is not None:
        seen = live.sequenced
        rows.append(line(f"listened to {seen.topics} topics with a sequence: received {seen.received}, lost {seen.lost}"))
    return rows + [line((remark, QUIET)) for remark in live.remarks]


def trial_details(trial: TrialFinished, model: Model) -> Content:
    """Everything about one trial."""
    outcome, window, agent = trial.outcome, trial.outcome.window, trial.agent
    style = {Verdict.OK: "", Verdict.FAILED: WORSE, Verdict.INCONCLUSIVE: HAND}[outcome.verdict]
    rows = [
        line(
            (outcome.verdict, f"{style} bold".strip()),
            f"  {outcome.reason}" if outcome.reason else "",
            (f"  {trial.kind}, by {agent.source}", QUIET),
        )
    ]
    if agent.why:
        rows.append(line(("why  ", QUIET), agent.why))
    if window is not None:
        rows += [Content(""), *_window_rows(outcome, window)]
    if trial.reward is not None:
        terms = "  ".join(f"{name} {value:+.3f}" for name, value in trial.reward_terms.items())
        rows += [Content(""), line(("reward ", QUIET), (f"{trial.reward:+.3f}", BOLD), (f"   {terms}", QUIET))]
    times = outcome.timings
    spent = (
        ("proposed", times.propose_s), ("applied", times.apply_s), ("reconnected", times.reconnect_s),
        ("settled", times.settle_s), ("measured", times.measure_s), ("learned", times.learn_s), ("recorded", times.record_s),
    )  # fmt: skip
    rows.append(line(("time   ", QUIET), "  ".join(f"{name} {milliseconds(seconds * 1000)}" for name, seconds in spent)))
    if outcome.applied is not None:
        rows.append(
            line(
                ("broker ", QUIET),
                f"{outcome.applied.how}, pid {outcome.applied.pid}, verified: {', '.join(outcome.applied.checks)}",
            )
        )
    rows += [Content(""), line((f"{'knob':<22} {'value':>16} {'default':>12}", QUIET))]
    before = next((other.outcome.knobs for other in model.trials if other.trial == trial.trial - 1), model.defaults)
    for name in NAMES:
        changed = name in trial.changed
        was = (
            f"  was {knob_value(name, before[name])}" if changed and before.get(name) not in (None, outcome.knobs[name]) else ""
        )
        default = model.defaults.get(name)
        rows.append(
            line(
                cell(name, 22), " ",
                cell(knob_value(name, outcome.knobs[name], long=True), 16, BOLD if changed else "", right=True),
                (f" {DASH if default is None else knob_value(name, default):>12}", QUIET),
                (was or ("  changed" if changed else ""), ACCENT),
            )
        )  # fmt: skip
    return ink.lines(rows)


class Details(Dialog[None]):
    """A text that may be longer than the screen."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,q", "cancel", show=False)]

    def __init__(self, title: str, content: Content) -> None:
        super().__init__()
        self.add_class("-large")
        self._title, self._content = title, content

    def compose(self) -> ComposeResult:
        """See `Screen`."""
        with Vertical(id="box") as box:
            box.border_title = self._title
            box.border_subtitle = "Esc back   ↑ ↓ scroll"
            with VerticalScroll(id="scroll"):
                yield Static(self._content, id="text")

    def on_mount(self) -> None:
        """See `Screen`."""
        self.query_one("#scroll").focus()


class TrialDetails(Details):
    """One trial; left and right go to the one before and after."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "go(-1)", show=False, priority=True),
        Binding("right", "go(1)", show=False, priority=True),
    ]

    def __init__(self, model: Model, number: int) -> None:
        self._model = model
        self._index = next(index for index, trial in enumerate(model.trials) if trial.trial == number)
        super().__init__(self._heading(), trial_details(model.trials[self._index], model))

    def _heading(self) -> str:
        trial = self._model.trials[self._index]
        best = ", the best" if self._model.best and self._model.best.trial == trial.trial else ""
        return f"trial {trial.trial} of {self._model.total}{best}, {time_text(trial.at)}"

    def on_mount(self) -> None:
        """See `Screen`."""
        super().on_mount()
        self.query_one("#box").border_subtitle = "← → other trials   Esc back"

    def action_go(self, by: int) -> None:
        """Left, right."""
        self._index = max(0, min(len(self._model.trials) - 1, self._index + by))
        self.query_one("#box").border_title = self._heading()
        self.query_one("#text", Static).update(trial_details(self._model.trials[self._index], self._model))
        self.query_one("#scroll").scroll_home(animate=False)
