"""JSON of every kind for property-based tests of what reads it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hypothesis import strategies as st

_TEXT = st.text(max_size=12) | st.sampled_from(["ok", "2026", "/x", "127.0.0.1", "QUJD"])
_PLAIN = st.none() | st.booleans() | st.integers() | st.integers(0, 70_000) | st.floats() | _TEXT
JSON = st.recursive(_PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3), max_leaves=6)
"""Also NaN and infinities, which Python's json writes and reads."""
_DEEP = b"[" * 20_000
_LARGE = b'{"pid": 1e999, "at": ' + b"9" * 5000 + b"}"


def jsonish(keys: Sequence[str]) -> st.SearchStrategy[bytes]:
    """Objects with some or all of these keys and any values, as bytes; now and then something that is not even JSON."""
    whole = st.fixed_dictionaries(dict.fromkeys(keys, JSON))
    some = st.dictionaries(st.sampled_from(list(keys)) | _TEXT, JSON, max_size=len(keys) + 1)
    objects = (whole | some | JSON).map(lambda value: json.dumps(value).encode())
    cut = st.tuples(objects, st.integers(0, 40)).map(lambda pair: pair[0][: pair[1]])
    return objects | cut | st.sampled_from([_DEEP, _LARGE, b"", b"\xff\xfe", b"null"])


def one_line(error: Exception, begins: str = "", *, status: int | None = None) -> None:
    """Checks what a refusal says: one line that begins so; of the service, with this status."""
    text = str(error)
    assert "\n" not in text
    assert text.startswith(begins)
    assert getattr(error, "status", None) == status
