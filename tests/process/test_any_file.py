"""Files that say who lives and who holds a lock: whatever is in them, nobody is judged by nonsense."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brokertuner_tui.process import registry
from brokertuner_tui.process.lock import Taken, TunerLock
from tests.anything import jsonish

quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ENTRY = ("pid", "created_at", "owner_pid", "owner_created_at", "boot_id", "host", "program", "log")
HOLDER = ("pid", "since", "run", "save_dir", "host")


@quick
@given(st.binary(max_size=100) | jsonish(ENTRY))
def test_any_file_of_a_child(tmp_path: Path, data: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "folder", lambda: tmp_path)
        (tmp_path / "1-1.json").write_bytes(data)
        for entry in registry.entries():
            assert registry.describe(entry)
            assert isinstance(entry.child.alive(), bool)
        assert registry.orphans() == [], "none of these is a process of this boot"
        registry.tidy()


@quick
@given(st.binary(max_size=100) | jsonish(HOLDER))
def test_any_note_of_a_holder(tmp_path: Path, data: bytes) -> None:
    path, note = tmp_path / "locked", tmp_path / "note"
    path.mkdir(exist_ok=True)
    held = TunerLock(path, note=note)
    try:
        note.write_bytes(data)
        with pytest.raises(Taken) as raised:
            TunerLock(path, note=note)
        assert "\n" not in str(raised.value)
        assert raised.value.holder.pid in (0, os.getpid())
    finally:
        held.release()
