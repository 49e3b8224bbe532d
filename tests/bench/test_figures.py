"""What results come to, on numbers made by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from brokertuner_tui.bench.day import days
from brokertuner_tui.bench.document import document
from brokertuner_tui.bench.figures import cells, median_of, summary
from brokertuner_tui.bench.keep import Results
from brokertuner_tui.bench.plan import Plan
from brokertuner_tui.bench.results import Cell, Confirmation, Confirmed, PhaseTotal, Trial, Unit, from_json, to_json
from brokertuner_tui.bench.targets import Target, targets
from brokertuner_tui.workload.profile import Workload
from tests.bench.fake import CHANGING, OPEN, STEADY, plan

ASKED = plan(STEADY, methods=("default", "rival", "slo"), seeds=2, versions={"2.1.2": ""})
CELLS = (Cell("open", "2.1.2", 1), Cell("open", "2.1.2", 2))


def _unit(cell: Cell, method: str, on_time: list[float], **changes: Any) -> Unit:
    trials = tuple(
        Trial(
            number, "open", "failed" if value < 0 else "ok", {}, None, max(0.0, value), 0.0, 0.0, None, number > 1, 2.0 * number
        )
        for number, value in enumerate(on_time, 1)
    )
    best: dict[str, Any] = {"open": {"found by": method}, "closed": {"found by": method}}
    made = Unit(cell, method, 0.0, 2.0 * len(trials), best, trials, 0.5 * len(trials))
    return replace(made, **changes)


def _confirmed(cell: Cell, method: str, *on_time: float, p99: float | None = 3.0) -> Confirmed:
    return Confirmed(cell, method, "open", on_time, on_time, (p99,) * len(on_time))


def _results(ours: list[float], final: float = 1000.0, p99: float = 3.0) -> Results:
    results = Results()
    for cell in CELLS:
        results.add(_unit(cell, "default", [500.0] * 4))
        results.add(_unit(cell, "rival", [500, 0, -1, 990]))
        results.add(_unit(cell, "slo", ours))
        records = (
            _confirmed(cell, "default", 500, 500, 500),
            _confirmed(cell, "rival", 990, 1000, 1010),
            _confirmed(cell, "slo", final - 10, final, final + 10, p99=p99),
        )
        results.add(Confirmation(cell, ("default", "rival", "slo"), records))
    return results


def _target(asked: Plan, results: Results, name: str) -> Target:
    return next(target for target in targets(asked, results) if name in target.name)


def test_the_figures_of_a_cell() -> None:
    figures = cells(ASKED, _results([500, 940, 960, 1000]))[0]
    assert (figures.seed, figures.best_per_s) == (1, 1000)
    ours, rival, default = (figures.of(name) for name in ("slo", "rival", "default"))
    assert ours is not None
    assert rival is not None
    assert default is not None
    assert ours.final is not None
    assert ours.final.mean == 1000
    assert ours.final.high - ours.final.low == pytest.approx(2 * 4.303 * 10 / 3**0.5, rel=1e-3)
    assert ours.tuning_per_s == 850
    assert ours.tuning_share == 0.85
    assert (ours.trials_to_near, ours.seconds_to_near) == (3, 6)
    assert (rival.trials_to_near, rival.dead, rival.failed, rival.restarts) == (4, 2, 1, 3)
    assert default.trials_to_near is None
    assert ours.thinking_s == 0.5


def test_who_ends_with_the_setting_of_another_is_worth_the_same() -> None:
    results = _results([500, 940, 960, 1000], final=440, p99=5.0)
    results.add(_unit(CELLS[0], "slo", [500.0] * 4, best=results.units[CELLS[0], "default"].best))
    figures, other = cells(ASKED, results)
    ours, default, rival = (figures.of(name) for name in ("slo", "default", "rival"))
    assert ours is not None
    assert default is not None
    assert rival is not None
    assert ours.final is not None
    assert ours.final.mean == (3 * 440 + 3 * 500) / 6
    assert (ours.final, ours.received, ours.p99) == (default.final, default.received, default.p99)
    assert ours.p99 is not None
    assert ours.p99.median == 4.0
    assert rival.final is not None
    assert (rival.final.mean, figures.best_per_s) == (1000, 1000)
    alone = other.of("slo")
    assert alone is not None
    assert alone.final is not None
    assert alone.final.mean == 440, "with another seed it has a setting of its own"


def test_over_the_seeds_windows_are_pooled_and_trials_averaged() -> None:
    results = _results([500, 940, 960, 1000])
    results.add(_unit(CELLS[1], "slo", [500, 500, 500, 500]))
    (figures,) = summary(ASKED, results)
    ours = figures.of("slo")
    assert ours is not None
    assert (figures.seed, ours.seeds) == (None, 2)
    assert ours.tuning_share == pytest.approx((0.85 + 0.5) / 2)
    assert ours.trials_to_near is None  # one of two never came there
    assert ours.p99 is not None
    assert ours.p99.median == 3


def test_what_nobody_has_confirmed_yet_is_not_known() -> None:
    results = Results()
    results.add(_unit(CELLS[0], "slo", [1, 2]))
    (figures,) = summary(ASKED, results)
    assert figures.best_per_s is None
    assert figures.methods[0].final is None
    assert figures.methods[0].tuning_share is None
    assert not targets(ASKED, results)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("final on-time goodput at least", {}, {"final": 900}),
        ("above the median rival", {}, {"final": 900}),
        ("p99 at most", {}, {"p99": 3.4}),
        ("goodput while tuning, of the best known", {}, {"ours": [500, 900, 900, 1000]}),
        ("less the best rival", {}, {"ours": [0, 0, 490, 1000]}),
        ("nothing in time", {}, {"ours": [0, 0, 0, 1000, 1000, 1000]}),
        ("on-time goodput, of the default's", {}, {"final": 480}),
        ("trials until within", {}, {"ours": [500] * 12 + [1000]}),
        ("no later than", {}, {"ours": [500] * 4 + [1000]}),
    ],
)
def test_a_target_is_met_or_not(name: str, good: dict[str, Any], bad: dict[str, Any]) -> None:
    usual: dict[str, Any] = {"ours": [900, 960, 1000, 1000]}
    assert _target(ASKED, _results(**usual | good), name).met
    short = _target(ASKED, _results(**usual | bad), name)
    assert not short.met
    assert short.short


def test_the_difference_decides_who_is_behind_the_best_rival() -> None:
    """Intervals of 25 on both sides: that of the difference is 35, and neither mean is in the other's interval."""
    near, far = (_target(ASKED, _results([500, 1000], final=final), "final on-time goodput at least") for final in (966, 960))
    assert (near.met, far.met) == (True, False)
    assert near.found == "100% of 2 (inside our own interval 0, inside the rival's 0); mean ratio 0.966"
    assert far.found.startswith("0% of 2 (inside our own interval 0, inside the rival's 0)")


def test_a_factor_over_the_default_stands_beside_what_there_was_to_be_had() -> None:
    pipeline = Workload.steady(replace(OPEN, name="pipeline"))
    asked = plan(pipeline, methods=("default", "rival", "slo"), seeds=1, versions={"2.1.2": ""})
    cell, results = Cell("pipeline", "2.1.2", 1), Results()
    for method, per_s in (("default", 500), ("rival", 800), ("slo", 750)):
        results.add(_unit(cell, method, [per_s, per_s]))
    records = tuple(_confirmed(cell, method, n, n) for method, n in (("default", 500), ("rival", 800), ("slo", 750)))
    results.add(Confirmation(cell, ("default", "rival", "slo"), records))
    target = _target(asked, results, "pipeline: deliveries")
    assert (target.met, target.found) == (False, "1.5 at least (pipeline 2.1.2 seed 1; the most of any method: 1.6)")


def _day(rate: int) -> tuple[Plan, Results]:
    """The default serves the first half of the day, the other constant the second; ours has `rate` a second in both."""
    asked = plan(CHANGING, methods=("default", "rival", "slo"), seeds=1, versions={"2.1.2": ""}, rounds=1)
    cell, results = Cell("changing", "2.1.2", 1), Results()
    for method, first, second in (("default", 100, 40), ("rival", 50, 90), ("slo", rate, rate)):
        phases = (PhaseTotal("open", 10.0, 10 * first), PhaseTotal("closed", 10.0, 10 * second))
        results.add(_unit(cell, method, [1, 2], phases=phases, on_time_total=10 * (first + second)))
    figures = {"default": (100.0, 40.0), "rival": (40.0, 100.0)}
    records = tuple(
        Confirmed(cell, method, profile, (per_s,) * 3, (per_s,) * 3, (1.0,) * 3, "open")
        for method, both in figures.items()
        for profile, per_s in zip(("open", "closed"), both, strict=True)
    )
    results.add(Confirmation(cell, ("default", "rival", "slo"), records))
    return asked, results


def test_a_day_is_the_mean_over_its_phases_beside_the_best_constant() -> None:
    (day,) = days(*_day(90))
    ours = day.of("slo")
    assert ours is not None
    assert day.best_per_s == {"open": 100, "closed": 100}
    assert [constant.mean_share for constant in day.constants] == [0.7, 0.7]
    assert ours.mean_share == pytest.approx(0.9)
    assert ours.to_constant == pytest.approx(0.9 / 0.7)
    assert ours.last_round == pytest.approx(0.9)
    assert _target(*_day(90), "changing: mean share").met
    assert not _target(*_day(75), "changing: mean share").met


def test_records_are_the_same_after_json_and_the_document_is_strict() -> None:
    asked, results = _day(90)
    records: list[Unit | Confirmation] = [*results.units.values(), *results.confirmations.values()]
    for record in records:
        assert from_json(json.loads(json.dumps(to_json(record), allow_nan=False))) == record
    found = document(asked, results)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["complete"]
    assert found["days"][0]["methods"][2]["method"] == "slo"


@pytest.mark.parametrize(("count", "below"), [(1, 0), (5, 0), (6, 0), (8, 0), (9, 1), (12, 2), (18, 4)])
def test_the_interval_of_a_median_are_the_order_statistics_of_the_table(count: int, below: int) -> None:
    """The greatest number of observations that may be left out on each side at 95 %, as in tables of the sign test."""
    values = [float(value) for value in range(count)]
    found = median_of(values)
    assert (found.low, found.high) == (below, count - 1 - below)
