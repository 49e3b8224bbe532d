"""What a run taught about a load, in sentences."""

from __future__ import annotations

from brokertuner_tui.insight.results import Estimate, KnobInsight, LoadInsight
from brokertuner_tui.knobs.catalogue import BY_NAME, Value

_MOST = 3
"""Knobs that have a clause of their own."""


def sentences(load: LoadInsight) -> tuple[str, ...]:
    """A few plain sentences, without the load's name."""
    if not load.has_figures:
        return (load.why,)
    found = load.mattering
    clauses = [_clause(knob, load) for knob in found[:_MOST]]
    more = len(found) - _MOST
    if more > 0:
        clauses.append(f"{more} more matter{'s' * (more == 1)} less")
    if not found:
        clauses.append("no knob stands out alone")
    why = f"From the trials alone: {load.why}." if load.why else ""
    return tuple(part for part in (f"{'; '.join(clauses)}.", _rest(load), _simpler(load), why) if part)


def _simpler(load: LoadInsight) -> str:
    """What can be left away."""
    ablation = load.ablation
    if ablation is None or not ablation.dropped:
        return ""
    names = ", ".join(ablation.dropped)
    if ablation.is_as_good:
        back = f"back at the default{'s' * (len(ablation.dropped) > 1)}"
        return f"It does as well with {names} {back} (`runs export --simplest` writes that config)."
    if ablation.costs is None:
        return ""
    if len(ablation.dropped) == 1:
        return f"Whether it does as well without {names} is not clear yet: that costs {interval(ablation.costs, load)}."
    return f"All of {names} back at the defaults cost {interval(ablation.costs, load)}: not known to do as well."


def worth(knob: KnobInsight, load: LoadInsight) -> str:
    """What was measured of one knob of the best setting, in a sentence for its line in a config; empty: nothing was."""
    ablation, costs = load.ablation, knob.default_costs
    if ablation is None:
        return ""
    if (why := ablation.left_out.get(knob.knob)) is not None:
        return f"What it is worth was not measured: {why}."
    if not knob.is_measured or costs is None:
        return ""
    told = f"costs {interval(costs, load)} of {amount(ablation.best.mean, load)} on time"
    p99 = ""
    if knob.default_p99_ms is not None and ablation.best_p99_ms is not None:
        p99 = f", p99 {knob.default_p99_ms:.3g} instead of {ablation.best_p99_ms:.3g} ms"
    sign = {
        "no sign": "No sign that it is worth anything: its default",
        "unclear": "Not clear whether it is worth anything: its default",
    }
    return f"{sign.get(knob.status, 'Its default')} {told}{p99}."


def amount(figure: float, load: LoadInsight, *, signed: bool = False) -> str:
    """A goodput with its unit: `48.2k/s`, `97.1 %`."""
    sign = "+" if signed and figure >= 0 else ""
    if load.in_percent:
        return f"{sign}{figure:.1f} %"
    size = abs(figure)
    if size >= 1e6:
        return f"{sign}{figure / 1e6:.2f}M/s"
    return f"{sign}{figure / 1e3:.1f}k/s" if size >= 1e3 else f"{sign}{figure:.0f}/s"


def interval(estimate: Estimate, load: LoadInsight, *, signed: bool = False) -> str:
    """`+24.1k/s [22.0k/s, 26.2k/s]`"""
    low, high = (amount(end, load) for end in (estimate.low, estimate.high))
    return f"{amount(estimate.mean, load, signed=signed)} [{low}, {high}]"


def percent(part: float) -> str:
    """`62 %`"""
    return f"{100 * max(0.0, part):.0f} %"


def share(estimate: Estimate | None) -> str:
    """`62 % [48, 75]`; empty for None."""
    if estimate is None:
        return ""
    return f"{100 * estimate.mean:.0f} % [{100 * estimate.low:.0f}, {100 * estimate.high:.0f}]"


def value_text(knob: str, value: Value) -> str:
    """`true`, `500`, `no limit`."""
    if isinstance(value, bool):
        return str(value).lower()
    return BY_NAME[knob].special.get(value, f"{value:,}")


def rough(knob: str, value: Value) -> str:
    """`value_text`, large numbers shortened: `1.2M`."""
    if isinstance(value, bool) or value in BY_NAME[knob].special or value < 100_000:
        return value_text(knob, value)
    factor, unit = next((f, u) for f, u in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if value >= f)
    return f"{value / factor:.3g}{unit}"


def as_good(knob: KnobInsight) -> str:
    """`from 300 up`, `from 300 to 2,000`, `true or false`; empty where it is not known."""
    low, high = knob.as_good_from, knob.as_good_to
    if low is None or high is None:
        return ""
    if isinstance(low, bool):
        return rough(knob.knob, low) if low == high else "true or false"
    if low == high:
        return rough(knob.knob, low)
    if knob.open_below and knob.open_above:
        return "any that was tried"
    if knob.open_above:
        return f"from {rough(knob.knob, low)} up"
    if knob.open_below:
        return f"up to {rough(knob.knob, high)}"
    return f"from {rough(knob.knob, low)} to {rough(knob.knob, high)}"


def _clause(knob: KnobInsight, load: LoadInsight) -> str:
    name, best = knob.knob, rough(knob.knob, knob.best)
    good = as_good(knob)
    flat = f" ({good} is as good)" if good not in ("", best) else ""
    costs = knob.default_costs
    if load.ablation is not None and name in load.ablation.left_out and knob.why:
        return f"{name} {best} is needed: {knob.why}"
    if knob.best != knob.default and costs is not None and costs.low > 0:
        return f"{name} {best} earns {interval(costs, load, signed=True)}{flat}"
    p99 = load.ablation.best_p99_ms if load.ablation is not None else None
    if p99 is not None and knob.default_p99_ms is not None and knob.default_p99_ms > p99:
        return f"{name} {best} makes p99 {p99:.3g} ms instead of {knob.default_p99_ms:.3g}"
    worst = min(knob.curve, key=lambda point: point.expected, default=None)
    if worst is not None and load.best is not None and load.best.mean - worst.expected > load.tolerance:
        lost = amount(load.best.mean - worst.expected, load)
        return f"{name} matters: {rough(name, worst.value)} costs {lost} against {best}{flat}"
    return f"{name} matters away from the best setting only"


def _rest(load: LoadInsight) -> str:
    known = [knob for knob in load.knobs if load.verdict == "explained" or knob.is_measured]
    groups = {
        ("does not show", "do not show"): [knob.knob for knob in known if knob.status == "no sign"],
        ("is not clear yet", "are not clear yet"): [knob.knob for knob in known if knob.status == "unclear"],
    }
    parts = []
    for (one, several), names in groups.items():
        if len(names) > _MOST:
            parts.append(f"{len(names)} others {several}")
        elif names:
            parts.append(f"{', '.join(names)} {several if len(names) > 1 else one}")
    return f"{'; '.join(parts)}." if parts else ""
