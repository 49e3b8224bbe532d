"""A run as one page: what was found, how sure that is, why, and the config to copy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from brokertuner_tui.env.outcome import Verdict
from brokertuner_tui.errors import UsageError
from brokertuner_tui.html import insight_parts, page, run_charts, run_words
from brokertuner_tui.html.markup import Markup, el
from brokertuner_tui.html.page import Cell, Section, num
from brokertuner_tui.html.scale import whole
from brokertuner_tui.insight.results import LoadInsight
from brokertuner_tui.knobs.catalogue import CATALOGUE, Value, defaults
from brokertuner_tui.knobs.conf import conf_value
from brokertuner_tui.store.export import conf_text, shown, winner
from brokertuner_tui.store.rows import ConfirmationRow, RunRow, TrialRow


def render(
    run: RunRow,
    trials: Sequence[TrialRow],
    confirmations: Sequence[ConfirmationRow],
    loads: Sequence[LoadInsight] = (),
) -> str:
    """The page's whole text. It fetches nothing, and everything that came from outside is escaped.

    Args:
        loads: what the run taught about each load; empty: not known.

    Raises:
        UsageError: the run has no trial.
    """
    if not trials:
        raise UsageError(f"run {run.id} has no trial: there is nothing to report")
    info = run.info
    version = ".".join(map(str, info.mosquitto_version))
    title = f"{info.workload} on Mosquitto {version}"
    sentence, kind = run_words.verdict(run, confirmations)
    head = [
        el("h1", title),
        el("p", f"Run {run.id}, {run.trials} trial{'s' * (run.trials != 1)}, {run.state}", class_="sub"),
        el("p", sentence, class_=f"verdict {kind}".strip()),
        page.tiles(run_words.tiles(run, trials)),
        page.facts(run_words.facts(run)),
    ]
    sections = [
        _compared(confirmations, trials),
        Section("trials", "Over the trials", [run_charts.goodput(trials), run_charts.latency(trials)]),
        _knobs(run, trials),
        Section("why", "What was learned", insight_parts.parts(loads)) if loads else None,
        _restarts(run, trials),
        _config(run, trials, loads),
        Section("how", "How it was measured", [page.paragraphs(run_words.how(run, trials))]),
        Section("all", "All trials", [_all(trials)]),
    ]
    return page.document(
        f"{title}: run {run.id}", head, [section for section in sections if section is not None], foot=f"Run {run.id}."
    )


def _compared(confirmations: Sequence[ConfirmationRow], trials: Sequence[TrialRow]) -> Section | None:
    limits = {part.profile: part.slo_ms for part in run_charts.stretches(trials)}
    latest = {confirmation.profile: confirmation for confirmation in confirmations}
    parts: list[Markup] = []
    for profile, confirmation in latest.items():
        if len(latest) > 1:
            parts.append(el("h3", profile))
        parts.append(run_charts.comparison(confirmation, limits.get(profile, math.nan)))
    return Section("compared", "Default against best", parts) if parts else None


def _winner(run: RunRow, trials: Sequence[TrialRow]) -> tuple[Mapping[str, Value], int | None] | None:
    try:
        return winner(run, trials)
    except UsageError:
        return None


def _knobs(run: RunRow, trials: Sequence[TrialRow]) -> Section | None:
    won = _winner(run, trials)
    if won is None:
        return None
    knobs, number = won
    own = defaults(run.info.mosquitto_version)
    listed: list[tuple[str | None, Sequence[str | Cell]]] = [
        (None, (knob.name, num(shown(knob.name, own[knob.name])), num(shown(knob.name, knobs[knob.name])), knob.applies))
        for knob in CATALOGUE
        if knobs.get(knob.name, own[knob.name]) != own[knob.name] or knob.name in run.info.pinned
    ]
    if not listed:
        return Section("knobs", "Knobs", [el("p", "The best setting is the default: no knob differs.")])
    best = f"best, trial {number}" if number is not None else "best"
    columns: list[str | Cell] = ["knob", num("default"), num(best), "takes effect on"]
    return Section("knobs", "Knobs", [page.table(columns, listed, caption="What differs from the default, or was pinned.")])


def _restarts(run: RunRow, trials: Sequence[TrialRow]) -> Section:
    restarting = [trial for trial in trials if trial.applied is not None and trial.applied.how == "restart"]
    reloads = sum(trial.applied is not None and trial.applied.how == "reload" for trial in trials)
    said = [
        f"{len(restarting)} of {len(trials)} trials restarted the broker, {reloads} reloaded its config; {run.broker_restarts} "
        "restarts in all, those for comparing default and best included. "
        f"The load was restarted {run.workload_restarts} times."
    ]
    times = sorted(trial.applied.total_s for trial in restarting if trial.applied is not None)
    if times:
        back = sorted(trial.timings.reconnect_s for trial in restarting)
        said.append(
            f"From the decision until the broker was verified a restart took {1000 * times[len(times) // 2]:,.0f} ms (median; "
            f"longest {1000 * times[-1]:,.0f} ms); then {1000 * back[len(back) // 2]:,.0f} ms until all clients were back."
        )
    return Section("restarts", "Restarts", [page.paragraphs(said)])


def _config(run: RunRow, trials: Sequence[TrialRow], loads: Sequence[LoadInsight]) -> Section | None:
    if _winner(run, trials) is None:
        return None
    about = el(
        "p", "What ", el("code", f"brokertuner-tui runs export {run.id} --conf FILE"), " writes. Include it, or copy its lines."
    )
    return Section("config", "The config to copy", [about, page.to_copy("conf", conf_text(run, trials, loads))])


def _all(trials: Sequence[TrialRow]) -> Markup:
    columns: list[str | Cell] = [
        "trial",
        "kind",
        "verdict",
        num("on time"),
        num("± 95 %"),
        num("delivered/s"),
        num("p50 ms"),
        num("p99 ms"),
    ]
    columns += [num("reward"), "applied by", "changed, or what went wrong"]
    several = len(run_charts.stretches(trials)) > 1
    listed = [(_role(trial), _trial(trial, several)) for trial in trials]
    title = f"Table of all {len(trials)} trials"
    return page.folded(title, page.table(columns, listed, caption="Bold: the best until then.", dense=True))


def _role(trial: TrialRow) -> str | None:
    if trial.verdict == Verdict.FAILED:
        return "failed"
    return "best" if trial.number == trial.best_trial else None


def _trial(trial: TrialRow, several: bool) -> list[str | Cell]:
    window, applied = trial.window, trial.applied
    figures = [""] * 5
    if window is not None:
        latencies = [f"{value:.4g}" if window.received and value == value else "" for value in (window.p50_ms, window.p99_ms)]
        unit = "/s" if window.live is None else " %"
        figures = [
            f"{whole(window.goodput)}{unit}",
            whole(run_charts.half_width(window)),
            whole(window.received_per_s),
            *latencies,
        ]
    changes = ", ".join(f"{name} {conf_value(trial.knobs[name])}" for name in trial.changed if name in trial.knobs)
    profile = f"{trial.profile.get('name', '')}: " if several else ""
    return [
        str(trial.number),
        trial.kind,
        trial.verdict,
        *(num(figure) for figure in figures),
        num("" if trial.reward is None else f"{trial.reward:.3f}"),
        "" if applied is None else f"{applied.how}, {1000 * applied.total_s:.0f} ms",
        profile + ("; ".join(part for part in (trial.reason, changes) if part) or "nothing"),
    ]
