"""Does the broker keep its SLO with what is in force? Three verdicts, from the figures of one window at a time.

A figure misses its limit where it is worse by more than the tolerance. Where the last known good setting misses the limit
itself, a trial has to be worse than that: the guard must not forbid the way out. What was not measured, or is no number, never
passes: it is inconclusive, if a limit needs it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from brokertuner_tui.config.settings import GuardSettings
from brokertuner_tui.env.outcome import Outcome, Verdict
from brokertuner_tui.knobs.catalogue import KnobValues
from brokertuner_tui.telemetry.sample import Sample
from brokertuner_tui.tuning.events import SloVerdict
from brokertuner_tui.workload.window import Window

_MIB = 2**20
_EARLY_SHARE = 0.5
"""Of a window has to be over before the latency so far may end it: its beginning still has what the change stirred up."""
_EARLY_MESSAGES = 1000
_BEYOND_P99 = 0.01


@dataclass(frozen=True, slots=True)
class Figures:
    """What a window says of each limit; None: nothing."""

    on_time_share: float | None = None
    p99_ms: float | None = None
    loss_share: float | None = None
    memory_mib: float | None = None
    cpu_percent: float | None = None


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a limit is spoken of."""

    name: Literal["on_time_share", "p99_ms", "loss_share", "memory_mib", "cpu_percent"]
    words: str
    least: bool
    """Whether more is better."""
    unit: str


_KINDS = (
    _Kind("on_time_share", "deliveries in time", True, "%"),
    _Kind("p99_ms", "p99 latency", False, " ms"),
    _Kind("loss_share", "deliveries lost", False, "%"),
    _Kind("memory_mib", "the broker's memory", False, " MiB"),
    _Kind("cpu_percent", "the broker's CPU", False, " % of a core"),
)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one window means."""

    verdict: SloVerdict
    reasons: tuple[str, ...] = ()
    """One sentence for each limit that was missed, or why nothing can be said."""
    in_a_row: int = 1
    """Windows with this verdict in a row, this one included."""
    breach: bool = False
    """The setting broke the SLO: what was in force before is to be put back."""
    again: bool = False
    """It missed, though not often enough in a row: the same setting is to be measured once more."""


@dataclass(slots=True)
class _Missing:
    """Windows in a row that one setting missed in."""

    knobs: dict[str, object] = field(default_factory=dict)
    windows: int = 0


class SloGuard:
    """Judges window after window. Used by one thread.

    Args:
        counts_losses: whether the load can tell what was lost (emqtt_bench cannot).
    """

    def __init__(self, settings: GuardSettings, *, counts_losses: bool = True) -> None:
        self._settings, self._counts_losses = settings, counts_losses
        self._limits = {kind: float(limit) for kind in _KINDS if (limit := getattr(settings, kind.name)) is not None}
        self._good: dict[str, Figures] = {}
        """What the last known good setting does, by profile."""
        self._missing = _Missing()
        self._last, self._in_a_row = SloVerdict.PASS, 0

    @property
    def active(self) -> bool:
        """Whether there is anything to keep."""
        return bool(self._limits)

    def knows_good(self, profile: str) -> bool:
        """Whether the last known good setting was measured under this profile."""
        return profile in self._good

    def new_good(self, outcome: Outcome) -> None:
        """Another setting is the last known good one: the one that this window measured."""
        self._good = {outcome.profile.name: figures(outcome, counts_losses=self._counts_losses)}

    def judge(self, outcome: Outcome, *, good: KnobValues) -> Judgement:
        """What `outcome` means.

        Args:
            good: the last known good knobs. Their own windows are what others are compared with; they are never a breach,
                since there is nothing better to go back to.
        """
        is_good = dict(outcome.knobs) == dict(good)
        if outcome.verdict is not Verdict.OK or outcome.window is None:
            verdict = SloVerdict.FAIL if outcome.verdict is Verdict.FAILED else SloVerdict.INCONCLUSIVE
            return self._told(verdict, (outcome.reason or "the trial could not be measured",))
        found = figures(outcome, counts_losses=self._counts_losses)
        before = self._good.get(outcome.profile.name)
        if is_good:
            self._good[outcome.profile.name] = found
            before = None
        missed, unknown = self._compare(found, before)
        if outcome.cut_short and self.active and not missed:
            missed = [outcome.reason]  # it was seen to be bad, and ended before the rest could tell
        if missed:
            return self._missed(outcome, tuple(missed), is_good)
        self._missing = _Missing()
        if unknown:
            return self._told(SloVerdict.INCONCLUSIVE, tuple(unknown))
        return self._told(SloVerdict.PASS, ())

    def floor(self, profile: str) -> float | None:
        """The share in time below which a window cannot pass any more; None: there is no such limit."""
        for kind, limit in self._limits.items():
            if kind.name == "on_time_share":
                return self._threshold(kind, limit, self._good.get(profile))
        return None

    def early(self, sample: Sample | None, elapsed_share: float, profile: str) -> str:
        """Why a window that is open need not be finished: it cannot pass any more, or hardly. Empty: it shall be.

        Args:
            sample: the last reading of the telemetry.
            elapsed_share: of the window, 0 to 1.
        """
        if sample is None or not self._limits:
            return ""
        memory = sample.process.rss_bytes / _MIB or None
        latency = sample.load.latency_ms
        settled = elapsed_share >= _EARLY_SHARE and sample.received_per_s >= _EARLY_MESSAGES
        p99 = latency[2] if latency is not None and settled else None
        missed, _ = self._compare(Figures(memory_mib=memory, p99_ms=p99), self._good.get(profile))
        return missed[0] if missed else ""

    # -- inside --------------------------------------------------------------------------------------------------------

    def _missed(self, outcome: Outcome, missed: tuple[str, ...], is_good: bool) -> Judgement:
        if is_good:
            return self._told(SloVerdict.FAIL, missed)
        knobs = dict(outcome.knobs)
        same = knobs == self._missing.knobs
        self._missing = _Missing(dict(knobs), self._missing.windows + 1 if same else 1)
        so_far, needed = self._missing.windows, self._settings.windows
        if so_far < needed:
            told = tuple(f"{reason} (window {so_far} of {needed} that count)" for reason in missed)
            return self._told(SloVerdict.INCONCLUSIVE, told, again=True)
        return self._told(SloVerdict.FAIL, missed, breach=True)

    def _told(self, verdict: SloVerdict, reasons: tuple[str, ...], *, breach: bool = False, again: bool = False) -> Judgement:
        self._in_a_row = self._in_a_row + 1 if verdict is self._last else 1
        self._last = verdict
        return Judgement(verdict, reasons, self._in_a_row, breach, again)

    def _compare(self, found: Figures, good: Figures | None) -> tuple[list[str], list[str]]:
        """The limits that are missed, and those of which nothing can be said, each as a sentence."""
        missed, unknown = [], []
        for kind, limit in self._limits.items():
            value = getattr(found, kind.name)
            threshold = self._threshold(kind, limit, good)
            if value is None or math.isnan(value):
                unknown.append(f"{kind.words}: not measured in this window")
            elif value < threshold if kind.least else value > threshold:
                missed.append(_sentence(kind, value, limit, _of(good, kind), self._settings.tolerance))
        return missed, unknown

    def _threshold(self, kind: _Kind, limit: float, good: Figures | None) -> float:
        """What a figure has to reach, or keep to."""
        known, tolerance = _of(good, kind), self._settings.tolerance
        if kind.least:
            return (limit if known is None else min(limit, known)) * (1 - tolerance)
        return (limit if known is None else max(limit, known)) * (1 + tolerance)


def limits(settings: GuardSettings) -> tuple[str, ...]:
    """Each limit that is set, in words: `p99 latency at most 20 ms`."""
    found = ((kind, getattr(settings, kind.name)) for kind in _KINDS)
    return tuple(
        f"{kind.words} {'at least' if kind.least else 'at most'} {_number(kind, float(limit))}"
        for kind, limit in found
        if limit is not None
    )


def _of(good: Figures | None, kind: _Kind) -> float | None:
    value = getattr(good, kind.name) if good is not None else None
    return None if value is None or math.isnan(value) else float(value)


def _sentence(kind: _Kind, value: float, limit: float, good: float | None, tolerance: float) -> str:
    at = "at least" if kind.least else "at most"
    text = f"{kind.words}: {_number(kind, value)}, {at} {_number(kind, limit)}"
    if good is not None and (good < limit if kind.least else good > limit):
        text += f" (the last known good does {_number(kind, good)})"
    return text + (f", ±{100 * tolerance:g} %" if tolerance else "")


def _number(kind: _Kind, value: float) -> str:
    return f"{100 * value:.4g} %" if kind.unit == "%" else f"{value:.4g}{kind.unit}"


def figures(outcome: Outcome, *, counts_losses: bool = True) -> Figures:
    """What an outcome says of each limit; of memory and CPU where the broker's process is known."""
    usage, window = outcome.usage, outcome.window
    known = usage.rss_bytes > 0
    memory, cpu = (usage.rss_bytes / _MIB, usage.cpu_percent) if known else (None, None)
    if window is None:
        return Figures(memory_mib=memory, cpu_percent=cpu)
    return Figures(
        on_time_share=_on_time_share(window),
        p99_ms=_p99_ms(window, outcome.profile.slo_ms),
        loss_share=_loss_share(window) if counts_losses else None,
        memory_mib=memory,
        cpu_percent=cpu,
    )


def _has_latencies(window: Window) -> bool:
    """emqtt_bench without its Prometheus endpoint counts what came, but not when."""
    return bool(window.histogram) or not window.received


def _on_time_share(window: Window) -> float | None:
    judged = window.on_time + window.late + window.missing
    if judged <= 0 or not _has_latencies(window):
        return None
    not_dropped = window.live.not_dropped if window.live is not None else 1.0
    return window.share_in_time * not_dropped


def _p99_ms(window: Window, slo_ms: float) -> float | None:
    judged = window.on_time + window.late + window.missing
    if judged <= 0 or not _has_latencies(window):
        return None
    if not window.received:
        return math.inf  # whatever was due has not come
    # Of what has not come it is known only that it takes longer than the SLO of the load.
    return max(window.p99_ms, slo_ms) if window.missing > _BEYOND_P99 * judged else window.p99_ms


def _loss_share(window: Window) -> float | None:
    due = window.received + window.lost
    if not window.received and window.missing > 0:
        return 1.0
    if due <= 0:
        return None
    share = window.lost / due
    if window.live is None:
        return share
    sequenced = window.live.sequenced
    return max(share, 1 - window.live.not_dropped, 1 - sequenced.share if sequenced is not None else 0.0)
