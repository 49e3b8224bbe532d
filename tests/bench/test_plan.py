"""What is asked for, in which order it is done, and what may be added to it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from brokertuner_tui.bench.plan import Plan
from brokertuner_tui.workload.profile import Workload
from tests.bench.fake import CHANGING, CLOSED, OPEN, STEADY, plan


def test_every_cell_and_method_comes_once_in_an_order_that_is_shuffled_and_always_the_same() -> None:
    asked = plan(STEADY, Workload.steady(CLOSED), seeds=10, methods=tuple("abcdefgh"))
    cells = asked.cells()
    assert len(set(cells)) == len(cells) == 2 * 2 * 10
    assert cells == asked.cells()
    assert cells != sorted(cells, key=lambda cell: (cell.workload, cell.version, cell.seed))
    orders = [tuple(asked.order(cell)) for cell in cells]
    assert all(sorted(order) == list("abcdefgh") for order in orders)
    assert len(set(orders)) > 30
    assert len({order[0] for order in orders}) == 8  # everybody is the first one in some cell


def test_the_default_is_first_where_the_load_changes() -> None:
    asked = plan(CHANGING, methods=("a", "b"))
    assert asked.order(asked.cells()[0])[0] == "default"


def test_a_plan_is_the_same_after_json() -> None:
    asked = plan(STEADY, CHANGING)
    again = Plan.from_dict(json.loads(json.dumps(asked.as_dict(), allow_nan=False)))
    assert again == asked
    assert again.fingerprint == asked.fingerprint


def test_what_does_not_change_the_comparison_may_grow() -> None:
    first = plan(STEADY, methods=("default",), seeds=1, versions={"2.0.21": "/a"})
    more = plan(CHANGING, methods=("walk", "default"), seeds=3, versions={"2.1.2": "/b"})
    grown = first.grown(more)
    assert set(grown.workloads) == {"open", "changing"}
    assert grown.methods == ("default", "walk")
    assert grown.versions == {"2.0.21": "/a", "2.1.2": "/b"}
    assert grown.seeds == 3
    assert set(first.cells()) <= set(grown.cells())
    assert grown.fingerprint != first.fingerprint


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trials": 6}, "--trials is 5 there, not 6"),
        ({"rounds": 9}, "--rounds is 2 there, not 9"),
        ({"windows": 4}, "windows is 3 there"),
        ({"step_interval_s": 0.5}, "--step-interval is 1 there, not 0.5"),
        ({"surrogate": True}, "--surrogate is off there, not on"),
        ({"machine": "64 cores"}, "machine"),
        ({"workloads": {"open": Workload("open", Workload.steady(replace(OPEN, rate=1)).phases)}}, "workload open"),
    ],
)
def test_what_makes_results_incomparable_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        plan().grown(plan(**changes))
