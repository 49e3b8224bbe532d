"""A benchmark as one JSON document: what was asked for, every figure, and whether the targets are met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from brokertuner_tui.bench.day import days
from brokertuner_tui.bench.figures import cells, summary
from brokertuner_tui.bench.keep import Results
from brokertuner_tui.bench.plan import Plan
from brokertuner_tui.bench.run import Problem, jobs_left
from brokertuner_tui.bench.targets import targets
from brokertuner_tui.store.plain import finite


def document(plan: Plan, results: Results, problems: Sequence[Problem] = ()) -> dict[str, Any]:
    """For `--json`: strict JSON, with null for what is not known or not finite."""
    made: dict[str, Any] = finite(
        {
            "plan": plan.as_dict(),
            "fingerprint": plan.fingerprint,
            "complete": not jobs_left(plan, results),
            "summary": [asdict(figures) for figures in summary(plan, results)],
            "cells": [asdict(figures) for figures in cells(plan, results)],
            "days": [asdict(figures) for figures in days(plan, results)],
            "targets": [asdict(target) for target in targets(plan, results)],
            "best": [{**asdict(cell), "method": method, "knobs": unit.best} for (cell, method), unit in results.units.items()],
            "problems": [str(problem) for problem in problems],
        }
    )
    return made
