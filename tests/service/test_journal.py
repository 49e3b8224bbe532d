"""The journal of changes: what was begun is known after any end, what was told stays told."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from brokertuner_tui.knobs.catalogue import defaults
from brokertuner_tui.service import journal as module
from brokertuner_tui.service.journal import Journal, JournalError

KNOBS = defaults((2, 0, 21))


def test_it_remembers_over_a_restart(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.begin("a", "apply", {"max_inflight_messages": 5}, {**KNOBS, "max_inflight_messages": 5})
    journal.end("a", "applied", {**KNOBS, "max_inflight_messages": 5}, applied={"how": "restart", "total_s": 0.5})
    journal.begin("b", "apply", {"memory_limit": 1}, {**KNOBS, "memory_limit": 1})
    journal.end("b", "failed", KNOBS, error={"code": "not_applied", "message": "no"})
    journal.begin("c", "restart", {}, KNOBS)
    later = Journal(tmp_path)
    assert [later.get(key) for key in "abc"] == [journal.get(key) for key in "abc"]
    assert [change.key for change in later.pending()] == ["c"]
    assert later.last_good() == {**KNOBS, "max_inflight_messages": 5}
    assert (tmp_path / module.FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_half_a_line_at_the_end_is_left_out(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.begin("a", "restart", {}, KNOBS)
    journal.end("a", "applied", KNOBS)
    journal.begin("b", "restart", {}, KNOBS)
    path = tmp_path / module.FILE_NAME
    path.write_bytes(path.read_bytes()[:-30])
    later = Journal(tmp_path)
    assert (later.get("a"), later.get("b")) == (journal.get("a"), None)
    later.begin("c", "restart", {}, KNOBS)
    assert Journal(tmp_path).get("c") is not None


def test_it_is_bounded_and_keeps_the_last_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 5)
    journal = Journal(tmp_path)
    journal.begin("good", "apply", {}, KNOBS)
    journal.end("good", "applied", KNOBS)
    for number in range(40):
        journal.begin(f"k{number}", "apply", {}, KNOBS)
        journal.end(f"k{number}", "failed", KNOBS, error={"code": "x", "message": "y"})
    later = Journal(tmp_path)
    assert len((tmp_path / module.FILE_NAME).read_text().splitlines()) == 6
    assert [later.get(f"k{number}") is not None for number in (34, 35, 39)] == [False, True, True]
    assert later.last_good() == KNOBS


def test_a_full_disk_is_said_before_anything_is_touched(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.begin("a", "restart", {}, KNOBS)
    journal.end("a", "applied", KNOBS)
    size = (tmp_path / module.FILE_NAME).stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, limits[1]))
    try:
        with pytest.raises(JournalError, match="cannot be written"):
            journal.begin("b", "restart", {}, KNOBS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert journal.get("b") is None
    assert (tmp_path / module.FILE_NAME).stat().st_size == size
    journal.begin("c", "restart", {}, KNOBS)
    assert Journal(tmp_path).get("c") is not None
