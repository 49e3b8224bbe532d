"""What a run taught about each kind of load: plain data, made by `insight.explain`, kept in the store as JSON.

Figures are on-time goodput, deliveries a second; of live traffic (`in_percent`) the share in time and delivered, in per cent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

from brokertuner_tui.knobs.catalogue import KnobValues, Value

Verdict = Literal["explained", "flat", "not enough"]
"""Whether the trials say which knobs matter; `flat`: whatever was tried did the same, as far as one can measure.
`LoadInsight.ablation` says what was measured beside them."""
Status = Literal["matters", "no sign", "unclear", "inert", "pinned", "not moved"]
"""`no sign`: it was moved, and nothing came of it. The last three have no figures."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """On-time goodput to be expected with this value of a knob and everything else at the best setting."""

    value: Value
    expected: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class KnobInsight:
    """What is known about one knob under one load."""

    knob: str
    status: Status
    why: str
    """In a few words, where there are no figures; else empty."""
    default: Value
    best: Value
    """In the best setting."""
    total: Estimate | None = None
    """Of the variance over the region that was tried: the share that this knob has to do with (Sobol's total index), 0 to 1."""
    first: Estimate | None = None
    """The share that this knob explains alone (Sobol's first-order index)."""
    default_costs: Estimate | None = None
    """Goodput that is lost with the default's value, everything else at the best setting: what a model of the trials expects,
    or (`is_measured`) what an ablation has measured."""
    is_measured: bool = False
    default_p99_ms: float | None = None
    """With the default's value, where that was measured."""
    as_good_from: Value | None = None
    as_good_to: Value | None = None
    """Values around the best one that are as good, within `LoadInsight.tolerance`; for a switch, whether off and on are."""
    open_below: bool = False
    open_above: bool = False
    """Whether they reach the end of what was tried: they may go on beyond it."""
    curve: tuple[CurvePoint, ...] = ()
    """Over the values that were tried, ascending; "no limit" is the last."""


@dataclass(frozen=True, slots=True)
class AblationInsight:
    """What was measured without each knob of the best setting; the knobs' own figures are in `KnobInsight`."""

    windows: int
    """Of each knob."""
    best: Estimate
    best_p99_ms: float | None
    left_out: Mapping[str, str]
    """Knobs that were not measured, or not to the end, and why."""
    dropped: Mapping[str, Value]
    """Knobs that show no worth when one of them is set back, and the values that they have then in the simpler setting."""
    costs: Estimate | None
    """What the simpler setting loses, all of `dropped` set back together; None: that was not measured."""
    is_as_good: bool
    """Whether it loses next to nothing for sure, and is not slower."""


@dataclass(frozen=True, slots=True)
class LoadInsight:
    """What a run taught about one load."""

    profile: str
    """Its profile's name."""
    verdict: Verdict
    why: str
    """One sentence on the verdict, unless it is `explained`."""
    trials: int
    """That were measured."""
    settings: int
    """Different ones among them."""
    in_percent: bool
    noise: float
    """Standard deviation of one trial, the same setting measured again; 0: not known."""
    explained: float | None
    """Of the variance between settings that the model had not seen: the share that it predicts (at most 1); None: not tried."""
    tolerance: float
    """What counts as as good as the best: so much less."""
    best_trial: int | None
    best_knobs: KnobValues
    """The setting that the figures are about (the run's best under this load); empty without any."""
    best: Estimate | None
    default: Estimate | None
    """What is to be expected of the best setting and of the default."""
    knobs: tuple[KnobInsight, ...]
    """All eleven, what matters most first."""
    ablation: AblationInsight | None = None
    """None: nothing was measured, or of another setting than the best."""

    @property
    def has_figures(self) -> bool:
        """Whether anything is known of single knobs."""
        return self.verdict == "explained" or self.ablation is not None

    @property
    def mattering(self) -> tuple[KnobInsight, ...]:
        """The knobs that matter, the most important one first."""
        return tuple(knob for knob in self.knobs if knob.status == "matters")


def to_json(loads: Sequence[LoadInsight]) -> list[dict[str, Any]]:
    """For JSON, with the sentences that people read."""
    from brokertuner_tui.insight.words import sentences

    return [{**asdict(load), "sentences": list(sentences(load))} for load in loads]


def from_json(data: Sequence[Mapping[str, Any]]) -> tuple[LoadInsight, ...]:
    """From what `to_json` gave, be it before there were ablations.

    Raises:
        KeyError, TypeError: it is something else.
    """
    return tuple(_load(load) for load in data)


def _load(data: Mapping[str, Any]) -> LoadInsight:
    values = {name: data[name] for name in LoadInsight.__dataclass_fields__ if name in data}
    values["best"], values["default"] = _estimate(data["best"]), _estimate(data["default"])
    values["knobs"] = tuple(_knob(knob) for knob in data["knobs"])
    values["ablation"] = _ablation(data.get("ablation"))
    return LoadInsight(**values)


def _ablation(data: Mapping[str, Any] | None) -> AblationInsight | None:
    if data is None:
        return None
    values = {name: data[name] for name in AblationInsight.__dataclass_fields__}
    values["best"], values["costs"] = _estimate(data["best"]), _estimate(data["costs"])
    return AblationInsight(**values)


def _knob(data: Mapping[str, Any]) -> KnobInsight:
    values = {name: data[name] for name in KnobInsight.__dataclass_fields__ if name in data}
    for name in ("total", "first", "default_costs"):
        values[name] = _estimate(data[name])
    values["curve"] = tuple(CurvePoint(**point) for point in data["curve"])
    return KnobInsight(**values)


def _estimate(data: Mapping[str, Any] | None) -> Estimate | None:
    return None if data is None else Estimate(**cast("dict[str, float]", data))
