"""Shares of variance and slices through the best setting, as what is said about each knob."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brokertuner_tui.insight import effects
from brokertuner_tui.insight.effects import Fitted
from brokertuner_tui.insight.measured import Measured
from brokertuner_tui.insight.region import Axis
from brokertuner_tui.insight.results import CurvePoint, Estimate, KnobInsight, Status
from brokertuner_tui.insight.still import Why
from brokertuner_tui.knobs import codec
from brokertuner_tui.knobs.catalogue import BY_NAME, NAMES, KnobValues, Value, inert

Floats = NDArray[np.float64]

_MATTERS, _SURELY, _LITTLE = 0.05, 0.01, 0.15
"""Share of variance from which a knob matters; what its interval has to be above; and below, to say that nothing shows."""


@dataclass(frozen=True, slots=True)
class Scale:
    """From the model's standardised values to goodput."""

    centre: float
    unit: float
    top: float
    """No more than was ever measured: a model knows nothing of ceilings."""

    def goodput(self, values: Floats) -> Floats:
        """Any shape."""
        found: Floats = np.clip(self.centre + self.unit * values, 0.0, self.top)
        return found


@dataclass(frozen=True, slots=True)
class Findings:
    """About one load."""

    best: Estimate
    default: Estimate
    knobs: tuple[KnobInsight, ...]


def find(
    fitted: Fitted,
    measured: Measured,
    scale: Scale,
    default: KnobValues,
    still: Mapping[str, Why],
    rng: np.random.Generator,
) -> Findings:
    """What a fitted model says about every knob."""
    total, first = effects.shares(fitted, rng)
    columns = [axis.column for axis in fitted.axes]
    start = measured.actions[measured.best][columns]
    values = [_values(axis, default[axis.knob], measured.best_knobs[axis.knob]) for axis in fitted.axes]
    rows = [start, codec.encode(default)[columns]]
    for index, (axis, tried) in enumerate(zip(fitted.axes, values, strict=True)):
        for value in tried:
            row = start.copy()
            row[index] = codec.encode_knob(axis.knob, value)
            rows.append(row)
    drawn = scale.goodput(effects.slices(fitted, np.stack(rows), rng))
    found: dict[str, KnobInsight] = {}
    begin = 2
    for index, (axis, tried) in enumerate(zip(fitted.axes, values, strict=True)):
        own = drawn[begin : begin + len(tried)]
        begin += len(tried)
        found[axis.knob] = _moved(
            axis, tried, drawn[0], own, default, measured, estimate(total[:, index]), estimate(first[:, index])
        )
    others = unmoved(default, measured.best_knobs, still)
    ranked = sorted(found.values(), key=lambda knob: (_ORDER[knob.status], -knob.total.mean if knob.total else 0.0))
    return Findings(
        estimate(drawn[0]), estimate(drawn[1]), (*ranked, *(knob for name, knob in others.items() if name not in found))
    )


_ORDER: Mapping[Status, int] = {"matters": 0, "unclear": 1, "no sign": 2, "inert": 3, "pinned": 4, "not moved": 5}


def unmoved(
    default: KnobValues, best: KnobValues, still: Mapping[str, Why], others: Status = "not moved"
) -> dict[str, KnobInsight]:
    """Every knob as one without figures, by its name.

    Args:
        others: what is said of those that are not in `still`.
    """
    found = {}
    for name in NAMES:
        beside = "only values that strangle the load were tried beside one" if others == "not moved" else ""
        status, why = still.get(name, (others, beside))
        found[name] = KnobInsight(name, status, why, default[name], best.get(name, default[name]))
    return found


def estimate(draws: Floats) -> Estimate:
    """Mean and 95 % interval of (k,) draws."""
    low, high = np.quantile(draws, (0.025, 0.975))
    return Estimate(float(draws.mean()), float(low), float(high))


def _moved(
    axis: Axis,
    tried: Sequence[Value],
    at_best: Floats,
    drawn: Floats,
    default: KnobValues,
    measured: Measured,
    total: Estimate,
    first: Estimate,
) -> KnobInsight:
    name, best = axis.knob, measured.best_knobs[axis.knob]
    status: Status = "unclear"
    if total.mean >= _MATTERS and total.low >= _SURELY:
        status = "matters"
    elif total.mean < _MATTERS and total.high < _LITTLE:
        status = "no sign"
    if name in inert(measured.best_knobs):  # a slice through a setting in which it does nothing
        return KnobInsight(name, status, "persistence is off in the best setting", default[name], best, total, first)
    middle = [estimate(row) for row in drawn]
    here = tried.index(best)
    # In the middle of what is possible: means lean towards the worse, since no draw is above the top.
    good = np.median(at_best - drawn, axis=1) <= measured.tolerance
    good[here] = True
    low = high = here
    while low > 0 and good[low - 1]:
        low -= 1
    while high + 1 < len(good) and good[high + 1]:
        high += 1
    inside = _inside(axis, tried)
    return KnobInsight(
        name,
        status,
        "",
        default[name],
        best,
        total,
        first,
        estimate(at_best - drawn[tried.index(default[name])]),
        as_good_from=tried[low],
        as_good_to=tried[high],
        open_below=bool(low <= inside[0]),
        open_above=bool(high >= inside[-1]),
        curve=tuple(
            CurvePoint(value, one.mean, one.low, one.high)
            for index, (value, one) in enumerate(zip(tried, middle, strict=True))
            if index in inside
        ),
    )


def _values(axis: Axis, default: Value, best: Value) -> list[Value]:
    """Values to look at, ascending as the encoding has them: round ones over the region, the default and the best."""
    if axis.is_switch:
        return [False, True]
    found = {_round(axis.knob, codec.decode_knob(axis.knob, float(x))) for x in axis.grid} | {default, best}
    return sorted(found, key=lambda value: codec.encode_knob(axis.knob, value))


def _inside(axis: Axis, values: Sequence[Value]) -> list[int]:
    """The indices of `values` that lie in the region (two rounded digits are as good as exact), never none."""
    encoded = np.array([codec.encode_knob(axis.knob, value) for value in values])
    margin = 0.02
    return list(np.flatnonzero((encoded >= axis.grid[0] - margin) & (encoded <= axis.grid[-1] + margin)))


def _round(name: str, value: Value) -> Value:
    """To two digits, within the legal range."""
    knob = BY_NAME[name]
    if value in knob.special:
        return value
    digits = max(0, len(str(int(value))) - 2)
    return min(knob.high, max(knob.low, round(int(value), -digits)))
