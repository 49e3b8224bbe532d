"""`doctor` as an operator and as a script see it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from brokertuner_tui.cli.main import run


@pytest.fixture(autouse=True)
def nobodys_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))


def test_all_is_well(mosquitto: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--mosquitto", str(mosquitto), "--save-dir", str(tmp_path / "save"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is True
    assert {"versions", "cores", "mosquitto", "broker", "save dir", "store"} <= {found["name"] for found in told["findings"]}
    assert not (tmp_path / "save").exists(), "nothing is made"


def test_a_failure_says_why_and_what_mends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--mosquitto", str(tmp_path / "none"), "--save-dir", str(tmp_path / "save")]) == 1
    out = capsys.readouterr().out
    assert "✗ mosquitto" in out
    assert "why it matters: " in out
    assert "mend: " in out
    assert "1 failure" in out


def test_fix_mends_what_is_harmless(mosquitto: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    password = tmp_path / "password"
    password.write_text("hunter2\n")
    password.chmod(0o644)
    config = tmp_path / "config.toml"
    config.write_text("[broker]\nusername = 'ann'\npassword_file = 'password'\n")
    arguments = ["doctor", "--config", str(config), "--mosquitto", str(mosquitto), "--save-dir", str(tmp_path / "save")]
    assert run(arguments) == 1
    assert "--fix mends" in capsys.readouterr().out
    assert run([*arguments, "--fix"]) == 0
    assert password.stat().st_mode & 0o777 == 0o600
    assert "hunter2" not in capsys.readouterr().out


def test_a_bad_kind_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--broker", "docker"]) == 2
    assert "docker" in capsys.readouterr().err
