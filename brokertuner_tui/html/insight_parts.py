"""Why the best setting is the best, as charts: which knobs matter, and how flat the optimum is (`insight` has the figures)."""

from __future__ import annotations

from collections.abc import Sequence

from brokertuner_tui.html.chart import Key, Plot, Point, figure, figure_of_many, small_figure
from brokertuner_tui.html.markup import Markup, el
from brokertuner_tui.html.page import Cell, bullets, num, table
from brokertuner_tui.html.rows import Row, rows
from brokertuner_tui.html.scale import counting, linear, short
from brokertuner_tui.insight import words
from brokertuner_tui.insight.results import AblationInsight, CurvePoint, KnobInsight, LoadInsight
from brokertuner_tui.knobs.catalogue import BY_NAME, Value

_SMALL = 300
_MOST_LABELS = 4


def parts(loads: Sequence[LoadInsight]) -> list[Markup]:
    """Sentences, importance, and the shape of the optimum, for each load; nothing without an analysis."""
    found: list[Markup] = []
    for load in loads:
        if len(loads) > 1:
            found.append(el("h3", load.profile))
        found.append(bullets(words.sentences(load)))
        if load.ablation is not None:
            found.append(ablation(load, load.ablation))
        if load.verdict == "explained":
            found += [importance(load), *flatness(load)]
        if load.has_figures:
            found.append(_table(load))
    return found


def ablation(load: LoadInsight, measured: AblationInsight) -> Markup:
    """What each knob of the best setting is worth: what its default costs there, with its interval."""
    told = [(knob, knob.default_costs) for knob in load.knobs if knob.is_measured and knob.default_costs is not None]
    unit = "%" if load.in_percent else "deliveries a second, on time"
    given = [
        Row(
            knob.knob,
            costs.mean,
            costs.low,
            costs.high,
            says=words.interval(costs, load),
            role="ours" if knob.status == "matters" else "plain",
        )
        for knob, costs in told
    ]
    says = f"Worth of {len(given)} knobs under {load.profile}: {'; '.join(f'{row.name} {row.says}' for row in given[:3])}."
    p99 = "" if measured.best_p99_ms is None else f", p99 {measured.best_p99_ms:.3g} ms"
    note = (
        f"The best setting delivers {words.interval(measured.best, load)} on time{p99}. Each knob that it changes was set back "
        f"to its default, all others as they are: {measured.windows} windows each, in turns with the best. Shown is what that "
        "costs, with its 95 % interval."
    )
    if measured.left_out:
        note += f" Not measured: {'; '.join(f'{name}: {why}' for name, why in measured.left_out.items())}."
    draw = rows(says, given, x_title=unit, reference=(0.0, "worth nothing"))
    return figure("What each knob of the best setting is worth", draw, note=note) if given else el("p", note, class_="note")


def importance(load: LoadInsight) -> Markup:
    """The share of what the settings' goodput differs by that has to do with each knob, with its interval."""
    told = [knob for knob in load.knobs if knob.total is not None]
    given = [
        Row(
            knob.knob,
            100 * knob.total.mean,
            100 * knob.total.low,
            100 * knob.total.high,
            says=words.share(knob.total),
            role="ours" if knob.status == "matters" else "plain",
            bar=True,
        )
        for knob in told
        if knob.total is not None
    ]
    says = f"Importance of {len(given)} knobs under {load.profile}: {'; '.join(f'{row.name} {row.says}' for row in given[:3])}."
    rest = [f"{knob.knob} ({knob.why or knob.status})" for knob in load.knobs if knob.total is None]
    note = (
        "Share of the variance of goodput, over what was tried, that has to do with the knob, alone or together with others "
        "(Sobol's total index), and its 95 % interval."
    )
    if load.explained is not None:
        share = 100 * max(0.0, load.explained)
        note += f" The model behind it predicts {share:.0f} % of the variance of settings that it had not seen."
    if rest:
        note += f" Without a figure: {', '.join(rest)}."
    title = "Which knobs matter"
    draw = rows(says, given, x_title="share of the variance, %", at_least=100.0)
    return figure(title, draw, note=note) if given else el("p", note, class_="note")


def flatness(load: LoadInsight) -> list[Markup]:
    """A small chart for each knob that matters: the goodput to be expected along its values, all others at their best."""
    drawn = [knob for knob in load.mattering if len(knob.curve) >= 2]
    if not drawn:
        return []
    highest = [point.high for knob in drawn for point in knob.curve]
    charts = [small_figure(knob.knob, _curve(knob, load, highest)) for knob in drawn]
    keys = [Key("expected, with its 95 % interval", "ours", "line"), Key("the best setting's value", "best", "diamond")]
    about = (
        "On-time goodput to be expected along one knob, all others as in the best setting. Shaded: values that are as good, "
        f"within {words.amount(load.tolerance, load)}."
    )
    return [figure_of_many("How flat the optimum is", charts, keys=keys, note=about)]


def _curve(knob: KnobInsight, load: LoadInsight, highest: Sequence[float]) -> Markup:
    places = {point.value: place for place, point in enumerate(knob.curve)}
    labels = _labels(knob.knob, knob.curve)
    best = words.value_text(knob.knob, knob.best)
    about = f"Expected on-time goodput along {knob.knob}: best {best}; as good: {words.as_good(knob)}."
    y_title = "%" if load.in_percent else "deliveries a second, on time"
    x = counting(0, len(knob.curve) - 1)
    plot = Plot(about, x, linear(highest, ticks=4), width=_SMALL, height=190, x_title="", y_title=y_title, x_labels=labels)
    if knob.as_good_from is not None and knob.as_good_to is not None:
        first, last = places.get(knob.as_good_from), places.get(knob.as_good_to)
        if first is not None and last is not None:
            plot.stretch(first - 0.4, last + 0.4, "", shaded=True)
    plot.band([(place, point.low, point.high) for place, point in enumerate(knob.curve)], "ours")
    plot.line([(place, point.expected) for place, point in enumerate(knob.curve)], "ours")
    for place, point in enumerate(knob.curve):
        at_best = point.value == knob.best
        says = f"{words.value_text(knob.knob, point.value)}: {words.amount(point.expected, load)}"
        says += f" [{words.amount(point.low, load)}, {words.amount(point.high, load)}]"
        mark = [Point(place, point.expected, says)]
        plot.marks(mark, "best" if at_best else "ours", "diamond" if at_best else "circle", size=4.0 if at_best else 2.5)
    return plot.svg()


def _labels(knob: str, curve: Sequence[CurvePoint]) -> dict[float, str]:
    """Some of the values: the first, the last, and a few between."""
    every = max(1, -(-(len(curve) - 1) // (_MOST_LABELS - 1)))
    chosen = {*range(0, len(curve), every), len(curve) - 1}
    if len(curve) - 1 - max(chosen - {len(curve) - 1}, default=0) < every / 2:
        chosen -= {max(chosen - {len(curve) - 1})}
    return {float(place): _short_value(knob, curve[place].value) for place in sorted(chosen)}


def _short_value(knob: str, value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return BY_NAME[knob].special.get(value, short(value))


def _table(load: LoadInsight) -> Markup:
    columns: list[str | Cell] = ["knob", "", num("default"), num("best"), "as good", num("the default's value costs")]
    listed: list[tuple[str | None, list[str | Cell]]] = [
        (
            "ours" if knob.status == "matters" else None,
            [
                knob.knob,
                knob.status,
                num(words.value_text(knob.knob, knob.default)),
                num(words.value_text(knob.knob, knob.best)),
                words.as_good(knob),
                num("" if knob.default_costs is None else words.interval(knob.default_costs, load)),
            ],
        )
        for knob in load.knobs
        if knob.total is not None or knob.is_measured
    ]
    return table(columns, listed)
