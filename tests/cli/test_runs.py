"""`runs list|show|export` on a store that a session wrote, or is writing."""

from __future__ import annotations

import csv
import io
import json
import stat
from pathlib import Path

import pytest

from brokertuner_tui import insight
from brokertuner_tui.env.outcome import Verdict
from brokertuner_tui.knobs.catalogue import NAMES
from brokertuner_tui.knobs.conf import render
from brokertuner_tui.store.store import Store
from brokertuner_tui.tuning.events import State
from tests.cli.program import error_of, run
from tests.store import made


def _fill(folder: Path) -> list[str]:
    """An old run that went well, and a new one that broke off."""
    with Store.open(folder / "store.db") as store:
        old = store.create_run(made.run_info())
        store.record_trial(old, made.trial(1), broker_restarts=1, workload_restarts=0)
        store.record_trial(old, made.trial(2, verdict=Verdict.FAILED, best_trial=1), broker_restarts=2, workload_restarts=0)
        store.record_confirmation(old, made.confirmed(), [("default", made.window(on_time=0)), ("best", made.window())])
        store.finish_run(old, made.finished(old))
        new = store.create_run(
            made.run_info(
                started_at=made.run_info().started_at + 3600, workload="wan\x1b[2J", config={"tuning": {"read_only": True}}
            )
        )
        store.set_state(new, State.TUNING)
    with Store.open(folder / "store.db"):
        pass  # the writer is gone: its next start says that the run was interrupted
    return [old, new]


def test_list(tmp_path: Path) -> None:
    old, new = _fill(tmp_path / "s")
    ended = run(tmp_path, "runs", "list", "--json", "--save-dir", "s")
    assert (ended.returncode, ended.stderr) == (0, "")
    second, first = json.loads(ended.stdout)
    assert (first["run"], first["state"], first["trials"], first["workload"]) == (old, "completed", 2, "fanout")
    assert first["started"] == "2026-11-21T01:00:00.500Z"
    assert first["best"]["on_time_per_s"] == 49_900
    assert first["default"]["p99_ms"] is None
    assert (second["run"], second["state"], second["trials"], second["best"]) == (new, "interrupted", 0, None)
    assert (first["mode"], first["resumed"], second["mode"]) == ("guarded", 0, "read-only")
    text = run(tmp_path, "runs", "list", "--save-dir", "s").stdout
    assert text.index(new) < text.index(old)
    assert "49,900/s" in text
    assert "read-only" in text
    assert "\x1b" not in text


def test_nothing_yet(tmp_path: Path) -> None:
    ended = run(tmp_path, "runs", "list", "--json", "--save-dir", "s")
    assert (ended.returncode, ended.stdout) == (0, "[]\n")
    assert "no runs" in run(tmp_path, "runs", "list", "--save-dir", "s").stderr
    ended = run(tmp_path, "runs", "show", "last", "--save-dir", "s")
    assert ended.returncode == 2
    assert "there is no store at" in error_of(ended)
    assert not (tmp_path / "s").exists()


def test_show(tmp_path: Path) -> None:
    old, new = _fill(tmp_path / "s")
    text = run(tmp_path, "runs", "show", old[:13], "--save-dir", "s").stdout
    for said in (old, "completed", "fanout", "49,800 to 50,000", "max_inflight_messages", "restart, 8 ms", "Invalid value"):
        assert said in text
    for said in ("48,000 ±327", "clients back after 30 ms, settled for 250 ms"):
        assert said in text
    assert "not enough trials to tell: 1 different setting was measured" in text, "it is explained when it is asked for"
    data = json.loads(run(tmp_path, "runs", "show", old, "--save-dir", "s", "--json", "--trials", "1").stdout)
    assert [load["verdict"] for load in data["insight"]] == ["not enough"]
    assert (data["run"], len(data["trial_list"]), data["trial_list"][0]["trial"]) == (old, 1, 2)
    assert [window["of"] for window in data["confirmations"][0]["windows"]] == ["default", "best"]
    assert "No trial ended well" in run(tmp_path, "runs", "show", "last", "--save-dir", "s").stdout
    ended = run(tmp_path, "runs", "show", "2026", "--save-dir", "s")
    assert ended.returncode == 2
    assert error_of(ended) == f"more than one run begins with '2026': {old}, {new}"


def test_what_was_learned_is_shown_as_it_was_kept(tmp_path: Path) -> None:
    old, _ = _fill(tmp_path / "s")
    with Store.open(tmp_path / "s" / "store.db") as store:
        store.record_insight(old, 1, ())  # older than the last trial
        store.record_insight(old, 2, made.LOADS)
    text = run(tmp_path, "runs", "show", old, "--save-dir", "s").stdout
    for said in (
        "What was learned about fanout, 36 settings in 40 trials",
        "set_tcp_nodelay true earns +22.4k/s [21.0k/s, 23.8k/s]; max_inflight_messages matters: 20 costs 30.0k/s against 2,000",
        "62 % [48, 75]",
        "from 200 up",
        "93 % of it is predicted",
        "persistence (pinned at false)",
        "not enough trials to tell: 4 different settings were measured",
    ):
        assert said in " ".join(text.split())
    data = json.loads(run(tmp_path, "runs", "show", old, "--save-dir", "s", "--json").stdout)
    assert insight.from_json(data["insight"]) == made.LOADS
    assert data["insight"][0]["sentences"][1] == "max_queued_messages does not show; memory_limit is not clear yet."
    with Store.open(tmp_path / "s" / "store.db") as store:
        store.remove_run(old)
        assert store.insight(old) is None


def test_what_was_measured_of_single_knobs_is_shown_and_exported(tmp_path: Path) -> None:
    old, _ = _fill(tmp_path / "s")
    with Store.open(tmp_path / "s" / "store.db") as store:
        store.record_ablation(old, made.ABLATION)
        store.record_insight(old, 2, [made.with_ablation(left_out={"memory_limit": "it could not be measured without it"})])
    text = " ".join(run(tmp_path, "runs", "show", old, "--save-dir", "s").stdout.split())
    for said in (
        "set_tcp_nodelay true earns +24.0k/s [22.9k/s, 25.1k/s]",
        "It does as well with max_inflight_messages back at the default (",
        "set_tcp_nodelay true false 24.0k/s [22.9k/s, 25.1k/s] 42.5",
        "max_inflight_messages 2,000 20 150/s [-450/s, 750/s] 1.6",
        "Against the best, 49.9k/s on time, p99 1.5 ms: 3 windows each, in turns.",
        "Not measured: memory_limit: it could not be measured without it.",
    ):
        assert said in text, text
    ended = run(tmp_path, "runs", "export", old, "--simplest", "a.conf", "--json", "a.json", "--save-dir", "s")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "max_inflight_messages 20" in (tmp_path / "a.conf").read_text().splitlines()
    assert "set_tcp_nodelay true" in (tmp_path / "a.conf").read_text().splitlines()
    (kept,) = json.loads((tmp_path / "a.json").read_text())["ablations"]
    assert [window["of"] for window in kept["windows"]] == ["best", "set_tcp_nodelay", "set_tcp_nodelay", "best"]


def test_export(tmp_path: Path) -> None:
    old, _ = _fill(tmp_path / "s")
    words = ["--conf", "a.conf", "--csv", "a.csv", "--json", "a.json"]
    ended = run(tmp_path, "runs", "export", old, *words, "--save-dir", "s")
    assert (ended.returncode, ended.stdout) == (0, "")
    conf = (tmp_path / "a.conf").read_text()
    assert "".join(f"{line}\n" for line in conf.splitlines() if line and line[0] != "#") == render(made.BEST_KNOBS)
    assert stat.S_IMODE((tmp_path / "a.conf").stat().st_mode) == 0o644
    rows = list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text())))
    assert [row["trial"] for row in rows] == ["1", "2"]
    assert (rows[0]["on_time_stderr"][:5], rows[0]["reconnect_s"], rows[0]["settle_s"]) == ("163.2", "0.03", "0.25")
    assert set(json.loads((tmp_path / "a.json").read_text())["best_knobs"]) == set(NAMES)
    ended = run(tmp_path, "runs", "export", old, "--conf", "-", "--save-dir", "s")
    assert (ended.stdout, ended.stderr) == (conf, "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing to export"),
        (["--conf", "-", "--csv", "-"], "only one of"),
        (["--simplest", "a.conf"], "has not measured what its best setting is without single knobs"),
        (["--conf", "missing/a.conf"], "cannot write missing/a.conf: No such file"),
        (["--conf", "s"], "s is a folder"),
        (["--conf", "s/store.db/a.conf"], "Not a directory"),
    ],
)
def test_export_that_cannot_be(tmp_path: Path, words: list[str], said: str) -> None:
    old, _ = _fill(tmp_path / "s")
    ended = run(tmp_path, "runs", "export", old, *words, "--save-dir", "s")
    assert ended.returncode in (1, 2)
    assert said in error_of(ended)


def test_nothing_won(tmp_path: Path) -> None:
    _fill(tmp_path / "s")
    ended = run(tmp_path, "runs", "export", "last", "--conf", "a.conf", "--csv", "a.csv", "--save-dir", "s")
    assert ended.returncode == 2
    assert "no trial that ended well" in error_of(ended)
    assert not (tmp_path / "a.csv").exists()  # nothing is written before all of it can be


def test_while_a_session_writes(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s" / "store.db") as store:
        number = store.create_run(made.run_info())
        store.set_state(number, State.TUNING)
        store.record_trial(number, made.trial(1), broker_restarts=0, workload_restarts=0)
        (entry,) = json.loads(run(tmp_path, "runs", "list", "--json", "--save-dir", "s").stdout)
        assert (entry["run"], entry["state"], entry["trials"]) == (number, "running", 1)
        store.record_trial(number, made.trial(2), broker_restarts=0, workload_restarts=0)
        data = json.loads(run(tmp_path, "runs", "show", "last", "--json", "--save-dir", "s").stdout)
        assert len(data["trial_list"]) == 2


def test_a_damaged_store_is_one_line_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "store.db").write_bytes(b"garbage\n" * 1000)
    ended = run(tmp_path, "runs", "list", "--save-dir", "s")
    assert ended.returncode == 1
    assert "is not a store of brokertuner-tui" in error_of(ended)
    assert (tmp_path / "s" / "store.db").read_bytes() == b"garbage\n" * 1000
