"""The runner: everything once, whatever happens in between."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from brokertuner_tui.bench.keep import RESULTS, Folder, read
from brokertuner_tui.bench.method import Task
from brokertuner_tui.bench.results import Cell, Confirmation, Unit
from brokertuner_tui.bench.run import Progress, jobs_left
from brokertuner_tui.env.outcome import Verdict
from brokertuner_tui.workload.profile import Workload
from tests.bench.fake import CHANGING, CLOSED, STEADY, FakeBed, Walk, bench, plan, run

CELL = Cell("open", "2.1.2", 1)
ONE: dict[str, Any] = {"versions": {"2.1.2": "/opt/mosquitto"}, "seeds": 1}


def _kinds(path: Path) -> Counter[str]:
    records = [json.loads(line) for line in (path / RESULTS).read_text().splitlines()]
    return Counter(f"{record['kind']} {record['cell']} {record.get('method', '')}" for record in records)


def _after(calls: int) -> Callable[[], bool]:
    left = iter(range(calls))
    return lambda: next(left, None) is None


def test_every_unit_and_confirmation_is_made_once(tmp_path: Path) -> None:
    run(tmp_path / "b", asked := plan(STEADY, Workload.steady(CLOSED)))
    kinds = _kinds(tmp_path / "b")
    assert set(kinds.values()) == {1}
    assert len(kinds) == 8 * (2 + 1)
    found, results = read(tmp_path / "b")
    assert not jobs_left(found, results)
    unit = results.units[CELL, "walk"]
    assert [trial.number for trial in unit.trials] == [1, 2, 3, 4, 5]
    assert [trial.knobs["max_inflight_messages"] for trial in unit.trials] == [20, 30, 40, 50, 60]
    assert [trial.at_s for trial in unit.trials] == [2, 4, 6, 8, 10]
    assert (unit.seconds, unit.phases) == (10, ())
    assert {(record.method, len(record.on_time_per_s)) for record in results.confirmed(CELL)} == {("default", 3), ("walk", 3)}
    assert asked == found


def test_how_much_the_machines_host_kept_for_others_is_kept_for_real_brokers(tmp_path: Path) -> None:
    run(tmp_path / "real", plan(**ONE))
    run(tmp_path / "model", plan(**ONE, surrogate=True))
    for name, known in (("real", True), ("model", False)):
        _, results = read(tmp_path / name)
        records: list[Unit | Confirmation] = [*results.units.values(), *results.confirmations.values()]
        assert len(records) == 3
        assert {record.stolen is not None for record in records} == {known}
        assert all(0.0 <= (record.stolen or 0.0) <= 1.0 for record in records)


@pytest.mark.parametrize("calls", [0, 1, 2, 5, 6, 7, 11, 12, 13, 14, 19, 23, 24, 25, 26])
def test_stopped_at_any_point_it_goes_on_and_nothing_counts_twice(tmp_path: Path, calls: int) -> None:
    asked = plan(**ONE)
    with Folder(tmp_path / "b", asked) as folder:
        whole = bench(folder, _after(calls)).run()
        assert whole == (not jobs_left(folder.plan, folder.results))
    run(tmp_path / "b", None)
    assert set(_kinds(tmp_path / "b").values()) == {1}
    run(tmp_path / "alone", asked)
    (_, stopped), (_, alone) = read(tmp_path / "b"), read(tmp_path / "alone")
    for key, unit in alone.units.items():
        assert [trial.on_time_per_s for trial in stopped.units[key].trials] == [trial.on_time_per_s for trial in unit.trials]
    assert stopped.confirmations == alone.confirmations


def test_a_method_that_is_added_is_confirmed_together_with_the_others(tmp_path: Path) -> None:
    run(tmp_path / "b", plan(**ONE))
    run(tmp_path / "b", plan(**ONE, methods=("another",)))
    kinds = _kinds(tmp_path / "b")
    assert [count for kind, count in kinds.items() if "unit" in kind] == [1, 1, 1]
    assert [count for kind, count in kinds.items() if "confirmation" in kind] == [2]
    results = read(tmp_path / "b")[1]
    assert {record.method for record in results.confirmed(CELL)} == {"default", "walk", "another"}


def test_a_method_that_fails_is_a_problem_and_the_others_are_measured(tmp_path: Path) -> None:
    made = run(tmp_path / "b", plan(**ONE, methods=("walk", "broken")))
    assert [str(problem) for problem in made.problems] == ["broken on open, 2.1.2, seed 1: RuntimeError: the library has a bug"]
    asked, results = read(tmp_path / "b")
    assert {record.method for record in results.confirmed(CELL)} == {"default", "walk"}
    assert [job.doing for job in jobs_left(asked, results)] == ["broken", "confirmation"]
    assert not run(tmp_path / "b", None, make=lambda _, task: Walk("walk", task)).problems  # the library was mended
    asked, results = read(tmp_path / "b")
    assert not jobs_left(asked, results)
    assert {record.method for record in results.confirmed(CELL)} == {"default", "walk", "broken"}


@pytest.mark.parametrize(
    ("verdicts", "seen"),
    [
        ([Verdict.OK, Verdict.FAILED], ["ok", "failed", "ok", "ok", "ok"]),
        ([Verdict.OK, Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE], ["ok"] * 5),
        ([Verdict.OK, *[Verdict.INCONCLUSIVE] * 3], ["ok", "inconclusive", "ok", "ok", "ok"]),
        ([Verdict.INCONCLUSIVE] * 2, ["ok"] * 5),
    ],
)
def test_what_cannot_be_told_is_tried_again_twice_and_what_fails_counts(
    tmp_path: Path, verdicts: list[Verdict], seen: list[str]
) -> None:
    def open_bed(workload: Workload, version: str, seed: int) -> FakeBed:
        return FakeBed(workload, version, seed, verdicts)

    made: list[Walk] = []

    def make(name: str, task: Task) -> Walk:
        made.append(Walk(name, task))
        return made[-1]

    run(tmp_path / "b", plan(**ONE, methods=("walk",)), open_bed=open_bed, make=make)
    unit = read(tmp_path / "b")[1].units[CELL, "walk"]
    assert [trial.verdict for trial in unit.trials] == seen
    assert [reward is not None for _, reward in made[0].told] == [verdict == "ok" for verdict in seen]


def test_where_the_load_changes_the_phases_are_counted_and_the_default_is_everybodys_reference(tmp_path: Path) -> None:
    made: dict[str, Walk] = {}

    def make(name: str, task: Task) -> Walk:
        made[name] = Walk(name, task)
        return made[name]

    run(tmp_path / "b", plan(CHANGING, **ONE), make=make)
    results = read(tmp_path / "b")[1]
    cell = Cell("changing", "2.1.2", 1)
    unit = results.units[cell, "walk"]
    assert [phase.profile for phase in unit.phases] == ["open", "closed"] * 2
    assert sum(phase.seconds for phase in unit.phases) == unit.seconds == 40
    assert (
        unit.on_time_total
        == sum(phase.on_time for phase in unit.phases)
        == sum(round(trial.knobs["max_inflight_messages"]) * (1 if trial.profile == "open" else 2) for trial in unit.trials)
    )
    # A closed loop's reward is x / (x + what the default delivers): a half for as much as that, whatever was tried first.
    default = next(trial for trial in results.units[cell, "default"].trials if trial.profile == "closed")
    trial, told = next(pair for pair in zip(unit.trials, made["walk"].told, strict=True) if pair[0].profile == "closed")
    assert told[1] == pytest.approx(trial.on_time_per_s / (trial.on_time_per_s + default.received_per_s), abs=0.02)
    constants = {(record.method, record.found_under, record.profile) for record in results.confirmed(cell)}
    assert {("walk", "open", "closed"), ("walk", "closed", "open"), ("default", "open", "open")} <= constants


def test_progress_never_goes_back_and_ends_at_the_whole(tmp_path: Path) -> None:
    seen: list[Progress] = []
    run(tmp_path / "b", plan(STEADY, CHANGING), on_progress=seen.append)
    shares = [progress.done / progress.total for progress in seen]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    assert all(progress.eta_s is not None and progress.eta_s >= 0 for progress in seen)


def test_every_bed_is_closed(tmp_path: Path) -> None:
    opened: list[FakeBed] = []

    def open_bed(workload: Workload, version: str, seed: int) -> FakeBed:
        opened.append(FakeBed(workload, version, seed))
        return opened[-1]

    run(tmp_path / "b", plan(**ONE, methods=("walk", "broken")), _after(30), open_bed=open_bed)
    assert len(opened) > 2
    assert all(bed.closed == 1 for bed in opened)
