"""Events as sentences: what changed, what it did, how sure; the reason before the number when something went wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from brokertuner_tui import insight
from brokertuner_tui.broker.interface import Difference
from brokertuner_tui.connection.tracker import ConnectionState
from brokertuner_tui.env.outcome import Verdict
from brokertuner_tui.knobs.catalogue import Value
from brokertuner_tui.tui.format import compact, goodput, knob_value, milliseconds, per_second, percent, plural
from brokertuner_tui.tui.model import LogLine, Model, Tone, restarts_text
from brokertuner_tui.tuning import events
from brokertuner_tui.tuning.events import Event, State, TrialFinished, TrialKind

if TYPE_CHECKING:
    from brokertuner_tui.workload.window import Window

_NAMED_KNOBS = 2


def describe(event: Event, model: Model) -> LogLine | None:
    """The line for an event, seen from the model before it; None where there is nothing to say."""
    writer = _WRITERS.get(type(event))
    return writer(event, model) if writer else None


def change_text(name: str, old: Value, new: Value) -> str:
    """`max_inflight_messages 460 → 480`."""
    return f"{name} {knob_value(name, old)} → {knob_value(name, new)}"


def changes_text(names: tuple[str, ...], old: Mapping[str, Value], new: Mapping[str, Value]) -> str:
    """The first knobs that changed, and how many more."""
    known = [name for name in names if name in old and name in new]
    if not known:
        return "no knob changed"
    text = ", ".join(change_text(name, old[name], new[name]) for name in known[:_NAMED_KNOBS])
    more = len(known) - _NAMED_KNOBS
    return f"{text} and {plural(more, 'other')}" if more > 0 else text


def verdict_against(trial: TrialFinished, model: Model) -> tuple[str, Tone, str]:
    """Glyph, tone and words for a trial's on-time goodput against the best so far, or the default, or nothing."""
    window = trial.outcome.window
    assert window is not None, "only a trial that was measured can be compared"
    rate, name = window.goodput, trial.outcome.profile.name
    best = model.bests.get(name)
    if best is None or best.outcome.window is None:
        return "·", "plain", "the first under this load"
    before = best.outcome.window
    was = before.goodput
    if rate < 1 and was < 1:
        return "▼", "worse", "nor has any other"
    # Two standard errors of the difference: about 95 %. A window knows little of what lasts longer than itself: 1 % at least.
    noise = 2 * (window.goodput_stderr**2 + before.goodput_stderr**2) ** 0.5
    gain = rate - was
    if abs(gain) <= max(noise, 0.01 * max(rate, was)):
        return ("▲", "best", "best, inside the noise") if trial.is_best else ("·", "plain", "as good as the best")
    if gain > 0:
        return (
            "▲",
            "best" if trial.is_best else "better",
            f"new best, {before_text(was, rate, in_percent=window.live is not None)}",
        )
    return "▼", "worse", f"best is {goodput(was, in_percent=window.live is not None)}"


def before_text(old: float, new: float, *, in_percent: bool = False) -> str:
    """`was 29.3k/s`, with the factor where that says more."""
    factor = f", {new / old:.2f}×" if old >= 1 and new > 1.1 * old else ""
    return f"was {goodput(old, in_percent=in_percent)}{factor}"


def spread(window: Window) -> str:
    """` ±1.2k`: two standard errors; nothing where the window does not tell (a single period of a bursty load)."""
    if not window.goodput_stderr > 0:
        return ""
    both = 2 * window.goodput_stderr
    return f" ±{both:.1f} %" if window.live is not None else f" ±{compact(both)}"


def _trial(event: TrialFinished, model: Model) -> LogLine:
    outcome, window = event.outcome, event.outcome.window
    before = model.last.outcome.knobs if model.last else model.defaults
    head = f"trial {event.trial}"
    what = changes_text(event.changed, before, outcome.knobs)
    if event.kind is TrialKind.DEFAULT:
        what = "the defaults"
    elif event.kind is TrialKind.BEST:
        what = "the best again"
    elif event.kind is TrialKind.MANUAL:
        what = f"by hand: {what}"
    if outcome.verdict is not Verdict.OK or window is None:
        failed = outcome.verdict is Verdict.FAILED
        word = "failed" if failed else "inconclusive"
        text = f"{head} {word}: {outcome.reason}   {what}"
        return LogLine(event.at, "✗" if failed else "?", "worse" if failed else "warning", text, trial=event.trial)
    glyph, tone, words = verdict_against(event, model)
    bad = ""
    shares = (window.lost / max(window.expected, 1), "lost"), (window.late / max(window.received, 1), "late")
    for share, word in shares:
        if share > 0.005:
            bad += f"{percent(share)} {word}, "
    if outcome.cut_short:
        glyph, tone, bad = "✂", "worse", f"{outcome.reason}; "
    elif outcome.reason:
        glyph, bad = "✂", f"cut after {window.seconds:.2f} s, "
    result = f"{bad}{goodput(window.goodput, in_percent=window.live is not None)}{spread(window)} on time ({words})"
    brief = f"{head}   {result}   {what}"
    text = brief if bad else f"{head}   {what}   {result}"
    return LogLine(event.at, glyph, tone, text, trial=event.trial, brief=brief)


def _broker(event: events.BrokerChanged, model: Model) -> LogLine:
    applied = event.applied
    pids = f"pid {applied.old_pid} → {applied.pid}" if applied.old_pid else f"pid {applied.pid}"
    took = milliseconds(applied.total_s * 1000)
    verb = {"start": "started", "restart": "restarted", "reload": "reloaded", "none": "unchanged"}[applied.how]
    glyph = "⟳" if applied.how == "reload" else "↻"
    text = f"broker {verb} in {took}, {pids}"
    if event.why and event.why != verb:
        text += f": {event.why}"
    changes = "\n".join(
        change_text(name, model.knobs[name], applied.knobs[name]) for name in applied.changed if name in model.knobs
    )
    detail = f"verified: {', '.join(applied.checks)}" + (f"\n{changes}" if changes else "")
    return LogLine(event.at, glyph, "hand" if "operator" in event.why else "plain", text, detail)


def _trouble(event: events.BrokerTrouble, model: Model) -> LogLine:
    tail = "it is back" if event.recovered else "it is down"
    return LogLine(event.at, "!", "warning" if event.recovered else "worse", f"{event.message} ({tail})", event.log)


def _state(event: events.StateChanged, model: Model) -> LogLine | None:
    words = {
        State.TUNING: ("▶", "tuning"),
        State.STEPPING: ("▶", "one trial, then paused"),
        State.PAUSED: ("‖", "paused"),
        State.CONFIRMING: ("◆", "confirming: default and best are measured in turns"),
        State.STOPPING: ("■", "stopping: the broker is left as it was asked for"),
    }
    if event.state not in words:
        return None
    glyph, text = words[event.state]
    return LogLine(event.at, glyph, "quiet", f"{text}: {event.reason}" if event.reason else text)


def _confirmed(event: events.Confirmed, model: Model) -> LogLine:
    default, best = event.default, event.best
    detail = "\n".join(
        f"{name}: {goodput(figure.on_time_per_s, in_percent=figure.in_percent)} on time "
        f"(95 %: {compact(figure.low)} to {compact(figure.high)}), "
        f"delivered {per_second(figure.received_per_s)}, p99 {milliseconds(figure.p99_ms)}, "
        f"{plural(figure.windows, 'window')}"
        for name, figure in (("default", default), (f"best (trial {event.best_trial})", best))
    )
    windows = f"in {plural(best.windows, 'window')} of each, in turns"
    if not event.better:
        return LogLine(event.at, "?", "warning", f"not confirmed: best and default do not differ {windows}", detail)
    how = confirmed_factor(event)
    text = f"confirmed: best {goodput(best.on_time_per_s, in_percent=best.in_percent)} on time, {how} {windows}"
    return LogLine(event.at, "✓", "best", text, detail)


def _explained(event: events.Explained, model: Model) -> LogLine | None:
    if not event.loads:
        return None
    # Of several loads each has a line of its own in the details.
    lines = [f"{load.profile}: {' '.join(insight.sentences(load))}" for load in event.loads]
    text = f"what was learned about {lines[0]}" if len(lines) == 1 else f"what was learned about {len(lines)} loads: Enter"
    return LogLine(event.at, "·", "plain", text, "\n".join(lines))


def confirmed_factor(event: events.Confirmed) -> str:
    """`1.68–1.72× the default`, or in figures where the default has next to nothing on time."""
    if event.ratio_low != event.ratio_low or event.ratio_low > 100 or event.ratio_high == float("inf"):
        return f"default {goodput(event.default.on_time_per_s, in_percent=event.default.in_percent)}"
    return f"{event.ratio_low:.2f}–{event.ratio_high:.2f}× the default"


def _finished(event: events.RunFinished, model: Model) -> LogLine:
    left = {
        "best": "the broker was left with the best setting",
        "default": "the broker was left with its defaults",
        "current": "the broker was left with the last setting",
        "nothing": "no broker was touched",
    }[event.left]
    text = f"{event.state} after {plural(event.trials, 'trial')}"
    if event.reason:
        text += f": {event.reason}"
    glyph, tone = ("✗", "worse") if event.state is State.FAILED else ("■", "plain")
    conf = f"\nthe config to take away: {event.conf_path}" if event.conf_path else ""
    return LogLine(event.at, glyph, tone, f"{text}; {left}", f"run {event.run}{conf}")  # type: ignore[arg-type]


def _started(event: events.RunStarted, model: Model) -> LogLine:
    mode = "read-only" if event.read_only else event.mode
    text = f"run {event.run}: {event.workload} on {event.broker_kind} mosquitto, at {event.host}:{event.port}, {mode}"
    if event.limits:
        text += f"; guarded are: {', '.join(event.limits)}"
    return LogLine(event.at, "▶", "quiet", text, f"everything is kept in {event.save_dir}")


def _load(event: events.LoadChanged, model: Model) -> LogLine:
    warning = event.level != "info"
    return LogLine(event.at, "!" if warning else "●", "warning" if warning else "quiet", event.message)


def _connection(event: events.ConnectionChanged, model: Model) -> LogLine | None:
    """Every attempt would be a line too many: the status line counts them."""
    if event.name != "agent":
        return _to_broker(event, model)
    status, before = event.connection, model.links.get(event.name)
    if status.state is ConnectionState.GIVEN_UP:
        return LogLine(event.at, "✗", "worse", f"{status.name} was given up: {status.last_error}")
    if status.state is ConnectionState.DISCONNECTED and (before is None or before.state.usable):
        return LogLine(event.at, "!", "warning", f"{status.last_error}; tuning waits")
    if status.state is ConnectionState.CONNECTED and (before is None or not before.state.usable):
        return LogLine(event.at, "●", "quiet", f"connected to the agent at {status.name}")
    return None


_OUTAGE = 3
"""Failed attempts after which a connection to the broker is worth a line: a restart costs one or two."""


def _to_broker(event: events.ConnectionChanged, model: Model) -> LogLine | None:
    """The broker's own state is told elsewhere: a line only where one of our connections stays away."""
    status, before = event.connection, model.links.get(event.name)
    if status.state is ConnectionState.GIVEN_UP:
        return LogLine(event.at, "✗", "worse", f"{event.name}: given up after {status.attempts} attempts: {status.last_error}")
    if status.state is ConnectionState.DISCONNECTED and status.attempts == _OUTAGE:
        return LogLine(event.at, "!", "warning", f"{event.name}: {status.last_error}; it is tried again")
    if status.state is ConnectionState.CONNECTED and before is not None and before.attempts > _OUTAGE:
        return LogLine(event.at, "●", "quiet", f"{event.name}: connected again after {before.attempts} attempts")
    return None


def _pins(event: events.PinsChanged, model: Model) -> LogLine | None:
    added = [f"{name} at {knob_value(name, value)}" for name, value in event.pinned.items() if name not in model.pinned]
    moved = [
        f"{name} now at {knob_value(name, value)}"
        for name, value in event.pinned.items()
        if name in model.pinned and model.pinned[name] != value
    ]
    gone = [name for name in model.pinned if name not in event.pinned]
    parts = [f"pinned {', '.join(added + moved)}"] * bool(added + moved) + [f"no longer pinned: {', '.join(gone)}"] * bool(gone)
    return LogLine(event.at, "■", "hand", "; ".join(parts)) if parts else None


def _proposed(event: events.Proposed, model: Model) -> LogLine:
    what = changes_text(event.changed, model.knobs, event.knobs)
    how = "needs a restart" if event.needs_restart else "by reload" if event.changed else "is in force already"
    changes = "\n".join(
        change_text(name, model.knobs[name], event.knobs[name]) for name in event.changed if name in model.knobs
    )
    return LogLine(event.at, "»", "hand", f"proposal for trial {event.trial}: {what} ({how}): {event.why}", changes)


def _judged(event: events.Judged, model: Model) -> LogLine:
    word, glyph, tone = {
        "pass": ("passes the guard again", "✓", "better"),
        "fail": ("breaks the SLO", "▼", "worse"),
        "inconclusive": ("the SLO cannot be judged", "?", "warning"),
    }[event.verdict]
    row = f", {event.in_a_row} in a row" if event.in_a_row > 1 else ""
    why = f": {'; '.join(event.reasons)}" if event.reasons else ""
    back = "; the last known good is put back" if event.rolled_back else ""
    return LogLine(event.at, glyph, tone, f"trial {event.trial} {word}{row}{why}{back}", trial=event.trial)  # type: ignore[arg-type]


def _restarts(event: events.RestartsLeft, model: Model) -> LogLine | None:
    text = restarts_text(event)
    return LogLine(event.at, "↻", "quiet", f"{text}{f': {event.why}' if event.why else ''}") if text else None


def difference_text(difference: Difference) -> str:
    """`max_inflight_messages: ours 480, theirs 20`."""
    name = f"{difference.what} {difference.name}".rstrip() if difference.what != "knob" else difference.name
    return f"{name}: ours {difference.ours}, theirs {difference.theirs}"


def _drifted(event: events.Drifted, model: Model) -> LogLine:
    if not event.differences:
        return LogLine(event.at, "✓", "quiet", "what was changed on the broker by somebody else is settled")
    detail = "\n".join(difference_text(difference) for difference in event.differences)
    more = f" and {plural(len(event.differences) - 1, 'other')}" if len(event.differences) > 1 else ""
    text = f"the broker was changed by somebody else: {difference_text(event.differences[0])}{more}; nothing is overwritten"
    return LogLine(event.at, "!", "worse", text, detail)


def _notice(event: events.Notice, model: Model) -> LogLine:
    glyph, tone = {"info": ("·", "plain"), "warning": ("!", "warning"), "error": ("✗", "worse")}[event.level]
    text, _, detail = event.message.partition("\n")
    return LogLine(event.at, glyph, tone, text, detail)  # type: ignore[arg-type]


_WRITERS: Mapping[type[Event], Callable[[Any, Any], LogLine | None]] = {
    events.RunStarted: _started,
    events.StateChanged: _state,
    events.TrialFinished: _trial,
    events.BrokerChanged: _broker,
    events.BrokerTrouble: _trouble,
    events.LoadChanged: _load,
    events.Proposed: _proposed,
    events.Judged: _judged,
    events.RestartsLeft: _restarts,
    events.Drifted: _drifted,
    events.ConnectionChanged: _connection,
    events.PinsChanged: _pins,
    events.Confirmed: _confirmed,
    events.Explained: _explained,
    events.Notice: _notice,
    events.RunFinished: _finished,
}
