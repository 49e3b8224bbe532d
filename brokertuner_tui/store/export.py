"""What is taken away from a run: the winning `broker_tuner.conf`, or all of its trials as CSV or JSON."""

from __future__ import annotations

import os
import stat
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from brokertuner_tui.errors import TunerError, UsageError
from brokertuner_tui.files import replace_file
from brokertuner_tui.insight import words
from brokertuner_tui.insight.ablation import Ablation
from brokertuner_tui.insight.results import LoadInsight
from brokertuner_tui.knobs.catalogue import BY_NAME, CATALOGUE, NAMES, Value, Version, defaults, inert
from brokertuner_tui.knobs.conf import render
from brokertuner_tui.store.csv_logs import csv_text
from brokertuner_tui.store.plain import finite, iso_time
from brokertuner_tui.store.rows import ConfirmationRow, RunRow, TrialRow
from brokertuner_tui.tuning.events import Measured

_WIDTH = 100


def winner(run: RunRow, trials: Sequence[TrialRow]) -> tuple[Mapping[str, Value], int | None]:
    """The knobs that won and their trial: the confirmed ones, else those of the best trial so far.

    Raises:
        UsageError: no trial of the run ended well.
    """
    if run.best_knobs is not None:
        return run.best_knobs, run.best_trial
    best = next((trial.best_trial for trial in reversed(trials) if trial.best_trial is not None), None)
    for trial in trials:
        if trial.number == best:
            return trial.knobs, trial.number
    raise UsageError(f"run {run.id} has no trial that ended well: there is nothing to export")


def conf_text(
    run: RunRow, trials: Sequence[TrialRow] = (), loads: Sequence[LoadInsight] = (), *, simplest: bool = False
) -> str:
    """`broker_tuner.conf`: all eleven knobs, with what was measured, and what every line that differs from the default does.

    Args:
        loads: what the run taught: what each knob is worth is said where it was measured.
        simplest: without the knobs that showed no worth.

    Raises:
        UsageError: no trial of the run ended well, a stored value is not legal, or no simpler setting is known to be as good.
    """
    knobs, trial = winner(run, trials)
    about = _about(run, trial)
    load = next((load for load in loads if load.ablation is not None and dict(load.best_knobs) == dict(knobs)), None)
    if simplest:
        knobs, line = _simpler(run, knobs, load)
        about.append(line)
    own = defaults(run.info.mosquitto_version)
    restart = [knob.name for knob in CATALOGUE if knob.applies == "restart" and knobs[knob.name] != own[knob.name]]
    if restart:
        about.append(f"A reload of the broker does not apply {', '.join(restart)}: restart it.")
    notes = {} if load is None else {knob.knob: words.worth(knob, load) for knob in load.knobs}
    return annotated_conf(knobs, version=run.info.mosquitto_version, about=about, notes=notes)


def _simpler(run: RunRow, knobs: Mapping[str, Value], load: LoadInsight | None) -> tuple[Mapping[str, Value], str]:
    """The best setting without what showed no worth, and what was measured of it."""
    ablation = load.ablation if load is not None else None
    if load is None or ablation is None:
        raise UsageError(
            f"run {run.id} has not measured what its best setting is without single knobs: there is no simpler one"
        )
    if not ablation.is_as_good or ablation.costs is None:
        why = (
            "every knob that was measured is worth something"
            if not ablation.dropped
            else "none that is simpler is known to do as well"
        )
        raise UsageError(f"run {run.id} has no simpler setting: {why}")
    line = (
        f"The simplest setting: {', '.join(ablation.dropped)} at the default again, which together costs "
        f"{words.interval(ablation.costs, load)} of {words.amount(ablation.best.mean, load)} on time. The figures above are "
        "those of the best setting, with these as well."
    )
    return {**knobs, **ablation.dropped}, line


def annotated_conf(
    knobs: Mapping[str, Value], *, version: Version, about: Sequence[str] = (), notes: Mapping[str, str] = MappingProxyType({})
) -> str:
    """All eleven knobs as lines of `mosquitto.conf`, those that differ from `version`'s defaults explained.

    Args:
        about: lines at the top.
        notes: what else is to be said of knobs, by their names.

    Raises:
        UsageError: a value is missing or not legal.
    """
    own = defaults(version)
    idle = inert(knobs)
    lines = [_comment(line) for line in about]
    for knob, line in zip(CATALOGUE, render(knobs).splitlines(), strict=True):
        if knobs[knob.name] != own[knob.name]:
            note = " It does nothing while persistence is off." if knob.name in idle else ""
            lines += ["", _comment(f"{knob.meaning} Default: {shown(knob.name, own[knob.name])}.{note}")]
            if said := notes.get(knob.name):
                lines.append(_comment(said))
        lines.append(line)
    return "\n".join(lines) + "\n"


def shown(name: str, value: Value) -> str:
    """A value as a person reads it: `true`, `500`, `0 (no limit)`."""
    if isinstance(value, bool):
        return str(value).lower()
    special = BY_NAME[name].special.get(value)
    return f"{value} ({special})" if special else str(value)


def _about(run: RunRow, trial: int | None) -> list[str]:
    info = run.info
    when = datetime.fromtimestamp(info.started_at).astimezone().isoformat(sep=" ", timespec="seconds")
    lines = [
        f"Found by brokertuner-tui, run {run.id} of {when}"
        + (f", trial {trial} of {run.trials}." if trial is not None else "."),
        f"Workload {info.workload}, preset {info.preset}, Mosquitto {'.'.join(map(str, info.mosquitto_version))}.",
    ]
    if run.default is None or run.best is None:
        return [*lines, "Not confirmed: the run ended before default and best were measured in turns."]
    lines.append(f"Defaults:       {_figures(run.default)}")
    lines.append(f"These settings: {_figures(run.best)}")
    if not run.better:
        lines.append("The difference is within the uncertainty of the measurement.")
    return lines


def _figures(figure: Measured) -> str:
    p99 = "" if figure.p99_ms != figure.p99_ms else f", p99 {figure.p99_ms:.4g} ms"
    if figure.in_percent:
        return f"{figure.on_time_per_s:.1f} % in time and delivered (95 % interval {figure.low:.1f} to {figure.high:.1f}){p99}"
    return (
        f"{figure.on_time_per_s:,.0f} messages/s on time (95 % interval {figure.low:,.0f} to {figure.high:,.0f}) "
        f"of {figure.received_per_s:,.0f}/s delivered{p99}"
    )


def _comment(text: str) -> str:
    """`text` as comment lines. A workload's name is the operator's: no character of it may begin a line of its own."""
    clean = "".join(character if character.isprintable() else " " for character in text)
    return "\n".join(textwrap.wrap(clean, _WIDTH, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False))


TRIAL_COLUMNS = (
    "run",
    "trial",
    "at",
    "kind",
    "verdict",
    "reason",
    *NAMES,
    "reward",
    "sent_per_s",
    "received_per_s",
    "on_time_per_s",
    "on_time_stderr",
    "p50_ms",
    "p90_ms",
    "p95_ms",
    "p99_ms",
    "p99_low_ms",
    "p99_high_ms",
    "max_ms",
    "late",
    "lost",
    "duplicated",
    "cpu_percent",
    "rss_bytes",
    "ctx_switches_per_s",
    "apply_how",
    "apply_s",
    "reconnect_s",
    "settle_s",
    "planned_s",
    "measure_s",
    "learn_s",
    "pid",
    "broker_restarts",
    "workload_restarts",
    "profile",
    "is_best",
)


def trials_csv(trials: Sequence[TrialRow]) -> str:
    """One line a trial, the knobs as columns."""
    return csv_text(TRIAL_COLUMNS, [_csv_row(trial) for trial in trials])


def _csv_row(trial: TrialRow) -> dict[str, Any]:
    row: dict[str, Any] = {
        "trial": trial.number,
        **trial.knobs,
        **{field.name: getattr(trial.usage, field.name) for field in fields(trial.usage)},
        **{field.name: getattr(trial.timings, field.name) for field in fields(trial.timings)},
        "apply_how": "" if trial.applied is None else trial.applied.how,
        "profile": trial.profile.get("name", ""),
    }
    for name in TRIAL_COLUMNS:
        if name not in row:
            row[name] = getattr(trial, name) if hasattr(trial, name) else getattr(trial.window, name, None)
    return row


def run_data(
    run: RunRow,
    trials: Sequence[TrialRow] = (),
    confirmations: Sequence[ConfirmationRow] = (),
    ablations: Sequence[Ablation] = (),
) -> dict[str, Any]:
    """The run with all that is known of it, for JSON: only finite numbers and null."""
    data = finite(run)
    info = data.pop("info")
    data = {"run": data.pop("id"), "started": iso_time(info["started_at"]), **info, **data}
    return data | {
        "trial_list": [trial_data(trial) for trial in trials],
        "confirmations": [_confirmation_data(confirmation) for confirmation in confirmations],
        "ablations": [_ablation_data(ablation) for ablation in ablations],
    }


def trial_data(trial: TrialRow) -> dict[str, Any]:
    """A trial for JSON, with the window's rates."""
    window = None if trial.window is None else finite(trial.window.as_dict())
    data: dict[str, Any] = finite(trial)
    data["trial"] = data.pop("number")
    return data | {"window": window}


def _confirmation_data(confirmation: ConfirmationRow) -> dict[str, Any]:
    windows = [{"of": which, **finite(window.as_dict())} for which, window in confirmation.windows]
    data: dict[str, Any] = finite(confirmation)
    return data | {"windows": windows}


def _ablation_data(ablation: Ablation) -> dict[str, Any]:
    windows = [{"of": one.of, "turn": one.turn, **finite(one.window.as_dict())} for one in ablation.windows]
    data: dict[str, Any] = finite(ablation)
    return data | {"windows": windows}


def write_out(path: Path, text: str, *, mode: int) -> None:
    """Replaces the file whole; a device or a pipe is written to as it is.

    Raises:
        TunerError: it cannot be written; a file that was there is as it was.
    """
    try:
        if path.exists() and not stat.S_ISREG(os.stat(path).st_mode) and not path.is_dir():
            with open(path, "w", encoding="utf-8") as device:
                device.write(text)
        elif path.is_dir():
            raise UsageError(f"{path} is a folder: give a file's name in it")
        else:
            replace_file(path, text.encode(), mode=mode)
    except OSError as error:
        raise TunerError(f"cannot write {path}: {error.strerror}") from error
