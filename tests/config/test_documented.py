"""`brokertuner.toml` documents every setting and workload, truly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tomli

from brokertuner_tui.config.fields import Setting, all_settings, settings_of
from brokertuner_tui.config.load import Loaded, load_settings
from brokertuner_tui.config.settings import Settings
from brokertuner_tui.config.workloads import ProfileTable, shipped_tables

FILE = Path(__file__).parents[2] / "brokertuner.toml"


def load_text(text: str, folder: Path) -> Loaded:
    (folder / "brokertuner.toml").write_text(text)
    return load_settings(environ={}, cwd=folder)


def uncommented() -> str:
    """The file with every setting and table in force: `#key = ...` and `#[table]`, but not `# words`."""
    return re.sub(r"^#(?=[a-z\[\]]|  \{)", "", FILE.read_text(), flags=re.MULTILINE)


def test_as_it_is_it_changes_nothing(tmp_path: Path) -> None:
    loaded = load_text(FILE.read_text(), tmp_path)
    assert loaded.settings == Settings()
    assert "brokertuner.toml" not in "".join(loaded.sources.values())


def test_with_everything_uncommented_it_equals_the_defaults(tmp_path: Path) -> None:
    loaded = load_text(uncommented(), tmp_path)
    assert loaded.settings == Settings()
    assert loaded.workloads == load_settings(environ={}, cwd=tmp_path / "elsewhere").workloads
    given = {key for key, source in loaded.sources.items() if source.endswith("brokertuner.toml")}
    tables = {key for key, setting in all_settings().items() if setting.is_table}  # empty: no entry has a source
    assert given == (set(all_settings()) - tables) | {f"workload.{name}" for name in shipped_tables()}


@pytest.mark.parametrize("setting", all_settings().values(), ids=lambda setting: setting.key)
def test_every_setting_says_what_it_may_be(setting: Setting) -> None:
    section, _, name = setting.key.rpartition(".")
    text = FILE.read_text()
    if section:
        text = text[text.index(f"\n[{section}]") :]
    about, found, value = text.partition(f"\n#{name} = ")
    assert found
    about = about.rpartition("\n\n")[2]
    assert f"({setting.allowed.removeprefix('must be ')})" in about
    assert len(about.splitlines()[0]) > 10
    default = tomli.loads(f"value = {value.splitlines()[0]}")["value"]
    assert default == ("none" if setting.default is None else setting.default)


@pytest.mark.parametrize("setting", settings_of(ProfileTable).values(), ids=lambda setting: setting.key)
def test_every_key_of_a_workload_says_what_it_may_be(setting: Setting) -> None:
    lines = FILE.read_text().splitlines()
    (at,) = [i for i, line in enumerate(lines) if line.startswith(f"# {setting.key} = ")]
    default, colon, meaning = lines[at].partition(" = ")[2].partition(": ")
    assert colon
    assert len(meaning) > 10
    assert tomli.loads(f"value = {default}")["value"] == ("none" if setting.default is None else setting.default)
    assert lines[at + 1] == f"#   ({setting.allowed.removeprefix('must be ')})"
