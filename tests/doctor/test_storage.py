"""Folders, disks, stores and secrets' files, as they are and as they should not be."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from brokertuner_tui.config.settings import StoreSettings
from brokertuner_tui.doctor import storage
from brokertuner_tui.doctor.finding import Finding, Level
from brokertuner_tui.store.store import Store


def levels(findings: list[Finding]) -> dict[str, Level]:
    return {finding.name: finding.level for finding in findings}


def test_a_folder_that_is_not_there_yet_is_fine(tmp_path: Path) -> None:
    assert levels(list(storage.save_dir(tmp_path / "a" / "b"))) == {"save dir": Level.OK, "disk": Level.OK}
    assert not (tmp_path / "a").exists()


def test_a_file_in_the_folders_place(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    (found,) = storage.save_dir(tmp_path / "a")
    assert found.level is Level.FAILURE
    assert "not a folder" in found.says


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_of_somebody_else(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    found = next(iter(storage.save_dir(tmp_path)))
    assert found.level is Level.FAILURE
    assert f"'{tmp_path}'" in found.mend[0]


def test_a_store_is_opened_as_a_reader_does(tmp_path: Path) -> None:
    assert "first run" in next(iter(storage.store(StoreSettings(), tmp_path))).says
    Store.open(tmp_path / "store.db").close()
    before = (tmp_path / "store.db").read_bytes()
    (found,) = storage.store(StoreSettings(), tmp_path)
    assert found.level is Level.OK
    assert "0 runs" in found.says
    assert (tmp_path / "store.db").read_bytes() == before


def test_a_damaged_store_is_a_failure_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"garbage" * 1000)
    (found,) = storage.store(StoreSettings(), tmp_path)
    assert found.level is Level.FAILURE
    assert (tmp_path / "store.db").read_bytes() == b"garbage" * 1000


def test_a_secret_that_others_can_read_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("secret")
    path.chmod(0o644)
    (found,) = storage.secret("token file", path)
    assert found.level is Level.FAILURE
    assert found.mend == (f"chmod 600 '{path}'",)
    assert found.fix is not None
    found.fix()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert next(iter(storage.secret("token file", path))).level is Level.OK


def test_no_secret_is_nothing_to_say(tmp_path: Path) -> None:
    assert list(storage.secret("token file", None)) == []
    (found,) = storage.secret("token file", tmp_path / "none")
    assert found.level is Level.FAILURE
