"""docs/screen.md says what is true."""

from __future__ import annotations

from pathlib import Path

from textual.keys import format_key

from brokertuner_tui import paths
from brokertuner_tui.tui.keys import COMMANDS
from brokertuner_tui.tui.themes import COLORS, ROLES

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "screen.md").read_text()


def test_every_key_is_in_the_table() -> None:
    for command in COMMANDS:
        if command.id not in ("palette", "details"):
            assert f"| {format_key(command.key)} | `{command.id}` |" in TEXT


def test_every_theme_and_every_colour_is_named() -> None:
    for path in paths.themes_dir().glob("*.toml"):
        assert f"`{path.stem}`" in TEXT
    for name in (*COLORS, *ROLES):
        assert name in TEXT


def test_the_picture_loads_nothing_from_elsewhere() -> None:
    picture = (Path(__file__).resolve().parents[2] / "docs" / "screen.svg").read_text()
    assert picture.startswith("<svg ")
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")
    assert ">goodput<" in picture
