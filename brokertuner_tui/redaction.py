"""Keeps passwords and tokens out of whatever is written: logs, crash reports, messages."""

from __future__ import annotations

import re

_IN_URL = re.compile(r"(\w://[^\s/:@]*):[^\s/]+@")
_NAMED = re.compile(
    r"(?P<name>\b\w*(?:password|passwd|secret|token|api[_-]?key)\w*(?:\s*=|['\"]\s*[:=])\s*)(?P<value>'[^']*'|\"[^\"]*\"|[^\s,;&)]+)",
    re.IGNORECASE,
)
"""`password=x`, `'password': 'x'`; not `/run/password: cannot be read`."""
_FILE = re.compile(r"_file['\"]?\s*[=:]\s*$", re.IGNORECASE)
_BEARER = re.compile(r"(\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}", re.IGNORECASE)
_SHORTEST = 4
"""Of the words that are hidden wherever they are: a shorter one is in half of all sentences."""
_hidden: set[str] = set()


def hide(secret: str) -> None:
    """From now on `secret` (a password that was read, a token) is not in what `without_secrets` gives, wherever it stood."""
    if len(secret) >= _SHORTEST:
        _hidden.add(secret)


def without_secrets(text: str) -> str:
    """`text` with `***` for the passwords of URLs, for what follows `password=` and the like, and for what was hidden."""
    for secret in _hidden:
        text = text.replace(secret, "***")
    text = _IN_URL.sub(r"\1:***@", text)
    text = _BEARER.sub(r"\1***", text)
    return _NAMED.sub(lambda found: found[0] if _FILE.search(found["name"]) else f"{found['name']}***", text)
