"""A benchmark's page and its Markdown say what its results say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from brokertuner_tui.bench import keep, page, tables
from brokertuner_tui.bench.plan import Plan
from brokertuner_tui.bench.results import Cell, Confirmation, Confirmed, PhaseTotal, Trial, Unit, to_json
from brokertuner_tui.errors import UsageError
from brokertuner_tui.knobs.catalogue import defaults
from brokertuner_tui.workload.profile import Phase, Profile, Workload
from tests.html.reading import read_page

METHODS = ("default", "tpe", "slo")
GOODPUT = {"default": 100.0, "tpe": 180.0, "slo": 200.0}
FANOUT = Profile("fanout", subscribers=100, qos=1, rate=500.0, slo_ms=10.0)


def _plan(*workloads: Workload, **changes: object) -> Plan:
    names = {workload.name: workload for workload in workloads or (Workload.steady(FANOUT),)}
    values = {"seeds": 2, "trials": 4, "windows": 3, "machine": "2 cores of something", **changes}
    return Plan(names, {"2.0.21": "/opt/mosquitto"}, METHODS, **values)  # type: ignore[arg-type]


def _trial(number: int, on_time: float, profile: str = "fanout") -> Trial:
    verdict = "ok" if on_time else "failed"
    return Trial(number, profile, verdict, defaults(), None, on_time, 1.0, on_time, 5.0, number > 1, 3.0 * number)


def _unit(cell: Cell, method: str) -> Unit:
    goods = [GOODPUT["default"], 0.0 if method == "tpe" else GOODPUT[method], GOODPUT[method], GOODPUT[method]]
    trials = tuple(_trial(number, good) for number, good in enumerate(goods, 1))
    best = defaults() | {"max_inflight_messages": 20 * (1 + METHODS.index(method))}
    return Unit(cell, method, 1_795_222_800.0, 12.0, {"fanout": best}, trials, 0.4)


def _confirmation(cell: Cell) -> Confirmation:
    records = [
        Confirmed(cell, method, "fanout", (mean - 2, mean, mean + 2), (mean,) * 3, (None, 5.0, 6.0))
        for method, mean in GOODPUT.items()
    ]
    return Confirmation(cell, METHODS, tuple(records))


def _fill(folder: Path, plan: Plan, *, seeds: int = 2) -> Path:
    folder.mkdir()
    (folder / keep.PLAN).write_text(json.dumps(plan.as_dict()))
    lines = []
    for workload in plan.workloads:
        for seed in range(1, seeds + 1):
            cell = Cell(workload, "2.0.21", seed)
            lines += [json.dumps(to_json(_unit(cell, method))) for method in METHODS]
            lines.append(json.dumps(to_json(_confirmation(cell))))
    (folder / keep.RESULTS).write_text("".join(f"{line}\n" for line in lines))
    return folder


def test_what_the_host_kept_is_told_as_far_as_it_is_known(tmp_path: Path) -> None:
    folder = _fill(tmp_path / "b", _plan())
    assert "host" not in page.write_markdown(folder)
    first, second, *rest = (folder / keep.RESULTS).read_text().splitlines()
    told = [json.dumps(json.loads(line) | {"stolen": share}) for line, share in ((first, 0.001), (second, 0.123))]
    (folder / keep.RESULTS).write_text("".join(f"{line}\n" for line in (*told, *rest)))
    assert (
        "- the machine's host: kept 6.2 % of the CPU time for others (median; most: 12.3 %, fanout, 2.0.21, seed 1), "
        "of 2 of 8 units and confirmations" in page.write_markdown(folder)
    )


def test_the_page(tmp_path: Path) -> None:
    folder, file = _fill(tmp_path / "b", _plan()), tmp_path / "bench.html"
    file.write_text("an older page")
    page.write(folder, file)
    read = read_page(file.read_text())
    assert "slo meets" in read.all("p", "verdict")[0].text
    titles = [title.text for title in read.all("h2")]
    assert titles == ["Targets", "fanout, Mosquitto 2.0.21", "How it was measured"]
    final, *_ = read.all("figure")
    (wide,) = final.all("div", "wide")
    assert [text.text for text in wide.all("text", "label")] == ["slo", "tpe", "default"]  # the best first
    assert wide.all("text", "value")[0].text.startswith("200/s [")
    assert "best known" in wide.text
    assert [caption.text for caption in read.all("figcaption")][-3:] == list(METHODS)
    _, table = read.all("table")
    rows = [[cell.text for cell in row.children if not isinstance(cell, str)] for row in table.all("tbody")[0].all("tr")]
    by_method = {row[0]: row for row in rows}
    assert by_method["slo"][1] == "200"
    assert by_method["slo"][5:8] == ["88 %", "2", "6"]  # (100 + 3 * 200) / 4 of 200; the second trial, after 6 s
    assert by_method["tpe"][6] == "never"
    assert by_method["tpe"][9] == "1"  # failed
    assert "/opt/mosquitto" not in file.read_text()


def test_names_stay_names(tmp_path: Path) -> None:
    name = "<script>alert(1)</script>|`x`\u202e"
    nasty = Workload.steady(Profile(name, slo_ms=10.0))
    folder = _fill(tmp_path / "b", _plan(nasty))
    page.write(folder, tmp_path / "bench.html")
    assert len(read_page((tmp_path / "bench.html").read_text()).all("script")) == 1
    text = page.write_markdown(folder)
    assert "<script>" not in text.replace("\\<script>", "").replace(tables.command(_plan(nasty)), "")


def test_markdown(tmp_path: Path) -> None:
    text = page.write_markdown(_fill(tmp_path / "b", _plan()))
    lines = text.splitlines()
    assert "- machine: 2 cores of something" in lines
    assert "- Mosquitto: 2.0.21" in lines
    assert (
        "brokertuner-tui bench --workload fanout --methods default,tpe,slo --trials 4 --seeds 2 --step-interval 1 "
        "--confirm-windows 3 --mosquitto mosquitto-2.0.21" in lines
    )
    table = [line for line in lines[lines.index("## fanout, Mosquitto 2.0.21") :] if line.startswith("|")]
    assert {line.count("|") for line in table} == {table[0].count("|")}
    assert any(line.startswith("| **slo** | **200** |") for line in table)
    assert "nan" not in text.lower().split()


def test_before_anything_has_run_and_while_it_does(tmp_path: Path) -> None:
    folder = _fill(tmp_path / "b", _plan(), seeds=0)
    page.write(folder, tmp_path / "bench.html")
    assert "Nothing has run yet" in read_page((tmp_path / "bench.html").read_text()).all("p", "verdict")[0].text
    page.write_markdown(folder)
    lines = [json.dumps(to_json(_unit(Cell("fanout", "2.0.21", 1), "slo"))), "half a li"]
    (folder / keep.RESULTS).write_text("\n".join(lines))
    page.write(folder, tmp_path / "bench.html")
    read = read_page((tmp_path / "bench.html").read_text())
    assert "2 of 2 cells are not finished" in read.all("p", "verdict")[0].text
    assert "slo has not been compared" in read.all("p", "verdict")[0].text


def test_the_surrogate_proves_nothing(tmp_path: Path) -> None:
    page.write(_fill(tmp_path / "b", _plan(surrogate=True, machine="")), tmp_path / "bench.html")
    read = read_page((tmp_path / "bench.html").read_text())
    assert "which proves nothing about a broker" in read.all("p", "verdict")[0].text
    assert "--surrogate" in read.by_id("command").text


def test_a_load_that_changes(tmp_path: Path) -> None:
    other = Profile("wan", slo_ms=250.0)
    day = Workload("day", (Phase(FANOUT, 10.0), Phase(other, 10.0)))
    plan = _plan(day, seeds=1)
    cell = Cell("day", "2.0.21", 1)
    folder = tmp_path / "b"
    folder.mkdir()
    (folder / keep.PLAN).write_text(json.dumps(plan.as_dict()))
    records, lines = [], []
    for method, mean in GOODPUT.items():
        trials = tuple(_trial(number, mean, "fanout" if number < 3 else "wan") for number in (1, 2, 3, 4))
        phases = tuple(PhaseTotal(name, 10.0, int(10 * mean)) for name in ("fanout", "wan"))
        best = {name: defaults() for name in ("fanout", "wan")}
        unit = Unit(cell, method, 1_795_222_800.0, 20.0, best, trials, 0.4, 0, phases)
        lines.append(json.dumps(to_json(unit)))
        records += [
            Confirmed(cell, method, profile, (mean,) * 3, (mean,) * 3, (5.0,) * 3, found_under=under)
            for profile in ("fanout", "wan")
            for under in ("fanout", "wan")
        ]
    lines.append(json.dumps(to_json(Confirmation(cell, METHODS, tuple(records)))))
    (folder / keep.RESULTS).write_text("\n".join([*lines, ""]))
    page.write(folder, tmp_path / "bench.html")
    read = read_page((tmp_path / "bench.html").read_text())
    assert "day, Mosquitto 2.0.21, seed 1" in [title.text for title in read.all("h2")]
    assert "best constant" in read.text
    text = page.write_markdown(folder)
    assert "| method | fanout | wan | mean |" in text
    assert "| **slo** | **100 %** | **100 %** | **100 %** |" in text
    assert "left alone for the whole day" in text


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no benchmark"):
        page.write(tmp_path, tmp_path / "bench.html")
    with pytest.raises(UsageError, match="is a folder"):
        page.write(_fill(tmp_path / "b", _plan()), tmp_path)
