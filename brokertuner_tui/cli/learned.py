"""What a run taught, for people: sentences, and a table of the knobs that matter."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from brokertuner_tui.cli import output
from brokertuner_tui.cli.output import one_line
from brokertuner_tui.cli.tables import add_numbers, new_table
from brokertuner_tui.insight import AblationInsight, LoadInsight, sentences, words

_WITHOUT = ("inert", "pinned", "not moved")


def learned_view(loads: Sequence[LoadInsight]) -> list[RenderableType]:
    """For each load its sentences, and its table where there are figures; nothing for a run without a measured trial."""
    parts = list[RenderableType]()
    for load in loads:
        settings = f"{load.settings} settings in {load.trials} trials"
        parts.append(Text.assemble((f"What was learned about {one_line(load.profile)}", "bold"), f", {settings}"))
        parts += [Padding(Text(sentence), (0, 0, 0, 2)) for sentence in sentences(load)]
        if load.ablation is not None:
            parts.append(_ablation_table(load, load.ablation))
        if load.verdict == "explained":
            parts.append(_table(load))
        if not load.has_figures:
            parts.append(Text(""))
    return parts


def _ablation_table(load: LoadInsight, ablation: AblationInsight) -> Table:
    """A row for each knob that the best setting changes and that was set back."""
    table = new_table("Knob set back")
    add_numbers(table, "Best", "Default", "The default costs [95 %]", "p99, ms")
    for knob in load.knobs:
        if not knob.is_measured or knob.default_costs is None:
            continue
        table.add_row(
            knob.knob,
            words.rough(knob.knob, knob.best),
            words.rough(knob.knob, knob.default),
            words.interval(knob.default_costs, load),
            "" if knob.default_p99_ms is None else f"{knob.default_p99_ms:.3g}",
            style="" if knob.status == "matters" else "dim",
        )
    p99 = "" if ablation.best_p99_ms is None else f", p99 {ablation.best_p99_ms:.3g} ms"
    windows = f"{ablation.windows} window{'s' * (ablation.windows != 1)} each, in turns"
    table.caption = f"Against the best, {words.amount(ablation.best.mean, load)} on time{p99}: {windows}."
    if ablation.left_out:
        table.caption += f" Not measured: {'; '.join(f'{name}: {why}' for name, why in ablation.left_out.items())}."
    table.caption_justify = "left"
    return table


def _table(load: LoadInsight) -> Table:
    """A row for each knob that was moved."""
    is_wide = output.is_wide()
    has_costs = is_wide and load.ablation is None
    table = new_table("Knob")
    add_numbers(table, "Share [95 %]", *(["Alone [95 %]"] if is_wide else []), "Best")
    table.add_column("As good", no_wrap=True)
    if has_costs:
        add_numbers(table, "The default costs [95 %]")
    for knob in load.knobs:
        if knob.status in _WITHOUT:
            continue
        costs = "" if knob.default_costs is None or knob.best == knob.default else words.interval(knob.default_costs, load)
        table.add_row(
            knob.knob,
            words.share(knob.total),
            *([words.share(knob.first)] if is_wide else []),
            words.value_text(knob.knob, knob.best),
            words.as_good(knob),
            *([costs] if has_costs else []),
        )
    still = [f"{knob.knob} ({knob.why or knob.status})" for knob in load.knobs if knob.status in _WITHOUT]
    explained = (
        ""
        if load.explained is None
        else f", {words.percent(load.explained)} of it is predicted for settings that were held back"
    )
    table.caption = f"Share: of what goodput differs by over the settings that were tried{explained}."
    if still:
        table.caption += f" Without a share: {', '.join(still)}."
    table.caption_justify = "left"
    return table
