"""What is taken away from a run is what Mosquitto accepts and scripts can read."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from brokertuner_tui.env.outcome import Verdict
from brokertuner_tui.errors import TunerError, UsageError
from brokertuner_tui.knobs.catalogue import NAMES
from brokertuner_tui.knobs.conf import render
from brokertuner_tui.store import export
from brokertuner_tui.store.rows import RunRow, TrialRow
from brokertuner_tui.store.store import Store
from tests.store import made
from tests.store.conftest import Place


@pytest.fixture
def store(place: Place) -> Store:
    return place.open()


def _run(store: Store, *, confirmed: bool = True, workload: str = "fanout") -> tuple[RunRow, list[TrialRow]]:
    run = store.create_run(made.run_info(workload=workload))
    store.record_trial(run, made.trial(1), broker_restarts=1, workload_restarts=0)
    store.record_trial(run, made.trial(2, verdict=Verdict.FAILED, best_trial=1), broker_restarts=2, workload_restarts=0)
    if confirmed:
        store.record_confirmation(run, made.confirmed(), [("best", made.window())])
        store.finish_run(run, made.finished(run))
    found = store.run(run), store.trials(run)
    store.close()
    return found


def _settings(text: str) -> str:
    return "".join(f"{line}\n" for line in text.splitlines() if line and not line.startswith("#"))


def test_the_winning_config_says_where_it_comes_from(store: Store) -> None:
    run, trials = _run(store)
    text = export.conf_text(run, trials)
    assert _settings(text) == render(made.BEST_KNOBS)
    flat = " ".join(text.replace("#", " ").split())
    for said in (
        run.id,
        "Workload fanout, preset slo, Mosquitto 2.0.21.",
        "Defaults: 0 messages/s on time (95 % interval 0 to 0) of 28,000/s delivered",
        "These settings: 49,900 messages/s on time (95 % interval 49,800 to 50,000) of 50,000/s delivered, p99 1.5 ms",
        "A reload of the broker does not apply max_inflight_messages, set_tcp_nodelay: restart it.",
        "How many QoS 1 and 2 messages may be on their way to or from one client at once. Default: 20.",
    ):
        assert said in flat
    assert "nan" not in text
    assert flat.count("Default:") == 2  # the other nine are the defaults


def test_the_config_says_what_each_knob_is_worth(store: Store) -> None:
    run, trials = _run(store)
    text = export.conf_text(run, trials, [made.LOADS[1], made.with_ablation()])
    assert _settings(text) == render(made.BEST_KNOBS)
    flat = " ".join(text.replace("#", " ").split())
    assert "Its default costs 24.0k/s [22.9k/s, 25.1k/s] of 49.9k/s on time, p99 42.5 instead of 1.5 ms. set" in flat
    assert "No sign that it is worth anything: its default costs 150/s [-450/s, 750/s]" in flat
    other = replace(made.with_ablation(), best_knobs={**made.BEST_KNOBS, "memory_limit": 1})
    assert export.conf_text(run, trials, [other]) == export.conf_text(run, trials), "that was another setting"


def test_the_simplest_config(store: Store) -> None:
    run, trials = _run(store)
    text = export.conf_text(run, trials, [made.with_ablation()], simplest=True)
    assert _settings(text) == render({**made.BEST_KNOBS, "max_inflight_messages": 20})
    flat = " ".join(text.replace("#", " ").split())
    assert "max_inflight_messages at the default again, which together costs 150/s [-450/s, 750/s] of 49.9k/s on time" in flat
    assert "A reload of the broker does not apply set_tcp_nodelay: restart it." in flat


def test_without_a_simpler_setting_that_is_as_good_there_is_none(store: Store) -> None:
    run, trials = _run(store)
    load = made.with_ablation()
    assert load.ablation is not None
    all_matter = replace(load, ablation=replace(load.ablation, dropped={}, costs=None, is_as_good=False))
    for loads, why in (
        ([], "has not measured"),
        ([made.LOADS[0]], "has not measured"),
        ([made.with_ablation(is_as_good=False)], "none that is simpler is known to do as well"),
        ([all_matter], "every knob that was measured is worth something"),
    ):
        with pytest.raises(UsageError, match=why):
            export.conf_text(run, trials, loads, simplest=True)


def test_without_a_confirmation_the_best_trial_counts(store: Store) -> None:
    run, trials = _run(store, confirmed=False)
    text = export.conf_text(run, trials)
    assert "Not confirmed" in text
    assert _settings(text) == render(trials[0].knobs)


def test_nothing_to_export(store: Store) -> None:
    run, trials = _run(store, confirmed=False)
    failed = [replace(trial, best_trial=None) for trial in trials]
    with pytest.raises(UsageError, match="no trial that ended well"):
        export.conf_text(run, failed)


def test_a_name_cannot_add_a_line(store: Store) -> None:
    run, trials = _run(store, workload="x\nplugin /tmp/x.so\r\u2028user root")
    assert _settings(export.conf_text(run, trials)) == render(made.BEST_KNOBS)
    with pytest.raises(UsageError):
        export.annotated_conf({**made.BEST_KNOBS, "memory_limit": "0\nuser root"}, version=(2, 0, 21))  # type: ignore[dict-item]


def test_mosquitto_takes_it(store: Store, every_mosquitto: Path, tmp_path: Path) -> None:
    """The broker reads the whole file before it refuses the last line, which is ours to be refused."""
    run, trials = _run(store)
    path = tmp_path / "broker_tuner.conf"
    export.write_out(path, export.conf_text(run, trials) + "no_such_setting 1\n", mode=0o644)
    lines = path.read_text().count("\n")
    command = [str(every_mosquitto), "-c", str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    said = ended.stdout + ended.stderr
    assert "no_such_setting" in said
    assert f"Error found at {path}:{lines}" in said


def test_csv_and_json_hold_every_trial(store: Store) -> None:
    run, trials = _run(store)
    rows = list(csv.DictReader(io.StringIO(export.trials_csv(trials))))
    assert [row["trial"] for row in rows] == ["1", "2"]
    assert (rows[0]["on_time_per_s"], rows[0]["pid"], rows[0]["apply_how"]) == ("48000", "4242", "restart")
    assert (rows[0]["apply_s"], rows[0]["profile"]) == ("0.02", "fanout")
    assert rows[1]["on_time_per_s"] == ""
    data = json.loads(json.dumps(export.run_data(run, trials), allow_nan=False))
    assert (data["run"], data["state"], data["workload"]) == (run.id, "completed", "fanout")
    assert data["default"]["p99_ms"] is None
    assert data["ratio_low"] is None
    assert set(data["best_knobs"]) == set(NAMES)
    assert data["trial_list"][0]["window"]["on_time_per_s"] == 48_000
    assert data["trial_list"][0]["observation"] == [0.1, 0.2, None]
    assert data["trial_list"][1]["window"] is None


def test_files_devices_and_folders(tmp_path: Path) -> None:
    path = tmp_path / "out.conf"
    export.write_out(path, "a\n", mode=0o644)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    export.write_out(Path("/dev/null"), "a\n", mode=0o644)
    assert not stat.S_ISREG(os.stat("/dev/null").st_mode)
    with pytest.raises(UsageError, match="is a folder"):
        export.write_out(tmp_path, "a\n", mode=0o644)
    with pytest.raises(TunerError, match=r"cannot write .*Not a directory"):
        export.write_out(path / "below", "a\n", mode=0o644)
    with pytest.raises(TunerError, match="No such file"):
        export.write_out(tmp_path / "missing" / "x", "a\n", mode=0o644)
