"""What each setting is called, takes and allows, derived from the models, so that every error can say it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import tomli
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from brokertuner_tui.config.settings import Settings

NONE_WORD = "none"
"""TOML has no null: this word means "not set" where a setting may be that."""

_SWITCH = {"true": True, "on": True, "yes": True, "1": True, "false": False, "off": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `key` is dotted (`tuning.pin`); `kind` is the Python type, `nullable` whether it may be unset."""

    key: str
    kind: Any
    nullable: bool
    default: Any
    allowed: str
    """In words, starting with "must be"."""

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return "BROKERTUNER_" + self.key.upper().replace(".", "_")

    @property
    def flag(self) -> str:
        """The command line's name for it, where there is one."""
        return "--" + self.key.rpartition(".")[2].replace("_", "-")

    @property
    def is_table(self) -> bool:
        """Whether the operator chooses its keys (`tuning.pin`, `tui.keymap`)."""
        return get_origin(self.kind) is dict


def describe(info: FieldInfo) -> tuple[Any, bool, str]:
    """The type without None, whether None is allowed, and what a value must be, in words."""
    kind: Any = info.annotation
    nullable = False
    if get_origin(kind) in (UnionType, Union):
        rest = [part for part in get_args(kind) if part is not type(None)]
        nullable = len(rest) < len(get_args(kind))
        kind = rest[0] if len(rest) == 1 else Union[tuple(rest)]  # noqa: UP007 - built at run time
    text = _kind_words(kind, info)
    return kind, nullable, text + (f", or {NONE_WORD}" if nullable else "")


def _kind_words(kind: Any, info: FieldInfo) -> str:
    if info.description:
        return f"must be {info.description}"
    if get_origin(kind) is Literal:
        choices = [str(choice) for choice in get_args(kind)]
        return f"must be one of {', '.join(choices)}" if len(choices) > 1 else f"must be {choices[0]}"
    if get_origin(kind) is dict:
        return "must be a table"
    if get_origin(kind) is list:
        least = any(getattr(bound, "min_length", 0) for bound in info.metadata)
        return f"must be a list of texts in quotes{', not empty' if least else ''}"
    words = {
        bool: "must be true or false",
        int: "must be a whole number",
        float: "must be a number",
        str: "must be text in quotes",
        Path: "must be a path in quotes",
    }
    return words[kind] + _bounds(info.metadata)


def _bounds(metadata: Iterable[Any]) -> str:
    low = high = ""
    for bound in metadata:
        if (value := getattr(bound, "gt", None)) is not None:
            low = f"greater than {_number(value)}"
        elif (value := getattr(bound, "ge", None)) is not None:
            low = f"at least {_number(value)}"
        elif (value := getattr(bound, "lt", None)) is not None:
            high = f"less than {_number(value)}"
        elif (value := getattr(bound, "le", None)) is not None:
            high = f"at most {_number(value)}"
    joined = " and ".join(part for part in (low, high) if part)
    return f", {joined}" if joined else ""


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)


def settings_of(model: type[BaseModel], prefix: str = "") -> dict[str, Setting]:
    """Every setting of `model` and of the sections in it, by dotted key, in the order of the models."""
    found: dict[str, Setting] = {}
    for name, info in model.model_fields.items():
        key = prefix + name
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            found |= settings_of(info.annotation, key + ".")
        else:
            kind, nullable, allowed = describe(info)
            found[key] = Setting(key, kind, nullable, info.default, allowed)
    return found


@cache
def all_settings() -> Mapping[str, Setting]:
    """Every setting of the config by dotted key."""
    return settings_of(Settings)


@cache
def sections() -> frozenset[str]:
    """The dotted names of the tables (`reward`, `reward.slo`)."""
    return frozenset(key[:at] for key in all_settings() for at, char in enumerate(key) if char == ".")


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint at the nearest known word, or, where none is near, at all of them if they are few."""
    words = list(known)
    tail = word.rpartition(".")[2]
    close = [w for w in words if "." in word and w.rpartition(".")[2] == tail]  # the right key in the wrong table
    close = close or difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    close = close or [w for w in words if difflib.get_close_matches(tail, [w.rpartition(".")[2]], n=1, cutoff=0.75)]
    if close:
        return f"; the nearest known is {close[0]}"
    return f"; known are {', '.join(words)}" if len(words) <= 16 else ""


def from_text(setting: Setting, text: str) -> object:
    """`text` (an environment variable, a flag) as the type of `setting`; text that is none stays text, which is refused later.

    A table is given as a TOML inline table, or as `key=value` parts separated by commas; a list as a TOML array, or as its
    entries separated by commas.
    """
    word = text.strip()
    if setting.nullable and word.lower() == NONE_WORD:
        return None
    if setting.kind is bool:
        return _SWITCH.get(word.lower(), text)
    if setting.kind is int or setting.kind is float:
        return _as_number(setting.kind, word, text)
    if setting.is_table:
        return _as_table(word)
    if get_origin(setting.kind) is list:
        return _as_list(word)
    return text


def _as_number(kind: Any, word: str, text: str) -> object:
    # int() and float() take more than people mean: other alphabets' digits, and "infinity" or "nan" (refused later).
    if not word.isascii() or len(word) > 40:
        return text
    try:
        return kind(word)
    except ValueError:
        return text


def _as_list(word: str) -> object:
    if word.startswith("["):
        try:
            return tomli.loads(f"list = {word}\n")["list"]
        except ValueError:
            return word
    return [part.strip() for part in word.split(",") if part.strip()]


def _as_toml(word: str) -> object:
    try:
        return tomli.loads(f"value = {word}\n")["value"]
    except (ValueError, RecursionError):
        return word


def _as_table(word: str) -> object:
    if word.startswith("{"):
        return _as_toml(word)
    table: dict[str, object] = {}
    for part in filter(None, (part.strip() for part in word.split(","))):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            return word
        table[key.strip()] = value.strip()
    return table
