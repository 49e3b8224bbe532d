"""`knobs`, `paths`, `config show` and `workload --list`: what they print, for people and for scripts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from brokertuner_tui.cli import main, output
from brokertuner_tui.knobs.catalogue import BY_NAME, NAMES
from tests.cli.program import error_of, run


def test_knobs_for_scripts(tmp_path: Path) -> None:
    ended = run(tmp_path, "knobs", "--json", "--save-dir", str(tmp_path / "unused"))
    assert (ended.returncode, ended.stderr) == (0, "")
    listed = json.loads(ended.stdout)
    assert [knob["name"] for knob in listed] == list(NAMES)
    for knob in listed:
        known = BY_NAME[knob["name"]]
        assert (knob["type"], knob["default"], knob["low"], knob["high"]) == (known.type, known.default, known.low, known.high)
        assert knob["applies"] in ("reload", "restart")
        assert knob["meaning"].endswith(".")
        assert isinstance(knob["unit"], str)
    assert not (tmp_path / "unused").exists()


def test_knobs_for_people(tmp_path: Path) -> None:
    text = run(tmp_path, "knobs").stdout
    for name in NAMES:
        assert f" {name} " in text
    assert "1 to 65,535" in text
    assert "2,000,000 since 2.1.0" in text
    assert "Deprecated" not in text
    assert "Deprecated" in run(tmp_path, "knobs", "--notes").stdout


def test_paths_name_everything_and_make_nothing(tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    ended = run(tmp_path, "paths", "--json", "--save-dir", str(tmp_path / "results"))
    assert ended.returncode == 0
    found = json.loads(ended.stdout)
    assert found["save dir"] == str(tmp_path / "results")
    assert found["store"] == str(tmp_path / "results" / "store.db")
    assert found["user config"] == str(tmp_path / "config" / "brokertuner-tui" / "brokertuner.toml")
    assert json.loads(run(tmp_path, "paths", "--json").stdout)["save dir"] == str(tmp_path / "data" / "brokertuner-tui")
    assert str(tmp_path / "data" / "brokertuner-tui" / "store.db") in run(tmp_path, "paths").stdout
    assert sorted(tmp_path.rglob("*")) == before


def test_config_show_says_where_a_value_comes_from(tmp_path: Path) -> None:
    (tmp_path / "brokertuner.toml").write_text('seed = 5\n[tuning]\npreset = "classic"\n[tuning.pin]\npersistence = false\n')
    (tmp_path / "more.toml").write_text("[tuning]\nsave_freq = 7\n[workload.mine]\nqos = 1\n")
    words = ["config", "show", "--json", "--config", "more.toml", "--seed", "9"]
    ended = run(tmp_path, *words, more={"BROKERTUNER_TUNING_MAX_STEPS": "50"})
    assert ended.returncode == 0, ended.stderr
    shown = json.loads(ended.stdout)
    project, given = str(tmp_path / "brokertuner.toml"), str(tmp_path / "more.toml")
    assert shown["settings"]["seed"] == {"value": 9, "source": "--seed"}
    assert shown["settings"]["tuning.preset"] == {"value": "classic", "source": project}
    assert shown["settings"]["tuning.pin.persistence"] == {"value": False, "source": project}
    assert shown["settings"]["tuning.save_freq"] == {"value": 7, "source": given}
    assert shown["settings"]["tuning.max_steps"]["value"] == 50
    assert "BROKERTUNER_TUNING_MAX_STEPS" in shown["settings"]["tuning.max_steps"]["source"]
    assert shown["settings"]["load.workload"] == {"value": "fanout", "source": "default"}
    assert shown["workloads"]["mine"] == given
    assert shown["files"] == [given, project]
    text = run(tmp_path, "config", "show").stdout
    assert "tuning.preset" in text
    assert project in text


def test_a_flag_that_is_not_typed_does_not_win(tmp_path: Path) -> None:
    (tmp_path / "brokertuner.toml").write_text('[store]\nsave_dir = "kept"\n')
    assert json.loads(run(tmp_path, "paths", "--json").stdout)["save dir"] == str(tmp_path / "kept")
    typed = run(tmp_path, "paths", "--json", "--save-dir", "typed").stdout
    assert json.loads(typed)["save dir"] == str(tmp_path / "typed")


def test_the_workloads_there_are(tmp_path: Path) -> None:
    (tmp_path / "w.toml").write_text("[workload.mine]\nqos = 2\nrate = 10\n")
    listed = json.loads(run(tmp_path, "workload", "--list", "--json", "--workload-file", "w.toml").stdout)
    by_name = {entry["name"]: entry for entry in listed}
    assert {"telemetry", "pipeline", "wan", "fanout", "bulk", "burst", "durable", "qos2", "day", "live", "mine"} == set(by_name)
    assert (by_name["mine"]["qos"], by_name["mine"]["rate"]) == (2, 10.0)
    assert by_name["day"]["phases"][0] == {"use": "telemetry", "seconds": 40.0}
    text = run(tmp_path, "workload", "--list").stdout
    assert "1 → 100" in text
    assert "round and round" in text


def test_tables_in_a_pipe_are_whole_and_plain(tmp_path: Path) -> None:
    for words in (["knobs"], ["config", "show"], ["workload", "--list"]):
        text = run(tmp_path, *words).stdout
        assert "\x1b" not in text
        assert "…" not in text


def test_a_config_that_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[tuning]\npreset = 3\n")
    ended = run(tmp_path, "config", "show", "--config", "bad.toml")
    assert ended.returncode == 2
    line = error_of(ended)
    for part in ("bad.toml", "tuning.preset", "3", "slo, classic"):
        assert part in line


@pytest.mark.parametrize("words", [["knobs"], ["workload", "--list"], ["config", "show"], ["paths"]], ids=" ".join)
def test_eighty_columns_are_enough(
    tmp_path: Path, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is cut off on a terminal of the usual width (a pipe of that width stands for it)."""
    monkeypatch.setattr(output, "_PIPE_WIDTH", 80)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main.run(words) == 0
    text = capsys.readouterr().out
    assert "…" not in text
    assert max(len(line) for line in text.splitlines()) <= 80
