"""The top line: what is happening now. PAUSED and a broker that is down take the whole of it."""

from __future__ import annotations

import time

from textual.content import Content
from textual.widget import Widget

from brokertuner_tui.tui import ink
from brokertuner_tui.tui.format import clock, plural, version_text
from brokertuner_tui.tui.ink import BEST, BOLD, QUIET, WORSE, line
from brokertuner_tui.tui.model import Model, restarts_text

_BADGES = {
    "starting": "▶ STARTING",
    "tuning": "▶ TUNING",
    "stepping": "▶ ONE TRIAL",
    "paused": "‖ PAUSED",
    "confirming": "◆ CONFIRMING",
    "stopping": "■ STOPPING",
    "completed": "✓ COMPLETED",
    "cancelled": "■ STOPPED",
    "failed": "✗ FAILED",
}
_BAR = 10


def alarm(model: Model) -> str:
    """`paused`, `failed` or nothing: which of the two states has the whole line."""
    if model.state == "failed" or model.broker_down:
        return "failed"
    return "paused" if model.state == "paused" and not model.leaving else ""


def status_line(model: Model, now: float, width: int) -> Content:
    """The whole line, `width` wide."""
    room = width - 2
    filled = alarm(model)
    if model.leaving:
        badge, words = "■ LEAVING", f"{model.leaving}   q again to leave at once"
    elif model.broker_down:
        badge, words = "○ BROKER DOWN", _down(model, now)
    elif model.state == "failed":
        badge, words = _BADGES["failed"], f"{model.reason}   q to leave"
    else:
        badge, words = _BADGES[model.state], ""
    badge_part = f" {badge} " if filled else (f" {badge} ", "$on-badge on $primary bold")
    left: list[Content] = [line(badge_part), line(words)] if words else [line(badge_part), *_doing(model, now, width)]
    right = _context(model, now, bool(filled), is_narrow=width < 110)
    gap = "  " if width < 110 else "   "
    # What is going on comes first; what was chosen at the start gives way, its last part (the clock) last.
    head = ink.fit(left, room, "  ")
    if model.state == "paused":
        # Why it is paused is worth its first words even where not all of them fit; who may change the broker stays beside it.
        head = Content("  ").join(left).truncate(room - sum(part.cell_length + len(gap) for part in right[-2:]), ellipsis=True)
    while len(right) > 1 and head.cell_length + sum(part.cell_length + len(gap) for part in right) > room:
        right.pop(0)
    whole = ink.sides(head.truncate(room, ellipsis=True), Content(gap).join(right), room)
    return Content(" ") + whole.truncate(room, ellipsis=True, pad=True) + " "


def _down(model: Model, now: float) -> str:
    """Why, and what happens next."""
    trouble, why = model.trouble, model.broker_down
    if trouble is None:
        return why
    if trouble.given_up:
        return f"space tries again: {why}"
    if trouble.next_attempt_s is None:
        return why
    left = trouble.next_attempt_s - (now - trouble.at)
    # What it says of the wait itself was true when it was told.
    cause = why.partition("; the next attempt in ")[0]
    return f"next attempt in {left:.1f} s: {cause}" if left > 0 else f"next attempt now: {cause}"


def _agent_is_well(model: Model, now: float) -> list[Content]:
    status = model.agent
    if status is None or status.state != "connected" or status.last_heartbeat is None:
        return []
    return [line((f"agent ● {max(0.0, now - status.last_heartbeat):.0f} s", QUIET))]


def _agent_is_not(model: Model, now: float) -> list[Content]:
    """What is wrong with the connection to the agent that has the broker, how often it was tried, what was heard last."""
    status = model.agent
    if status is None or status.state == "connected":
        return []
    word = {"degraded": "is slow", "given up": "was given up"}.get(status.state, f"is away: attempt {status.attempts}")
    soon = f", next in {status.next_attempt_s:.0f} s" if status.next_attempt_s else ""
    beat = "none" if status.last_heartbeat is None else f"{max(0.0, now - status.last_heartbeat):.0f} s ago"
    return [line((f"○ agent {word}{soon}", WORSE)), line(("last heartbeat ", QUIET), beat)]


def _doing(model: Model, now: float, width: int) -> list[Content]:
    parts = _agent_is_not(model, now)
    if model.points or model.phase:
        number = model.phase.trial if model.phase else model.points[-1].trial
        if model.state == "confirming":
            step = model.confirming
            what = "" if step is None or step.what == "best" else ", the best without single knobs"
            parts.append(line(f"window {step.done + 1} of {step.total}{what}" if step else "default and best in turns"))
        elif width >= 110:
            parts.append(line("trial ", (str(number), BOLD), f" of {model.total}"))
        else:
            parts.append(line("trial ", (str(number), BOLD), f"/{model.total}"))
    if model.phase is not None:
        parts.append(_phase(model, now, width))
    elif model.state == "paused":
        parts.append(_paused(model, width))
    elif model.state == "starting":
        what = "the agent gets ready" if model.load else "the broker and its load come up"
        parts.append(line((what, QUIET)))
    elif model.finished is not None:
        parts.append(line("q to leave"))
    return parts


def _paused(model: Model, width: int) -> Content:
    if model.question:
        return line("a answers: ", (model.question, BOLD))
    narrow = width < 110
    by_hand = model.reason in ("", "by the operator")
    why = ("nothing changes" if narrow else "nothing changes on the broker") if by_hand else model.reason
    if "given up" in model.reason:
        return line(f"space tries again: {why}")
    return line(why) if narrow else line(f"{why}   space resumes, s runs one trial")


def _phase(model: Model, now: float, width: int) -> Content:
    assert model.phase is not None, "only called with a phase"
    phase = model.phase
    cells = _BAR if width >= 110 else _BAR // 2
    word = phase.phase.ljust(9)
    if phase.seconds < 0.15:
        return line(word, " " * (cells + (13 if width >= 110 else 1)))
    share = min(1.0, max(0.0, (now - phase.at) / phase.seconds))
    done = round(share * cells)
    left = f" {max(0.0, phase.seconds - (now - phase.at)):.1f} s left" if width >= 110 else ""
    return line(word, " ", ("▰" * done, "$primary"), ("▱" * (cells - done), "$line"), (left, QUIET))


def _context(model: Model, now: float, filled: bool, *, is_narrow: bool) -> list[Content]:
    quiet = "" if filled else QUIET
    parts = _agent_is_well(model, now)
    run = model.run
    if run is not None:
        kind = f"mosquitto {version_text(run.version)} {run.broker_kind}, {run.preset}"
        parts.append(line((kind, quiet)))
        if model.pinned:
            parts.append(line((f"■ {plural(len(model.pinned), 'knob')} pinned", quiet)))
    profile = model.profile
    if profile is not None:
        parts.append(line(("≤" if is_narrow else "SLO ", quiet), f"{profile.slo_ms:g} ms"))
    if run is not None:
        name = run.workload if profile is None or profile.name == run.workload else f"{run.workload}: {profile.name}"
        parts.append(line((name, "" if filled else BOLD)))
        if model.restarts is not None and (words := restarts_text(model.restarts)):
            parts.append(line((f"↻ {words}", quiet)))
        if model.judged is not None and model.judged.verdict != "pass":
            word = "SLO broken" if model.judged.verdict == "fail" else "SLO unsure"
            parts.append(line((f"! {word}", "" if filled else WORSE)))
        # Last, since it gives way last: who may change the broker is shown nowhere else.
        parts.append(line((model.mode, quiet if model.mode == "guarded" else "" if filled else BOLD)))
    end = model.finished.at if model.finished else now
    parts.append(line((clock(end - model.started_at) if model.started_at else "", quiet)))
    if model.confirmed is not None and model.confirmed.better and not filled:
        parts.insert(-1, line(("✓ confirmed", BEST)))
    return parts


class StatusBar(Widget):
    """The line; drawn anew a few times a second while a phase runs."""

    def __init__(self) -> None:
        super().__init__(id="status")
        self.model = Model(started_at=time.time())
        self._drawn = ""

    def show(self, model: Model) -> None:
        """Takes a new model."""
        self.model = model
        filled = alarm(model)
        self.set_class(filled == "paused", "-paused")
        self.set_class(filled == "failed", "-failed")
        self.tick()

    def tick(self) -> None:
        """Time has gone on; draws only what looks different."""
        drawn = status_line(self.model, time.time(), self.size.width).plain
        if drawn != self._drawn:
            self._drawn = drawn
            self.refresh()

    def render(self) -> Content:
        """See `Widget`."""
        return status_line(self.model, time.time(), self.size.width)
