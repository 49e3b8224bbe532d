"""What an ablation has measured, put beside what the trials say: of what a knob is worth at the best setting it knows more."""

from __future__ import annotations

import math
from dataclasses import replace

from brokertuner_tui.insight.ablation import Ablation
from brokertuner_tui.insight.results import AblationInsight, KnobInsight, LoadInsight, Status
from brokertuner_tui.insight.weighing import Weighed, Worth, weigh

_ORDER = ("matters", "unclear", "no sign", "inert", "pinned", "not moved")


def merge(load: LoadInsight, ablation: Ablation) -> LoadInsight:
    """`load` with what was measured of its best setting; as it is where nothing was."""
    weighed = weigh(ablation)
    if weighed is None:
        return load
    knobs = [_knob(knob, ablation, weighed) for knob in load.knobs]
    # What was measured to be worth most comes first; what the trials alone tell stays in the order in which they tell it.
    knobs.sort(key=lambda knob: (_ORDER.index(knob.status), -_worth_of(knob)))
    return replace(
        load,
        knobs=tuple(knobs),
        ablation=AblationInsight(
            weighed.windows,
            weighed.best,
            _or_none(weighed.best_p99_ms),
            dict(ablation.left_out),
            {name: ablation.default[name] for name in ablation.dropped},
            weighed.simplest.costs if weighed.simplest is not None else None,
            weighed.simplest_is_as_good,
        ),
    )


def _worth_of(knob: KnobInsight) -> float:
    return knob.default_costs.mean if knob.is_measured and knob.default_costs is not None else -math.inf


def _knob(knob: KnobInsight, ablation: Ablation, weighed: Weighed) -> KnobInsight:
    worth = weighed.knobs.get(knob.knob)
    if knob.knob in ablation.broke:
        knob = replace(knob, status="matters", why=ablation.left_out.get(knob.knob, ""))
    if worth is None:
        return knob
    return replace(
        knob,
        status=_status(knob, worth),
        why="" if knob.status in ("not moved", "unclear", "no sign") else knob.why,
        default=ablation.default[knob.knob],
        default_costs=worth.costs,
        is_measured=True,
        default_p99_ms=_or_none(worth.p99_ms),
    )


def _status(knob: KnobInsight, worth: Worth) -> Status:
    """The trials may know that it matters elsewhere; that it does nothing here is no sign of that."""
    if worth.matters or knob.status == "matters":
        return "matters"
    return "no sign" if worth.shows_nothing else "unclear"


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
