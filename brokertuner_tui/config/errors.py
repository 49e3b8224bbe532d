"""One line for everything that can be wrong with a config: where it stands, its key, its value, and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import ValidationError

from brokertuner_tui.config.fields import Setting, nearest
from brokertuner_tui.errors import ConfigError

_SECRET = re.compile(r"pass(?!word_file)|secret|token|credential", re.IGNORECASE)


class ConfigFileError(ConfigError):
    """A file that cannot be read at all: missing, not readable, not TOML. The message names the file (and the line)."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(one_line(where), "", "", reason)
        self.args = (f"{self.where}: {reason}",)


class UnknownKey(ConfigError):
    """A key that means nothing."""

    def __init__(self, where: str, key: str, value: object, hint: str) -> None:
        shown = shortened(value)
        if _SECRET.search(key) and value not in (None, ""):
            # Likely a password in a place where none belongs: it must not go from there to a terminal and its logs.
            shown = _Shown("***")
            hint += "; a password comes from the file that broker.password_file names, or from BROKERTUNER_BROKER_PASSWORD"
        super().__init__(one_line(where), one_line(key), shown, f"unknown key{hint}")


_PASSWORD = re.compile(r"(?<=://)[^@/]*:.*(?=@)|(?<=password=)[^&\s]*")
"""In a URL: what stands before the host, or in a parameter."""


class _Shown:
    """A value whose `repr` is short and on one line."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def shortened(value: object) -> object:
    """`value` as an error message shows it: as TOML writes it, on one line, at most 60 characters, no password in a URL."""
    if isinstance(value, str):
        value = _PASSWORD.sub("***", value)
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return value if len(text) <= 60 and not isinstance(value, bool) else _Shown(text if len(text) <= 60 else f"{text[:57]}...")


def one_line(text: str) -> str:
    """`text` with line breaks and other control characters escaped: keys and file names are the operator's, too."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def bad_value(where: str, key: str, value: object, allowed: str) -> ConfigError:
    """The error for a value that is not allowed."""
    return ConfigError(one_line(where), one_line(key), shortened(value), allowed)


def from_pydantic(error: ValidationError, where: str, prefix: str, known: Mapping[str, Setting]) -> ConfigError:
    """The first thing that pydantic found wrong, in our words.

    `known` has the settings by key, without `prefix`; `prefix` (`workload.fanout.`) is put before the key.
    """
    first = error.errors(include_url=False, include_context=False)[0]
    path = ".".join(str(part) for part in first["loc"])
    # A union's error carries the branch after the key, a tuple's its index: the setting is the longest prefix known.
    key = path
    while key and key not in known:
        key = key.rpartition(".")[0]
    if first["type"] == "extra_forbidden":
        return UnknownKey(where, prefix + path, first["input"], nearest(path, known))
    if key and known[key].is_table and key != path:
        return bad_value(where, prefix + path, first["input"], "must be text in quotes")
    if key:
        return bad_value(where, prefix + key, first["input"], known[key].allowed)
    if first["type"] in ("model_type", "model_attributes_type"):
        return bad_value(where, prefix + path, first["input"], f"must be a table: [{prefix}{path}]")
    return bad_value(where, prefix + path, first["input"], first["msg"].removeprefix("Value error, "))
