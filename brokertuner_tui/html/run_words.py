"""What a run's page says in words: the verdict, the figures at its top, how it was measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from brokertuner_tui.env.outcome import Verdict
from brokertuner_tui.html.run_charts import goodput_of
from brokertuner_tui.html.scale import whole
from brokertuner_tui.store.rows import ConfirmationRow, RunRow, TrialRow
from brokertuner_tui.tuning.events import Measured


def verdict(run: RunRow, confirmations: Sequence[ConfirmationRow]) -> tuple[str, str]:
    """One sentence, and what kind it is: `good`, `bad` (nothing can be said, or nothing was gained), or neither."""
    if run.default is None or run.best is None:
        if not run.trials:
            return "Nothing was measured.", "bad"
        what = "The run is not over" if run.running else f"The run ended as {run.state}"
        return f"Not confirmed: {what[0].lower()}{what[1:]} before default and best were measured in turns.", ""
    # A load with several profiles has a comparison for each; the record names the last one.
    latest = {confirmation.profile: confirmation for confirmation in confirmations}
    if len(latest) < 2:
        return compared(run.default, run.best, run.ratio_low, run.ratio_high, bool(run.better)), "good" if run.better else ""
    said = [f"{c.profile}: {compared(c.default, c.best, c.ratio_low, c.ratio_high, c.better)}" for c in latest.values()]
    return " ".join(said), "good" if any(c.better for c in latest.values()) else ""


def compared(default: Measured, best: Measured, low: float | None, high: float | None, better: bool) -> str:
    """What confirming windows say, in a sentence."""
    windows = f"{best.windows} interleaved windows"
    if default.on_time_per_s <= 0:
        if not better:
            return f"Not better than the default, in {windows}: neither setting is beyond doubt on time."
        unit = " %" if best.in_percent else "/s"
        figure = f"{whole(best.on_time_per_s)}{unit} on time [{whole(best.low)}, {whole(best.high)}]"
        return f"{figure} where the default delivers nothing on time, confirmed in {windows}."
    ratio = f"{_times(best.on_time_per_s / default.on_time_per_s)}× the default's on-time goodput"
    if low is not None and high is not None and math.isfinite(low + high):
        ratio += f" [{_times(low)}, {_times(high)}]"
    return f"{ratio}, confirmed in {windows}." if better else f"Not better than the default: {ratio}, in {windows}."


def tiles(run: RunRow, trials: Sequence[TrialRow]) -> list[tuple[str, str, str]]:
    """The figures at the top: name, figure, about it."""
    shown = []
    default, best = run.default, run.best
    if default is not None and best is not None:
        unit = " %" if best.in_percent else "/s"
        shown.append(("on-time goodput", f"{whole(best.on_time_per_s)}{unit}", f"default {whole(default.on_time_per_s)}{unit}"))
        if math.isfinite(best.p99_ms):
            about = f"default {default.p99_ms:.3g} ms" if math.isfinite(default.p99_ms) else "the default delivers nothing"
            shown.append(("p99 latency", f"{best.p99_ms:.3g} ms", about))
        known = [
            goodput_of(trial) if trial.window is not None else 0.0 for trial in trials if trial.verdict != Verdict.INCONCLUSIVE
        ]
        if known and best.on_time_per_s > 0:
            share = statistics.fmean(known) / best.on_time_per_s
            shown.append(("while tuning", f"{100 * share:.0f} %", "of the best's, on average"))
    failed = sum(trial.verdict == Verdict.FAILED for trial in trials)
    shown.append(("trials", str(run.trials), f"{failed} failed" if failed else "none failed"))
    shown.append(("broker restarts", str(run.broker_restarts), _took(run.seconds)))
    return shown


def facts(run: RunRow) -> dict[str, str]:
    """What it was that ran, where, and when."""
    info = run.info
    started = datetime.fromtimestamp(info.started_at).astimezone()
    tuning = _section(info.config, "tuning")
    mode = "read-only" if tuning.get("read_only") else info.mode
    software = ", ".join(
        f"{name} {version}" for name, version in info.versions.items() if name in ("brokertuner-tui", "python")
    )
    found = {
        "workload": info.workload,
        "broker": f"Mosquitto {'.'.join(map(str, info.mosquitto_version))} ({info.broker_kind})",
        "date": f"{started:%Y-%m-%d %H:%M:%S %z}" + (f", {run.seconds:,.0f} s" if run.seconds is not None else ""),
        "machine": ", ".join(part for part in (info.owner.host, software) if part),
        "preset": f"{info.preset}, seed {info.seed}, mode {mode}",
        "state": f"{run.state}: {run.reason}" if run.reason else str(run.state),
    }
    if info.pinned:
        found["pinned"] = ", ".join(f"{name} {_plain(value)}" for name, value in info.pinned.items())
    if run.left is not None:
        found["left in force"] = run.left
    return found


def how(run: RunRow, trials: Sequence[TrialRow]) -> list[str]:
    """How the figures came about, a sentence or two each."""
    info, tuning = run.info, _section(run.info.config, "tuning")
    windows = [trial.window.seconds for trial in trials if trial.window is not None]
    said = [
        f"The load: {load(info.profile)}" + (f" (the first of {len(info.phases)} phases)." if len(info.phases) > 1 else "."),
        "On-time goodput is deliveries a second that reached a subscriber within the SLO, each counted once, by sequence "
        "number at the receiving end. The broker's own counters are not used.",
    ]
    if windows:
        length = (
            f"{min(windows):.2g} to {max(windows):.2g} s" if max(windows) - min(windows) > 0.15 else f"{max(windows):.2g} s"
        )
        settle = tuning.get("settle_sec")
        after = f", after {settle:g} s of settling" if isinstance(settle, int | float) else ""
        said.append(f"A trial applies a setting, verifies that it is in force, and measures it for {length}{after}.")
    if run.best is not None:
        said.append(
            f"Default and best were measured {run.best.windows} times each, in turns (ABBA), so that a drift of the machine "
            "favours neither. The best counts as better only if the 95 % interval of the paired differences (Student's t) lies "
            "above zero."
        )
    said.append(
        "Broker, load and learner may share a machine: compare figures of one machine only. Everything behind this page: "
        f"brokertuner-tui runs export {run.id} --json FILE."
    )
    return said


def load(profile: Mapping[str, Any]) -> str:
    """A profile in words."""
    name = f"{profile.get('name', '')}: "
    if profile.get("parts"):
        return name + " together with ".join(load(part) for part in profile["parts"])
    rate = float(profile.get("rate", 0.0))
    pace = f"{rate:,.0f} messages/s" if rate > 0 else f"as fast as a window of {profile.get('window', 0)} allows"
    away = float(profile.get("client_rtt_ms", 0.0))
    return name + ", ".join(
        part
        for part in (
            f"{_many(profile.get('publishers', 0), 'publisher')} to {_many(profile.get('subscribers', 0), 'subscriber')} over "
            f"{_many(profile.get('topics', 0), 'topic')}",
            f"QoS {profile.get('qos', 0)}",
            f"{profile.get('payload_bytes', 0):,} B",
            pace,
            f"clients {away:g} ms away" if away else "",
            f"SLO {profile.get('slo_ms', math.nan):g} ms",
        )
        if part
    )


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _times(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 100 else f"{ratio:,.0f}"


def _took(seconds: float | None) -> str:
    return "so far" if seconds is None else f"in {seconds:,.0f} s"


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = config.get(name, {})
    return found if isinstance(found, Mapping) else {}
