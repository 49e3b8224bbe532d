"""Themes as files: the shipped ones are legible, a broken one is named and passed over."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.color import Color
from textual.theme import BUILTIN_THEMES

from brokertuner_tui import paths
from brokertuner_tui.errors import ConfigError
from brokertuner_tui.tui.themes import ROLES, complete, load_themes, read_theme

SHIPPED = sorted(paths.themes_dir().glob("*.toml"))
GOOD = 'dark = false\n[colors]\nprimary = "#0b6a99"\nbest = "purple"\n[variables]\nborder = "#0b6a99"\n'


def variables_of(path: Path) -> dict[str, str]:
    theme = read_theme(path)
    return {**theme.to_color_system().generate(), **theme.variables}


def contrast(one: str, other: str) -> float:
    """Contrast ratio of WCAG 2.2."""

    def luminance(color: str) -> float:
        parts = [channel / 255 for channel in Color.parse(color).rgb]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return float(0.2126 * red + 0.7152 * green + 0.0722 * blue)

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_what_must_be_there_is() -> None:
    assert {"dark", "light", "colour-blind", "mono"} <= {path.stem for path in SHIPPED}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_themes_are_complete_and_legible(path: Path) -> None:
    variables = variables_of(path)
    assert set(ROLES) <= set(variables)
    ground = variables["background"]
    for role in ("foreground", "primary", "better", "worse", "best", "hand", "quiet"):
        assert contrast(ground, variables[role]) >= 4.5, f"{role} is hard to read (WCAG AA: 4.5)"
    badge = variables["on-badge"]
    for role in ("primary", "hand", "worse"):
        assert contrast(badge, variables[role]) >= 4.5, f"text on {role} is hard to read"
    cursor = variables["cursor"]
    for role in ("foreground", "primary", "best", "hand"):
        assert contrast(cursor, variables[role]) >= 3.0, f"{role} under the cursor"


def test_monochrome_is() -> None:
    variables = variables_of(paths.themes_dir() / "mono.toml")
    for role in (*ROLES, "foreground", "background", "primary"):
        red, green, blue = Color.parse(variables[role]).rgb
        assert red == green == blue, role


@pytest.mark.parametrize("name", ["colour-blind", "colour-blind-light"])
def test_better_and_worse_differ_without_red_and_green(name: str) -> None:
    """Told apart by blue against yellow, which red-green colour blindness leaves, and by lightness."""
    variables = variables_of(paths.themes_dir() / f"{name}.toml")
    better, worse = Color.parse(variables["better"]), Color.parse(variables["worse"])
    assert better.b - better.r > 60
    assert worse.r - worse.b > 60


def test_the_operators_theme_wins(tmp_path: Path) -> None:
    (tmp_path / "dark.toml").write_text(GOOD)
    (tmp_path / "mine.toml").write_text(GOOD)
    loaded = load_themes([paths.themes_dir(), tmp_path])
    themes = {theme.name: theme for theme in loaded.themes}
    assert not loaded.problems
    assert themes["dark"].primary == "#0b6a99"
    assert not themes["mine"].dark
    assert themes["mine"].variables["best"] == "purple"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("dark = 1\n[colors]\nprimary = 'red'", ("dark = 1", "true or false")),
        ("[colors]\nprimary = 'nocolour'", ("colors.primary = 'nocolour'", "must be a colour")),
        ("[colors]\nprimary = 'red'\nbetter = 7", ("colors.better = 7", "must be a text")),
        ("[colors]\nprimary = 'red'\nbettter = 'red'", ("colors.bettter", "known are primary")),
        ("[colors]\nbest = 'red'", ("colors.primary", "is missing")),
        ("colours = 3", ("colours = 3", "unknown key")),
        ("colors = 3", ("colors = 3", "must be a table")),
        ("[colors]\nprimary = 'red'\n[variables]\nborder = 'red; } Screen {'", ("variables.border", "one plain value")),
        ("[colors\n", ("is not TOML",)),
        ("\ufeff\x00", ("is not TOML",)),
    ],
)
def test_a_broken_theme_is_named(tmp_path: Path, text: str, named: tuple[str, ...]) -> None:
    path = tmp_path / "broken.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        read_theme(path)
    assert str(path) in str(error.value)
    for part in named:
        assert part in str(error.value)
    loaded = load_themes([tmp_path])
    assert loaded.themes == ()
    assert len(loaded.problems) == 1


def test_files_that_cannot_be_read_or_named(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "Bad Name.toml").write_text(GOOD)
    (tmp_path / "folder.toml").mkdir()
    loaded = load_themes([tmp_path, tmp_path / "missing"])
    assert len(loaded.problems) == 3
    assert loaded.themes == ()


@pytest.mark.parametrize("name", BUILTIN_THEMES)
def test_textuals_own_themes_get_our_roles(name: str) -> None:
    variables = complete(BUILTIN_THEMES[name].to_color_system().generate())
    for role in ROLES:
        assert Color.parse(variables[role]) is not None
