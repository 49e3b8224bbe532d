"""Reads a request's JSON strictly: what JSON leaves open (a key twice) is an error that names the field.

NaN and the infinities, which Python's parser lets in, are no value that any field may have.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from brokertuner_tui.errors import ConfigError, UsageError
from brokertuner_tui.knobs.catalogue import NAMES, Value
from brokertuner_tui.knobs.validation import KnobError, check, get_knob
from brokertuner_tui.service.errors import ApiError
from brokertuner_tui.workload import limits
from brokertuner_tui.workload.profile import Profile


class _Twice(ValueError):
    """A key that stands twice in one object."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(key)


def wrong(message: str, field: str | None) -> ApiError:
    """422."""
    return ApiError(422, "invalid", message, field=field)


async def json_object(request: Request, *, may_be_empty: bool = False) -> dict[str, Any]:
    """The body, a JSON object.

    Raises:
        ApiError: 415 it is no JSON by its header, 422 by itself, or no object.
    """
    data = await request.body()
    if not data and may_be_empty:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, "media_type", "the body must be JSON: Content-Type: application/json", field="Content-Type")
    try:
        value = json.loads(data.decode(), object_pairs_hook=_unique)
    except _Twice as twice:
        raise wrong(f"{twice.key} stands twice", twice.key) from None
    except RecursionError:
        raise wrong("the body is nested too deeply", None) from None
    except ValueError as error:  # of JSON or of UTF-8
        raise wrong(f"the body is no JSON: {error}", None) from None
    if not isinstance(value, dict):
        raise wrong("the body must be a JSON object", None)
    return value


def knob_values(body: Mapping[str, Any]) -> dict[str, Value]:
    """Some knobs, at least one, each checked, in catalogue order.

    Raises:
        ApiError: 422 naming the knob.
    """
    if not body:
        raise wrong("no knob is given", None)
    for name in body:
        if name not in NAMES:
            raise wrong(_words(name), name)
    return {name: knob_value(name, body[name]) for name in NAMES if name in body}


def knob_value(name: str, value: object) -> Value:
    """One knob's value: a JSON number or boolean, never text.

    Raises:
        ApiError: 422 naming the knob.
    """
    try:
        if value is None or isinstance(value, str | list | dict):
            raise KnobError(name, value, get_knob(name).allowed)
        return check(name, value)
    except UsageError as error:
        raise wrong(_short(str(error)), name) from None


def only(body: Mapping[str, Any], known: tuple[str, ...], required: tuple[str, ...] = ()) -> None:
    """Raises 422 for a key that means nothing, or one that is missing."""
    for key in body:
        if key not in known:
            raise wrong(f"unknown key {_short(key)!r}: known are {', '.join(known)}", _short(key))
    for key in required:
        if key not in body:
            raise wrong(f"{key} is missing", key)


def number(body: Mapping[str, Any], key: str, default: float, low: float, high: float, *, above: bool = False) -> float:
    """A number from the body."""
    value = body.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high or (above and value == low):
        raise wrong(
            f"{key} = {_short(repr(value))}: must be a number {'above' if above else 'from'} {low:g}, at most {high:g}", key
        )
    return float(value)


def profile(body: Mapping[str, Any]) -> Profile:
    """The profile in the body, checked.

    Raises:
        ApiError: 422 naming the key.
    """
    only(body, ("profile",), ("profile",))
    data = body["profile"]
    if not isinstance(data, dict):
        raise wrong("profile must be an object", "profile")
    only(data, tuple(Profile.__dataclass_fields__), ("name",))
    name = data["name"]
    if not isinstance(name, str) or not 0 < len(name) <= 100:
        raise wrong("name must be text of 1 to 100 characters", "name")
    try:
        made = Profile.from_dict(data)
        limits.check(made, "profile")
    except ConfigError as error:
        raise wrong(_short(str(error), 300), error.key) from None
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise wrong(f"the profile cannot be read: {_short(str(error))}", "profile") from None
    return made


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _Twice(_short(key))
        found[key] = value
    return found


def _words(name: str) -> str:
    return f"unknown knob {_short(name)!r}: known are {', '.join(NAMES)}"


def _short(text: str, length: int = 200) -> str:
    plain = "".join(char if char.isprintable() else "?" for char in text)
    return plain if len(plain) <= length else f"{plain[: length - 3]}..."
