"""Dataclasses as JSON that every database and reader accepts, and back.

JSON has no NaN and no infinities, and PostgreSQL refuses them: they travel as the strings "NaN", "Infinity" and
"-Infinity", which `float()` reads. For scripts, `finite` turns them into null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from pathlib import PurePath
from typing import Any, TypeVar, cast, get_type_hints

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """`value` as dicts, lists, strings, numbers, booleans and None.

    Raises:
        TypeError: it holds something that has no such form.
    """
    if value is None or (isinstance(value, bool | int) and not isinstance(value, Enum)):
        return value
    if isinstance(value, Enum):
        return to_plain(value.value)
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _name_of(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {_clean(str(key)): to_plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(part) for part in value]
    if isinstance(value, PurePath):
        return _clean(str(value))
    if hasattr(value, "tolist"):  # numpy's arrays and numbers
        return to_plain(value.tolist())
    raise TypeError(f"no plain form of {type(value).__name__}")


def _clean(text: str) -> str:
    # PostgreSQL's text has no NUL, and no database has the halves of characters that Python uses for bytes in file names.
    if text.isascii() and "\x00" not in text:
        return str(text)
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _name_of(number: float) -> str:
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def finite(value: Any) -> Any:
    """What `to_plain` gives, with null for every number that is not finite: for scripts that read JSON."""
    plain = to_plain(value)
    if isinstance(plain, dict):
        return {key: finite(part) for key, part in plain.items()}
    if isinstance(plain, list):
        return [finite(part) for part in plain]
    return None if isinstance(plain, str) and plain in ("NaN", "Infinity", "-Infinity") else plain


def iso_time(at: float) -> str:
    """Seconds since the epoch as UTC in ISO 8601, for scripts: `2026-11-21T01:00:00.500Z`."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def dumps(value: Any) -> str:
    """One line of strict JSON, for the database."""
    return json.dumps(to_plain(value), allow_nan=False, separators=(",", ":"))


def revive(cls: type[T], data: Mapping[str, Any]) -> T:
    """A flat dataclass from its plain form: lists become tuples, `"NaN"` a number.

    Keys that the class does not know are left out, and missing ones take the field's default (or an empty value of its
    type): a store outlives the code that wrote it.
    """
    values: dict[str, Any] = {}
    for field, is_number in _fields(cast(Any, cls)):
        if field.name not in data:
            if field.default is MISSING and field.default_factory is MISSING:
                values[field.name] = _empty(cls, field.name)
            continue
        part = data[field.name]
        if is_number and part is not None:
            part = float(part)
        values[field.name] = tuple(part) if isinstance(part, list) else part
    return cls(**values)


@cache
def _fields(cls: type) -> tuple[tuple[Field[Any], bool], ...]:
    hints = get_type_hints(cls)
    return tuple((field, hints[field.name] in (float, float | None)) for field in fields(cast(Any, cls)))


def _empty(cls: type, name: str) -> Any:
    hint = get_type_hints(cls)[name]
    return {float: math.nan, int: 0, str: "", bool: False, tuple[str, ...]: ()}.get(hint)
