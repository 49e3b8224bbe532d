"""Whatever is in the journal of changes, in a header, in a body or in the token's file: read, or refused as documented."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import CATALOGUE, NAMES
from brokertuner_tui.service import bodies, token
from brokertuner_tui.service.errors import ApiError
from brokertuner_tui.service.gate import host_of
from brokertuner_tui.service.journal import FILE_NAME, Change, Journal
from tests.anything import JSON, jsonish, one_line

quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
RECORD = ("event", "key", "kind", "wanted", "knobs", "state", "at", "applied", "error", "confirmed")
WHOLE = json.dumps(
    {"event": "kept", "key": "k", "kind": "apply", "wanted": {}, "knobs": {}, "state": "applied", "at": 1.0}
    | {"applied": None, "error": None}
).encode()


@quick
@given(st.lists(st.binary(max_size=80) | jsonish(RECORD), max_size=4))
def test_any_journal(tmp_path: Path, lines: list[bytes]) -> None:
    """What is none is left out; what is whole beside it is kept, and it can be written on."""
    (tmp_path / FILE_NAME).write_bytes(b"\n".join([*lines, WHOLE]) + b"\n")
    journal = Journal(tmp_path)
    assert isinstance(journal.get("k"), Change)
    assert isinstance(journal.pending(), list)
    knobs = {knob.name: knob.default for knob in CATALOGUE}
    journal.begin("another", "apply", {}, knobs)
    again = Journal(tmp_path)
    assert again.get("another") is not None
    assert again.get("k") == journal.get("k")


@quick
@example("[::1")
@example("a:99999999999")
@given(st.text(max_size=60))
def test_any_host(header: str) -> None:
    host = host_of(header)
    assert host is None or (host == host.lower() and "@" not in host)


@quick
@given(st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), JSON, max_size=4))
def test_any_knobs(body: dict[str, Any]) -> None:
    try:
        values = bodies.knob_values(body)
    except ApiError as error:
        one_line(error, status=422)
    else:
        assert set(values) == set(body)
        assert all(type(value) in (int, bool) for value in values.values())


@quick
@given(st.dictionaries(st.sampled_from(["name", "publishers", "qos", "rate", "burst", "slo_ms"]), JSON, max_size=4))
def test_any_profile(body: dict[str, Any]) -> None:
    try:
        bodies.profile(body)
    except ApiError as error:
        one_line(error, status=422)


@quick
@given(st.binary(max_size=200) | st.from_regex(rb"[A-Za-z0-9_-]{30,60}\n?", fullmatch=True))
def test_any_token_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    path.chmod(0o600)
    try:
        assert token.read(path).isprintable()
    except TunerError as error:
        one_line(error)
