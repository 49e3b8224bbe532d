"""What of a session's events goes into the program's log: enough to tell afterwards what happened to a run, and why."""

from __future__ import annotations

import logging
from typing import Any

from brokertuner_tui import logs
from brokertuner_tui.connection.tracker import ConnectionState, ConnectionStatus
from brokertuner_tui.tuning import events

log = logging.getLogger(__name__)
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def tell(event: events.Event) -> None:
    """Logs the event, if it belongs to the story; telemetry and phases do not. Lines of a run carry its id."""
    if isinstance(event, events.RunStarted):
        logs.of_run(event.run)
    is_the_end = isinstance(event, events.RunFinished | events.StateChanged)
    if is_the_end and not logs.has_run():
        return  # nothing began; why is for who asked for it, and nothing shall be left on disk
    told = _story(event)
    if told is not None:
        level, message = told
        log.log(level, "%s", " ".join(message.split()), extra={"is_the_end": is_the_end})
    if isinstance(event, events.RunFinished):
        logs.of_run("")


def _story(event: events.Event) -> tuple[int, str] | None:  # noqa: C901 (a table of all events)
    match event:
        case events.RunStarted():
            return logging.INFO, (
                f"run {event.run}: preset {event.preset}, workload {event.workload}, mode {event.mode}, "
                f"{event.broker_kind} broker at {event.host}:{event.port}, Mosquitto {'.'.join(map(str, event.version))}, "
                f"results in {event.save_dir}"
            )
        case events.StateChanged(state=state, reason=reason):
            return _level_of(state), f"state {state}{f': {reason}' if reason else ''}"
        case events.Notice(message=message, level=level):
            return _LEVELS[level], message
        case events.BrokerTrouble(message=message, log=words, recovered=recovered):
            came = "it is back" if recovered else "it is not back"
            return (logging.WARNING if recovered else logging.ERROR), f"broker: {message} ({came}) {words}"
        case events.BrokerChanged(applied=applied, why=why):
            return logging.INFO, f"broker: {why} ({applied.how}{_changes(applied)})"
        case events.LoadChanged(message=message, level=level):
            return _LEVELS[level], f"load: {message}"
        case events.ConnectionChanged(connection=connection):
            return _level_of_connection(connection), f"connection {connection.name}: {connection.state} {connection.last_error}"
        case events.Judged(verdict=verdict, reasons=reasons, in_a_row=row, rolled_back=rolled_back):
            severity = logging.INFO if verdict is events.SloVerdict.PASS else logging.WARNING
            back = "; the last known good is put back" if rolled_back else ""
            return severity, f"guard: trial {event.trial}: {verdict}, {row} in a row: {'; '.join(reasons)}{back}"
        case events.RestartsLeft(left=left, why=why):
            return logging.INFO, f"restarts left: {'no limit' if left is None else left} {why}"
        case events.Drifted(differences=differences):
            if not differences:
                return logging.INFO, "drift: settled"
            return logging.WARNING, f"drift: {'; '.join(map(str, differences))}"
        case events.Proposed(trial=trial, changed=changed, why=why):
            return logging.INFO, f"proposal for trial {trial}: {', '.join(changed) or 'nothing changes'}: {why}"
        case events.TrialFinished():
            return logging.DEBUG, _trial(event)
        case events.PinsChanged(pinned=pinned):
            return logging.INFO, f"pinned: {dict(pinned)}"
        case events.Confirmed(better=better, best_trial=trial):
            return logging.INFO, f"confirmed: the best, of trial {trial}, is {'' if better else 'not '}better than the default"
        case events.Explained(trials=trials, loads=loads):
            return logging.INFO, f"explained by {trials} trials: " + "; ".join(f"{one.profile}: {one.verdict}" for one in loads)
        case events.RunFinished():
            return _level_of(event.state), (
                f"run {event.run or '(none)'} {event.state} after {event.trials} trials, {event.seconds:.0f} s; "
                f"left in force: {event.left}; {event.reason}"
            )
    return None


def _level_of(state: events.State) -> int:
    return logging.ERROR if state is events.State.FAILED else logging.INFO


def _level_of_connection(connection: ConnectionStatus) -> int:
    if connection.state is ConnectionState.GIVEN_UP:
        return logging.WARNING
    # Connections to the broker itself end with each of its restarts.
    return logging.INFO if "agent" in connection.name else logging.DEBUG


def _changes(applied: Any) -> str:
    changes = ", ".join(f"{name} = {applied.knobs.get(name)}" for name in applied.changed)
    return f": {changes}" if changes else ""


def _trial(event: events.TrialFinished) -> str:
    window, reward = event.outcome.window, event.reward
    figures = f", {window.on_time_per_s:.0f}/s on time" if window is not None else ""
    earned = f", reward {reward:.4g}" if reward is not None else ""
    return f"trial {event.trial} ({event.kind}): {event.verdict}{figures}{earned} {event.outcome.reason}"
