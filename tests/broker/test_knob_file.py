"""The operator's own knob file is kept before the first write, whatever is in it, and comes back as it was."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from brokertuner_tui.broker.knob_file import KnobFile, Original
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import defaults

KNOBS = defaults((2, 0, 11))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(b"# Written by brokertuner-tui\n# sha256 of the lines below: 0\nx")
@example(b"")
@given(st.binary(max_size=300) | st.none())
def test_any_content_comes_back(tmp_path: Path, content: bytes | None) -> None:
    file = KnobFile(tmp_path / "broker_tuner.conf", tmp_path / "originals")
    file.path.unlink(missing_ok=True)
    if content is not None:
        file.path.write_bytes(content)
    original = file.keep_original()
    assert original.content == content
    assert Original.from_json(original.as_json()) == original
    file.write(KNOBS)
    assert file.is_ours()
    assert file.operators_own() == content
    file.write(KNOBS | {"max_queued_messages": 7})
    assert file.keep_original() == original, "ours is not the operator's"
    kept = file.original()
    assert kept is not None
    file.put_back(kept)
    assert file.is_back(kept)
    assert (file.path.read_bytes() if file.path.exists() else None) == content
    file.forget()
    assert file.original() is None


def test_owner_and_mode_stay_and_the_broker_may_read(tmp_path: Path) -> None:
    file = KnobFile(tmp_path / "broker_tuner.conf", tmp_path / "originals")
    file.path.write_text("# mine\n")
    file.path.chmod(0o620)
    if os.geteuid() == 0:
        os.chown(file.path, 1234, 2345)
    before = file.path.stat()
    original = file.keep_original()
    file.write(KNOBS)
    after = file.path.stat()
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert stat.S_IMODE(after.st_mode) == 0o624
    file.put_back(original)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o620
    assert stat.S_IMODE(file.kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.kept.parent.stat().st_mode) == 0o700


def test_ours_of_a_run_whose_memory_is_lost_is_not_the_operators(tmp_path: Path) -> None:
    KnobFile(tmp_path / "broker_tuner.conf", tmp_path / "lost").write(KNOBS)
    file = KnobFile(tmp_path / "broker_tuner.conf", tmp_path / "originals")
    assert file.keep_original().content is None


@pytest.mark.parametrize("damaged", [b"", b"{}", b'{"path": "x", "content": "*"}', b"[1]", b"\xff"])
def test_a_damaged_original_is_said_and_nothing_is_overwritten(damaged: bytes, tmp_path: Path) -> None:
    file = KnobFile(tmp_path / "broker_tuner.conf", tmp_path / "originals")
    file.keep_original()
    file.write(KNOBS)
    file.kept.write_bytes(damaged)
    with pytest.raises(TunerError, match=r"what was kept of .* cannot be read"):
        file.keep_original()
    assert file.kept.read_bytes() == damaged


def test_one_tuner_at_a_time(tmp_path: Path) -> None:
    first, second = (KnobFile(tmp_path / "broker_tuner.conf", tmp_path / name) for name in "ab")
    first.lock()
    first.lock()
    with pytest.raises(TunerError, match="another tuner is at work on"):
        second.lock()
    first.unlock()
    first.unlock()
    second.lock()
    second.unlock()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    (problem,) = KnobFile(tmp_path / "no" / "broker_tuner.conf", tmp_path).problems("root")
    assert str(problem) == (
        f"the folder {tmp_path}/no of the knob file is not there; mend it with: sudo mkdir -m 755 {tmp_path}/no"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="takes another user")
def test_a_folder_that_the_broker_may_not_enter(tmp_path: Path) -> None:
    folder = tmp_path / "conf.d"
    folder.mkdir(mode=0o700)
    (problem,) = KnobFile(folder / "broker_tuner.conf", tmp_path).problems("nobody")
    assert "as user nobody, cannot read the folder" in str(problem)
    assert problem.mend == f"sudo chmod o+rx {folder}"
