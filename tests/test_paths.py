"""The user's folders: where they are, and that what is made is private."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from brokertuner_tui import paths
from brokertuner_tui.errors import TunerError


def test_the_folders_follow_the_systems_conventions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    assert paths.config_dir() == tmp_path / "CONFIG" / "brokertuner-tui"
    assert paths.user_config_file() == tmp_path / "CONFIG" / "brokertuner-tui" / "brokertuner.toml"
    assert paths.user_themes_dir() == tmp_path / "CONFIG" / "brokertuner-tui" / "themes"
    assert paths.default_save_dir() == paths.data_dir() == tmp_path / "DATA" / "brokertuner-tui"
    assert paths.mosquitto_dir() == tmp_path / "DATA" / "brokertuner-tui" / "mosquitto"
    assert paths.state_dir() == tmp_path / "STATE" / "brokertuner-tui"
    assert paths.log_dir().is_relative_to(paths.state_dir())
    assert paths.cache_dir() == tmp_path / "CACHE" / "brokertuner-tui"
    assert not list(tmp_path.iterdir()), "asking makes nothing"


def test_what_is_made_is_the_users_alone_and_what_was_there_stays(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir(mode=0o755)
    old.chmod(0o755)
    umask = os.umask(0)
    try:
        made = paths.private_folder(old / "a" / "b")
    finally:
        os.umask(umask)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (made, made.parent, old)] == [0o700, 0o700, 0o755]
    assert paths.private_folder(made) == made


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TunerError, match="file is not a folder"):
        paths.private_folder(tmp_path / "file")
    with pytest.raises(TunerError, match="cannot be made: Not a directory"):
        paths.private_folder(tmp_path / "file" / "below")
    with pytest.raises(TunerError, match="cannot be made"):
        paths.private_folder(Path("/proc/nothing/here"))


def test_the_themes_that_come_with_the_program_are_found() -> None:
    assert len(list(paths.themes_dir().glob("*.toml"))) >= 4
