"""Themes as TOML files: shipped ones in `themes/`, the operator's own in the config folder's `themes/`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from textual.color import Color, ColorParseError
from textual.theme import Theme

from brokertuner_tui.errors import ConfigError

FALLBACK = "dark"
COLORS = (
    "primary", "secondary", "accent", "foreground", "background", "surface", "panel", "boost", "warning", "error", "success",
)  # fmt: skip
ROLES: Mapping[str, str] = {
    "better": "success",
    "worse": "error",
    "best": "accent",
    "hand": "warning",
    "quiet": "foreground",
    "line": "foreground",
    "on-badge": "background",
    "cursor": "primary",
}
"""Colours of ours by what they say, and the general colour that stands in where a theme does not name one."""
_FAINT = {"quiet": 0.62, "line": 0.28, "cursor": 0.2}
"""How much of the foreground is in a faint colour; the rest is background."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Loaded:
    """The themes that could be read, the strongest last, and one sentence for each that could not."""

    themes: tuple[Theme, ...]
    problems: tuple[str, ...]


def load_themes(folders: Iterable[Path]) -> Loaded:
    """Every `*.toml` in `folders`; a later folder's theme replaces an earlier one's of the same name. Never raises."""
    themes: dict[str, Theme] = {}
    problems = []
    for folder in folders:
        try:
            paths = sorted(folder.glob("*.toml"))
        except OSError as error:
            problems.append(f"{folder}: {error.strerror or error}")
            continue
        for path in paths:
            try:
                theme = read_theme(path)
                themes[theme.name] = theme
            except ConfigError as error:
                problems.append(str(error))
    return Loaded(tuple(themes.values()), tuple(problems))


def read_theme(path: Path) -> Theme:
    """One theme; its name is the file's.

    Raises:
        ConfigError: not readable, not TOML, an unknown key, or something that is not a colour.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(str(path), "file", path.name, error.strerror or str(error)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), "file", path.name, f"is not TOML: {error}") from None
    if not _NAME.fullmatch(path.stem):
        raise ConfigError(str(path), "name", path.stem, "must be small letters, digits, '-', '_' and '.'")
    dark = data.pop("dark", True)
    if not isinstance(dark, bool):
        raise ConfigError(str(path), "dark", dark, "must be true or false")
    colors, variables = _table(path, data, "colors"), _table(path, data, "variables")
    for key, value in data.items():
        raise ConfigError(str(path), key, value, "unknown key; known are dark, [colors] and [variables]")
    for key, value in colors.items():
        if key not in COLORS and key not in ROLES:
            raise ConfigError(str(path), f"colors.{key}", value, f"unknown; known are {', '.join((*COLORS, *ROLES))}")
        _check_color(path, f"colors.{key}", value)
    if "primary" not in colors:
        raise ConfigError(str(path), "colors.primary", None, "is missing: every theme needs one")
    roles = {key: colors.pop(key) for key in ROLES if key in colors}
    theme = Theme(name=path.stem, primary=colors.pop("primary"), dark=dark, variables={**variables, **roles})
    for key, value in colors.items():
        setattr(theme, key, value)
    return theme


def _table(path: Path, data: dict[str, object], key: str) -> dict[str, str]:
    table = data.pop(key, {})
    if not isinstance(table, dict):
        raise ConfigError(str(path), key, table, "must be a table")
    for name, value in table.items():
        if not isinstance(value, str):
            raise ConfigError(str(path), f"{key}.{name}", value, "must be a text, like '#5fb3d9'")
        if not re.fullmatch(r"[^\n;{}$]+", value):
            raise ConfigError(str(path), f"{key}.{name}", value, "must be one plain value")
    return dict(table)


def _check_color(path: Path, key: str, value: str) -> None:
    try:
        Color.parse(value)
    except ColorParseError:
        raise ConfigError(str(path), key, value, "must be a colour: #rrggbb, rgb(), hsl() or a name") from None


def complete(variables: Mapping[str, str]) -> dict[str, str]:
    """The CSS variables with our roles in them, for themes (Textual's own) that do not know them."""
    completed = dict(variables)
    for role, stand_in in ROLES.items():
        if role not in completed:
            color = variables[stand_in]
            if role in _FAINT and (ground := variables["background"]).startswith("#") and color.startswith("#"):
                color = Color.parse(ground).blend(Color.parse(color), _FAINT[role]).hex
            completed[role] = color
    return completed
