"""Every file in `bad/` is refused with the words of its first line (`# expect: ...`), in one line that names the file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from brokertuner_tui.config.load import load_settings
from brokertuner_tui.config.workloads import read_workloads
from brokertuner_tui.errors import ConfigError, ExitCode

FILES = sorted((Path(__file__).parent / "bad").glob("*.toml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
@pytest.mark.parametrize("place", ["config", "project"])
def test_a_bad_file_is_refused_in_one_clear_line(file: Path, place: str, tmp_path: Path) -> None:
    expected = file.read_text(encoding="utf-8").splitlines()[0].removeprefix("# expect: ")
    if place == "project":
        shutil.copy(file, tmp_path / "brokertuner.toml")
        file = tmp_path / "brokertuner.toml"
    with pytest.raises(ConfigError) as caught:
        load_settings(config_file=file if place == "config" else None, environ={}, cwd=tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{file}: ")
    assert expected in message
    assert "\n" not in message
    assert caught.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize("file", [f for f in FILES if f.stem.startswith(("workload_", "phases_"))], ids=lambda file: file.stem)
def test_a_bad_workload_file_says_the_same(file: Path) -> None:
    expected = file.read_text(encoding="utf-8").splitlines()[0].removeprefix("# expect: ")
    with pytest.raises(ConfigError) as caught:
        read_workloads(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert expected in str(caught.value)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read: No such file"):
        load_settings(config_file=tmp_path / "nowhere.toml", environ={}, cwd=tmp_path)
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read: No such file"):
        load_settings(workload_file=tmp_path / "nowhere.toml", environ={}, cwd=tmp_path)


def test_a_folder_is_not_a_config(tmp_path: Path) -> None:
    (tmp_path / "brokertuner.toml").mkdir()
    with pytest.raises(ConfigError, match=r"brokertuner\.toml: cannot be read: Is a directory"):
        load_settings(environ={}, cwd=tmp_path)


def test_a_link_to_nowhere_is_said(tmp_path: Path) -> None:
    (tmp_path / "brokertuner.toml").symlink_to(tmp_path / "gone")
    with pytest.raises(ConfigError, match=r"brokertuner\.toml: cannot be read"):
        load_settings(environ={}, cwd=tmp_path)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"seed = 1\n# caf\xe9\n", "line 2: not UTF-8 text"),
        (b"a = " + b"1" * 5000, "not TOML that can be read"),
        (b"a = " + b"[" * 20000, "not TOML that can be read"),
        (b"\0" * 10, "line 1, column 1: not TOML"),
        (b"#" * (4 * 2**20 + 1), "is larger than"),
    ],
)
def test_what_is_not_toml_is_said(data: bytes, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "given.toml"
    file.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        load_settings(config_file=file, environ={}, cwd=tmp_path)
    assert str(caught.value).startswith(f"{file}: {expected}")
    assert "\n" not in str(caught.value)


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    file = tmp_path / "given.toml"
    file.write_bytes(b"\xef\xbb\xbfseed = 4\n")
    assert load_settings(config_file=file, environ={}, cwd=tmp_path).settings.seed == 4


def test_a_workload_file_holds_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "loads.toml"
    file.write_text("seed = 1\n[workload.mine]\nrate = 5\n")
    with pytest.raises(ConfigError, match=r"seed = 1: unknown key; a workload file has \[workload.NAME\] tables only"):
        read_workloads(file)


def test_a_value_is_refused_even_where_a_stronger_one_hides_it(tmp_path: Path) -> None:
    (tmp_path / "brokertuner.toml").write_text("seed = -1\n")
    with pytest.raises(ConfigError, match="seed = -1"):
        load_settings(overrides={"seed": 3}, environ={"BROKERTUNER_SEED": "2"}, cwd=tmp_path)


def test_a_long_value_is_shortened(tmp_path: Path) -> None:
    (tmp_path / "brokertuner.toml").write_text(f"seed = '{'x' * 5000}'\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(environ={}, cwd=tmp_path)
    assert len(str(caught.value)) < 300 + len(str(tmp_path))
