"""What the run has taught: sentences, shares with their intervals, and how flat the optimum is."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.content import Content

from brokertuner_tui.insight import AblationInsight, KnobInsight, LoadInsight, sentences, words
from brokertuner_tui.tui import ink
from brokertuner_tui.tui.format import milliseconds, plural
from brokertuner_tui.tui.ink import BEST, BOLD, HAND, QUIET, cell, line
from brokertuner_tui.tui.model import Model
from brokertuner_tui.tui.screens.details import Details

_WITHOUT = ("inert", "pinned", "not moved")
_NOTHING = (
    "Nothing yet: a run is explained when its trials are done, or when it is stopped. Then this tells which knobs mattered "
    "under each load, by how much, how sure that is, and which values are as good as the best. The store keeps it: "
    "`brokertuner-tui runs show` tells it, too."
)
_BAR = 10


class Learned(Details):
    """What `Explained` told last."""

    def __init__(self, model: Model) -> None:
        super().__init__("what was learned", Content(""))
        self._model = model

    def compose(self) -> ComposeResult:
        """See `Screen`."""
        self._content = learned(self._model, min(120, self.app.size.width * 96 // 100) - 8)
        yield from super().compose()


def learned(model: Model, width: int) -> Content:
    """All of it, for a width."""
    event = model.explained
    if event is None or not event.loads:
        return ink.lines(ink.hanging(Content(""), _NOTHING, width))
    rows = []
    if (more := model.points[-1].trial - event.trials if model.points else 0) > 0:
        rows += [line((f"{plural(more, 'trial')} since then: it is worked out again at the end", HAND)), Content("")]
    for load in event.loads:
        rows += _load(load, width)
    return ink.lines(rows[:-1])


def _load(load: LoadInsight, width: int) -> list[Content]:
    rows = [line((load.profile, BOLD), (f"   {plural(load.settings, 'setting')} in {plural(load.trials, 'trial')}", QUIET))]
    for sentence in sentences(load):
        rows += ink.hanging(Content(""), sentence, width)
    if load.ablation is not None:
        rows += [Content(""), *_ablation_table(load, load.ablation, width)]
    if load.verdict == "explained":
        rows += [Content(""), *_table(load, width)]
    still = [f"{knob.knob} ({knob.why or knob.status})" for knob in load.knobs if knob.status in _WITHOUT]
    if still:
        rows += ink.hanging(line(("without a share   ", QUIET)), ", ".join(still), width, QUIET)
    return [*rows, Content("")]


def _ablation_table(load: LoadInsight, ablation: AblationInsight, width: int) -> list[Content]:
    """The knobs of the best that were set back, one at a time."""
    has_default = width >= 92
    default = f"{'default':>9}" if has_default else ""
    rows = [line((f"{'knob set back':<22} {'best':>9}{default}  {'the default costs':<27}{'p99':>7}", QUIET))]
    for knob in load.knobs:
        if not knob.is_measured or knob.default_costs is None:
            continue
        matters = knob.status == "matters"
        plain = "" if matters else QUIET
        p99 = "" if knob.default_p99_ms is None else milliseconds(knob.default_p99_ms)
        rows.append(
            line(
                cell(knob.knob, 22, BOLD if matters else QUIET),
                " ",
                cell(words.rough(knob.knob, knob.best), 9, BEST if matters else QUIET, right=True),
                cell(words.rough(knob.knob, knob.default), 9, plain, right=True) if has_default else "",
                "  ",
                cell(words.interval(knob.default_costs, load), 27, plain),
                cell(p99, 7, plain, right=True),
            )
        )
    p99 = "" if ablation.best_p99_ms is None else f", p99 {milliseconds(ablation.best_p99_ms)}"
    turns = f"{plural(ablation.windows, 'window')} each, in turns"
    against = f"against the best: {words.amount(ablation.best.mean, load)} on time{p99}, {turns}"
    rows += ink.hanging(Content(""), against, width, QUIET)
    for name, why in ablation.left_out.items():
        rows += ink.hanging(line((f"{name:<23}", QUIET)), f"not measured: {why}", width, QUIET)
    return rows


def _table(load: LoadInsight, width: int) -> list[Content]:
    has_bar, has_costs = width >= 92, width >= 110 and load.ablation is None
    bar = " " * (_BAR * has_bar)
    costs = "the default costs" if has_costs else ""
    rows = [line((f"{'knob':<22} {'share  95 %':<15}{bar}{'best':>9}  {'as good':<19} {costs}".rstrip(), QUIET))]
    rows += [_row(knob, load, has_bar=has_bar, has_costs=has_costs) for knob in load.knobs if knob.status not in _WITHOUT]
    if load.explained is not None:
        text = (
            f"of what goodput differs by; {words.percent(load.explained)} of it is predicted for settings that were held back"
        )
        rows += ink.hanging(line(("share             ", QUIET)), text, width, QUIET)
    return rows


def _row(knob: KnobInsight, load: LoadInsight, *, has_bar: bool, has_costs: bool) -> Content:
    matters = knob.status == "matters"
    plain = "" if matters else QUIET
    filled = min(_BAR - 1, round(_BAR * knob.total.mean)) if knob.total else 0
    costs = knob.default_costs if has_costs and knob.best != knob.default else None
    return line(
        cell(knob.knob, 22, BOLD if matters else QUIET),
        " ",
        cell(words.share(knob.total), 15, plain),
        ("█" * filled + " " * (_BAR - filled), "$primary" if matters else QUIET) if has_bar else "",
        cell(words.rough(knob.knob, knob.best), 9, BEST if matters else QUIET, right=True),
        "  ",
        cell(words.as_good(knob), 19, plain),
        (f" {words.interval(costs, load)}" if costs is not None else "", plain),
    )
